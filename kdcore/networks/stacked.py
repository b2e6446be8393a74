"""Many small networks of one architecture, computed as one large network.

A training step of a small network is mostly overhead: the processor idles between its short operations. Here the
channels of M networks are concatenated, so that one grouped convolution, one batch norm and one batched matrix product
do the work of M. Weights, gradients and updates equal those of M separate networks (a test compares them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.networks.convolutional import Scale
from kdcore.networks.fully_connected import ToZeroOne

# Layers without weights, which work on concatenated channels unchanged.
_WEIGHTLESS = (
    nn.ReLU,
    nn.GELU,
    nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Identity,
    ToZeroOne,
    Scale,
)


def can_stack(network: nn.Module) -> bool:
    """Whether networks of this architecture can be stacked: (nested) `nn.Sequential`s of supported layers."""
    layers = _layers(network)
    known = (*_WEIGHTLESS, nn.Conv2d, nn.BatchNorm2d, nn.Flatten, nn.Linear)
    return isinstance(network, nn.Sequential) and all(isinstance(layer, known) for _, layer in layers)


class StackedNetwork(nn.Module):
    """M networks of one architecture as one module, which gives logits [B, M, K].

    Its input are pictures [B, G · C, H, W] from G sources, where G divides M: the first M / G networks see the first C
    channels, the next M / G the next C channels, and so on. With G = 1 all networks see the same pictures.

    Args:
        networks: M networks for which `can_stack` is true; their weights are copied.
        image_channels: C.
    """

    def __init__(self, networks: Sequence[nn.Module], image_channels: int) -> None:
        super().__init__()
        self.size = len(networks)
        chains = [_layers(network) for network in networks]
        self.names = [name for name, _ in chains[0]]
        channels = image_channels
        layers: list[nn.Module] = []
        for same_layers in zip(*([layer for _, layer in chain] for chain in chains), strict=True):
            first = same_layers[0]
            if isinstance(first, nn.Conv2d):
                layers.append(_Convolution(same_layers))
                channels = first.out_channels
            elif isinstance(first, nn.BatchNorm2d):
                layers.append(_BatchNorm(same_layers))
            elif isinstance(first, nn.Flatten):
                layers.append(_Flatten(channels))
            elif isinstance(first, nn.Linear):
                layers.append(_Linear(same_layers))
            else:
                layers.append(first)
        self.layers = nn.ModuleList(layers)

    def forward(self, pictures: Tensor) -> Tensor:  # [B, G * C, H, W] -> [B, M, K]
        x = pictures
        for layer in self.layers:
            x = layer(x)
        return x.transpose(0, 1)

    def states(self) -> list[dict[str, Tensor]]:
        """Copies of the state dicts of the M networks, each with the keys of a separate network."""
        return self.split(self.state_dict())

    def split(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Copies of tensors that are named and shaped like this module's state, for each of the M networks as its own
        state would name and shape them."""
        states: list[dict[str, Tensor]] = [{} for _ in range(self.size)]
        for key, value in tensors.items():
            _, layer, name = key.split(".", 2)
            is_shared = value.ndim == 0  # num_batches_tracked, which all networks share
            parts = [value] * self.size if is_shared else value.reshape(self.size, -1, *value.shape[1:])
            for state, part in zip(states, parts, strict=True):
                state[f"{self.names[int(layer)]}.{name}"] = part.detach().clone()
        return states

    def join(self, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors from which `split` made `states`."""
        layers = {name: number for number, name in enumerate(self.names)}
        joined = {}
        for key, value in states[0].items():
            layer, _, name = key.rpartition(".")
            same = value if value.ndim == 0 else torch.cat([state[key] for state in states])
            joined[f"layers.{layers[layer]}.{name}"] = same
        return joined

    def finite(self) -> Tensor:
        """Whether all weights and statistics of each network are finite numbers, bool [M]."""
        values = [value.isfinite() for value in self.state_dict().values() if value.ndim > 0]
        return torch.stack([value.reshape(self.size, -1).all(1) for value in values]).all(0)


class _Convolution(nn.Module):
    """Grouped convolution with the kernels of M networks of C input and O output channels each, [M · O, C, k, k]."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        first = layers[0]
        assert isinstance(first, nn.Conv2d)
        self.stride, self.padding = first.stride, first.padding
        self.weight, self.bias = _concatenated(layers, "weight"), _concatenated(layers, "bias")

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[1] // self.weight.shape[1]
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=groups)


class _BatchNorm(nn.Module):
    """Batch norm over the concatenated channels of M networks; it treats every channel separately anyway."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        first = layers[0]
        assert isinstance(first, nn.BatchNorm2d) and first.momentum is not None
        self.momentum, self.eps = first.momentum, first.eps
        self.weight, self.bias = _concatenated(layers, "weight"), _concatenated(layers, "bias")
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, torch.cat([getattr(layer, name) for layer in layers]).clone())
        self.register_buffer("num_batches_tracked", torch.clone(first.num_batches_tracked))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        if self.training:
            self.get_buffer("num_batches_tracked").add_(1)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, self.training, self.momentum, self.eps)


class _Flatten(nn.Module):
    """Flatten the maps of G networks or picture sources of C channels each: [B, G · C, H, W] -> [G, B, C · H · W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:  # backward through pooling is slow if the gradient has another memory format
            x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
        return x.reshape(len(x), x.shape[1] // self.channels, -1).transpose(0, 1)


class _Linear(nn.Module):
    """The linear layers of M networks as one batched matrix product, [G, B, I] -> [M, B, O]; weights are [M · O, I]."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = len(layers)
        self.weight, self.bias = _concatenated(layers, "weight"), _concatenated(layers, "bias")

    def forward(self, x: Tensor) -> Tensor:
        groups, batch, inputs = x.shape
        weight = self.weight.view(groups, -1, inputs)  # networks with the same input share one product
        y = torch.bmm(x, weight.transpose(1, 2)).view(groups, batch, self.networks // groups, -1)
        y = y.transpose(1, 2).reshape(self.networks, batch, -1)
        return y if self.bias is None else y + self.bias.view(self.networks, 1, -1)


def _concatenated(layers: Sequence[nn.Module], name: str) -> Any:
    """The parameter `name` of M layers, concatenated along its first dimension; None if the layers lack it.

    Vectors stay vectors, so that biases and norms are still excluded from weight decay.
    """
    parts = [getattr(layer, name) for layer in layers]
    if parts[0] is None:
        return None
    return nn.Parameter(torch.cat([part.detach() for part in parts]), requires_grad=parts[0].requires_grad)


def _layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers inside nested `nn.Sequential`s in order, each as (path, layer)."""
    if not isinstance(network, nn.Sequential):
        return [("", network)]
    return [
        (f"{name}.{path}" if path else name, layer)
        for name, child in network.named_children()
        for path, layer in _layers(child)
    ]
