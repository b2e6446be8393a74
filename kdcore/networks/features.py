"""Features: the outputs of a network's inner layers, recorded without changing the network.

A layer is named by its path, which is its name in `named_modules`, such as "4" or "layer2.1.conv1". The path
"PATH.input" means the input of the linear layer at PATH; the input of the last linear layer is the picture's embedding.
In a frozen teacher the paths are those of the network inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from kdcore.errors import ConfigError, UnknownName
from kdcore.networks.dropout import ByteDropout
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.inference import eval_mode

Kind = Literal["map", "middle", "embedding"]
INPUT_SUFFIX = ".input"
DEFAULT_SIDE = 64  # side in pixels of the picture that is tried if the size of a network's pictures is unknown
# Never a default layer: their output only summarises the layer before, or drops part of it at random.
SKIPPED_LAYERS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    ByteDropout,
)


class Recording:
    """Holds the output of one layer in the latest forward pass."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._value: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The features, [B, C, h, w] or [B, C], in the precision of the pass; with a gradient if the pass had one.

        Raises:
            ConfigError: the layer has not run in a forward pass yet.
        """
        if self._value is None:
            raise ConfigError(f'"{self.path}" took no part in a forward pass; run the network, or take another layer.')
        return self._value

    def store(self, output: object) -> None:
        """Store a copy of the layer's output.

        Raises:
            ConfigError: the output is neither a map [B, C, h, w] nor a vector [B, C].
        """
        if not isinstance(output, Tensor) or output.ndim not in (2, 4):
            raise ConfigError(f'"{self.path}" gives neither maps [B, C, h, w] nor vectors [B, C]; take another layer.')
        if output.is_inference():  # autograd rejects inference tensors, but not a copy made outside inference mode
            with torch.inference_mode(False):
                self._value = output.clone()
        else:  # copied, because the next layer may overwrite it: nn.ReLU(inplace=True)
            self._value = output.clone()


def layer_names(network: nn.Module) -> tuple[str, ...]:
    """All paths that `record` accepts, in the order of `named_modules`.

    `feature_shape` tells whether a layer gives a map or a vector.

    Raises:
        ConfigError: `network` is an ensemble.
    """
    names = []
    for path, module in _inner_network(network).named_modules():
        if path and type(module).forward is not nn.Module.forward:  # containers without `forward` never run
            names.append(path)
            if isinstance(module, nn.Linear):
                names.append(path + INPUT_SUFFIX)
    return tuple(names)


def _inner_network(network: nn.Module) -> nn.Module:
    inner = network.network if isinstance(network, FrozenNetwork) else network
    if any(isinstance(module, FrozenNetwork) for module in inner.modules()):
        raise ConfigError("An ensemble has no layers of its own; take the features of one of its members.")
    return inner


@contextmanager
def record(network: nn.Module, path: str) -> Iterator[Recording]:
    """Context that records the output of the layer at `path` in every forward pass within it.

    The recorded value is a copy, so that later in-place layers do not change it; its gradient flows back to the layer.
    Recorded from a frozen teacher, it is a constant. If a layer runs several times in a pass, the last output is kept.

    Raises:
        UnknownName: the network has no layer at `path`.
        ConfigError: `network` is an ensemble; or, during the forward pass, the layer gives neither a map nor a vector.
    """
    names = layer_names(network)
    if path not in names:
        raise UnknownName("layer", path, names)
    recording = Recording(path)
    layers = dict(_inner_network(network).named_modules())
    if path in layers:
        handle = layers[path].register_forward_hook(lambda _, inputs, output: recording.store(output))
    else:
        linear = layers[path.removesuffix(INPUT_SUFFIX)]
        handle = linear.register_forward_pre_hook(lambda _, inputs: recording.store(inputs[0]))
    try:
        yield recording
    finally:
        handle.remove()


def feature_shape(network: nn.Module, path: str, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape, (C, h, w) or (C,), of the features at `path` for one picture of `image_shape` (C, H, W).

    Raises:
        UnknownName, ConfigError: as `record`.
    """
    with record(network, path) as recording:
        _dry_pass(_inner_network(network), image_shape)
    return tuple(recording.value.shape[1:])


