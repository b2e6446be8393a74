"""Features: what a layer of a network gives, by its path and with no edit to the network.

A path is what `named_modules` calls a layer: "4", "layer2.1.conv1". "PATH.input" is what the linear layer at PATH
takes: that of the last one is the picture's embedding. In a frozen teacher the paths are those of the network inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from kdcore.dropout import ByteDropout
from kdcore.errors import ConfigError, UnknownName
from kdcore.teachers import FrozenNetwork

Kind = Literal["map", "middle", "embedding"]
INPUT = ".input"
LIKELY_SIDE = 64  # pixels of a picture to try where nobody says which pictures a network takes
# What these give is no feature of its own: a summary of the layer before, or a part of it chosen by chance.
PASSED_OVER = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    ByteDropout,
)


class Recording:
    """What a layer gave in the latest forward pass."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._value: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """[B, C, h, w] or [B, C], in the precision of the pass; with gradient where the pass had one.

        Raises:
            ConfigError: the layer took no part in a forward pass.
        """
        if self._value is None:
            raise ConfigError(f'"{self.path}" took no part in a forward pass; run the network, or take another layer.')
        return self._value

    def keep(self, output: object) -> None:
        """Take what the layer gave.

        Raises:
            ConfigError: it is neither a map nor a vector.
        """
        if not isinstance(output, Tensor) or output.ndim not in (2, 4):
            raise ConfigError(f'"{self.path}" gives neither maps [B, C, h, w] nor vectors [B, C]; take another layer.')
        if output.is_inference():  # autograd takes no such tensor, and one made out here is an ordinary constant
            with torch.inference_mode(False):
                self._value = output.clone()
        else:  # the next layer may write over what this one gave: nn.ReLU(inplace=True)
            self._value = output.clone()


def layer_names(network: nn.Module) -> tuple[str, ...]:
    """Every path that can be asked for, in the order in which the layers are written down.

    Whether a layer gives a map or a vector shows when it runs: `feature_shape` tells.

    Raises:
        ConfigError: an ensemble.
    """
    names = []
    for path, module in _inside(network).named_modules():
        if path and type(module).forward is not nn.Module.forward:  # a plain container is never called
            names.append(path)
            if isinstance(module, nn.Linear):
                names.append(path + INPUT)
    return tuple(names)


def _inside(network: nn.Module) -> nn.Module:
    inner = network.network if isinstance(network, FrozenNetwork) else network
    if any(isinstance(module, FrozenNetwork) for module in inner.modules()):
        raise ConfigError("An ensemble has no layers of its own; take the features of one of its members.")
    return inner


@contextmanager
def record(network: nn.Module, path: str) -> Iterator[Recording]:
    """Record what the layer at `path` gives, in every forward pass within the context.

    It is a copy of what the layer gave: later layers that work in place do not change it, and its gradient reaches the
    layer. From a frozen teacher it is a constant. Of a layer that runs several times in a pass it is the last time.

    Raises:
        UnknownName: no such layer.
        ConfigError: an ensemble; and, from the forward pass, a layer that gives neither a map nor a vector.
    """
    names = layer_names(network)
    if path not in names:
        raise UnknownName("layer", path, names)
    recording = Recording(path)
    layers = dict(_inside(network).named_modules())
    if path in layers:
        handle = layers[path].register_forward_hook(lambda _, inputs, output: recording.keep(output))
    else:
        linear = layers[path.removesuffix(INPUT)]
        handle = linear.register_forward_pre_hook(lambda _, inputs: recording.keep(inputs[0]))
    try:
        yield recording
    finally:
        handle.remove()


def feature_shape(network: nn.Module, path: str, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """(C, h, w) or (C,) of what the layer at `path` gives for one picture of `image_shape` (C, H, W).

    Raises:
        UnknownName, ConfigError: as `record`.
    """
    with record(network, path) as recording:
        _dry_pass(_inside(network), image_shape)
    return tuple(recording.value.shape[1:])


def _dry_pass(network: nn.Module, image_shape: tuple[int, ...]) -> None:
    """One empty picture in eval mode, which leaves batch norm alone; every layer is then in its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    parameter = next(network.parameters())
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype))
    finally:
        for module, training in modes:
            module.training = training