def _dry_pass(network: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Run the network on one picture of zeros in eval mode, so that batch norm is unchanged; then restore all modes."""
    parameter = next(network.parameters())
    with torch.no_grad(), eval_mode(network):
        network(torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype))


@dataclass(frozen=True)
class _TrunkLayer:
    """One layer of the trunk (see `default_layer`) in a forward pass.

    Attributes:
        path: the layer's path.
        shape: shape of its output without the batch.
        convolutions, linears: how many convolutions and linear layers had run when this layer finished.
    """

    path: str
    shape: tuple[int, ...]
    convolutions: int
    linears: int


def default_layer(network: nn.Module, kind: Kind, image_shape: tuple[int, int, int] | None = None) -> str:
    """The path of the layer whose features a method uses if the configuration names none.

    - "map": the last map of more than one place before the network pools it (attention transfer).
    - "middle": the map after half of the convolutions; in a network without maps, the vector after half of the hidden
      layers (hints: Romero et al. 2015, section 2.2).
    - "embedding": the input of the last linear layer (relational distillation).

    Only layers of the trunk are considered: the children of the network and of the `nn.Sequential`s in it, not the
    layers inside residual blocks. Pooling and dropout layers are skipped. If a block or stage ends with the chosen
    layer, the path of the block or stage is returned.

    Args:
        image_shape: (C, H, W) of the network's pictures, on which the size of its maps depends. If it is None, pictures
            with a side of 64 pixels are assumed.

    Raises:
        UnknownName: `kind` is none of the three.
        ConfigError: the network has no such layer, or is an ensemble.
    """
    if kind not in get_args(Kind):
        raise UnknownName("kind of layer", kind, get_args(Kind))
    inner = _inner_network(network)
    layers, last_linear = _trace_trunk(inner, image_shape or _guess_image_shape(inner))
    maps = [layer for layer in layers if len(layer.shape) == 3 and layer.shape[1] * layer.shape[2] > 1]
    if kind == "embedding" and last_linear:
        return last_linear + INPUT_SUFFIX
    if kind == "map" and maps:
        return maps[-1].path
    if kind == "middle" and maps:
        return _halfway([(layer.convolutions, layer.path) for layer in maps], layers[-1].convolutions)
    hidden = [layer for layer in layers if len(layer.shape) == 1 and 0 < layer.linears < layers[-1].linears]
    if kind == "middle" and hidden:
        return _halfway([(layer.linears, layer.path) for layer in hidden], layers[-1].linears - 1)
    wanted = {"map": "maps of more than one place", "middle": "hidden layers", "embedding": "linear layer"}[kind]
    raise ConfigError(f"This network has no {wanted}; choose another method, network, or layer.")


def _halfway(layers: list[tuple[int, str]], depth: int) -> str:
    """The last path at the smallest depth that is at least half of `depth`, else the last path at the largest depth.

    Args:
        layers: (depth, path) of each layer, in ascending order of depth.
    """
    chosen = min((layer_depth for layer_depth, _ in layers if 2 * layer_depth >= depth), default=layers[-1][0])
    return [path for layer_depth, path in layers if layer_depth == chosen][-1]


def _guess_image_shape(network: nn.Module) -> tuple[int, int, int]:
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
    if isinstance(first, nn.Linear):
        return (first.in_features, 1, 1)
    return (first.in_channels if first else 3, DEFAULT_SIDE, DEFAULT_SIDE)


def _trace_trunk(network: nn.Module, image_shape: tuple[int, ...]) -> tuple[list[_TrunkLayer], str | None]:
    """Run the network once.

    Returns:
        The layers of the trunk in the order in which they finish, and the path of the last linear layer, if any.
    """
    trunk = set(_trunk(network))
    layers: list[_TrunkLayer] = []
    convolutions: list[str] = []
    linears: list[str] = []

    def count_layer(path: str, module: nn.Module, output: Any) -> None:
        if isinstance(module, nn.Conv2d):
            convolutions.append(path)
        if isinstance(module, nn.Linear):
            linears.append(path)
        if path in trunk and isinstance(output, Tensor) and not isinstance(module, SKIPPED_LAYERS):
            layers.append(_TrunkLayer(path, tuple(output.shape[1:]), len(convolutions), len(linears)))

    with ExitStack() as hooks:
        for path, module in network.named_modules():
            handle = module.register_forward_hook(
                lambda module, _, output, path=path: count_layer(path, module, output)
            )
            hooks.callback(handle.remove)
        _dry_pass(network, image_shape)
    return layers, linears[-1] if linears else None


def _trunk(module: nn.Module, prefix: str = "") -> Iterator[str]:
    for name, child in module.named_children():
        yield prefix + name
        if isinstance(child, nn.Sequential):
            yield from _trunk(child, f"{prefix}{name}.")