@dataclass(frozen=True)
class _Step:
    """A layer of the trunk as it ran: the shape it gave, and how many layers with weights had run by then."""

    path: str
    shape: tuple[int, ...]
    convolutions: int
    linears: int


def default_layer(network: nn.Module, kind: Kind, image_shape: tuple[int, int, int] | None = None) -> str:
    """The path of the layer that a method takes unless told otherwise.

    - "map": the last map of more than one place before the network pools it (attention transfer).
    - "middle": the map after half of the convolutions; in a network without maps, the vector after half of the hidden
      layers (hints: Romero et al. 2015, section 2.2).
    - "embedding": what the last linear layer takes (relational distillation).

    The layers considered are the trunk: children of the network, and of `nn.Sequential`s in it, but not the inside of
    residual blocks; pooling and dropout are passed over. A block or stage that ends there is named rather than its
    last part.

    Args:
        image_shape: (C, H, W) of the pictures it takes; how far a map shrinks depends on it. Without it, a side of 64
            pixels is tried.

    Raises:
        UnknownName: not such a kind.
        ConfigError: the network has no such layer, or is an ensemble.
    """
    if kind not in get_args(Kind):
        raise UnknownName("kind of layer", kind, get_args(Kind))
    inner = _inside(network)
    steps, last_linear = _run_through(inner, image_shape or _likely_shape(inner))
    maps = [step for step in steps if len(step.shape) == 3 and step.shape[1] * step.shape[2] > 1]
    if kind == "embedding" and last_linear:
        return last_linear + INPUT
    if kind == "map" and maps:
        return maps[-1].path
    if kind == "middle" and maps:
        return _halfway([(step.convolutions, step.path) for step in maps], steps[-1].convolutions)
    hidden = [step for step in steps if len(step.shape) == 1 and 0 < step.linears < steps[-1].linears]
    if kind == "middle" and hidden:
        return _halfway([(step.linears, step.path) for step in hidden], steps[-1].linears - 1)
    wanted = {"map": "maps of more than one place", "middle": "hidden layers", "embedding": "linear layer"}[kind]
    raise ConfigError(f"This network has no {wanted}; choose another method, network, or layer.")


def _halfway(layers: list[tuple[int, str]], depth: int) -> str:
    """Of (depth, path), the last path at the first depth that is at least half of `depth`, or else the deepest."""
    first = min((at for at, _ in layers if 2 * at >= depth), default=layers[-1][0])
    return [path for at, path in layers if at == first][-1]


def _likely_shape(network: nn.Module) -> tuple[int, int, int]:
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
    if isinstance(first, nn.Linear):
        return (first.in_features, 1, 1)
    return (first.in_channels if first else 3, LIKELY_SIDE, LIKELY_SIDE)


def _run_through(network: nn.Module, image_shape: tuple[int, ...]) -> tuple[list[_Step], str | None]:
    """The layers of the trunk in the order in which they finish, and the path of the last linear layer."""
    trunk = set(_trunk(network))
    steps: list[_Step] = []
    convolutions: list[str] = []
    linears: list[str] = []

    def finished(path: str, module: nn.Module, output: Any) -> None:
        if isinstance(module, nn.Conv2d):
            convolutions.append(path)
        if isinstance(module, nn.Linear):
            linears.append(path)
        if path in trunk and isinstance(output, Tensor) and not isinstance(module, PASSED_OVER):
            steps.append(_Step(path, tuple(output.shape[1:]), len(convolutions), len(linears)))

    with ExitStack() as hooks:
        for path, module in network.named_modules():
            handle = module.register_forward_hook(lambda module, _, output, path=path: finished(path, module, output))
            hooks.callback(handle.remove)
        _dry_pass(network, image_shape)
    return steps, linears[-1] if linears else None


def _trunk(module: nn.Module, prefix: str = "") -> Iterator[str]:
    for name, child in module.named_children():
        yield prefix + name
        if isinstance(child, nn.Sequential):
            yield from _trunk(child, f"{prefix}{name}.")
