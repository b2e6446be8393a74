"""Fully connected networks, by the widths of their layers; `models` knows them by name.

Two of them are for dark ink on empty paper, which is 0 to them. Networks here take pictures of -1 to 1; on digits,
mostly paper, that is an offset which all units of the first layer share: a student of MNIST came less close to its
teacher in as many steps (a mean loss of 0.045 instead of 0.027 after 20 epochs).
"""

from __future__ import annotations

from torch import Tensor, nn

from kdcore.dropout import ByteDropout


class Ink(nn.Module):
    """-1 to 1 becomes 0 to 1."""

    def forward(self, x: Tensor) -> Tensor:  # any shape
        return (x + 1) / 2


def build_mlp(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Layers of any widths with ReLU between them."""
    return _layers([nn.Flatten()], widths, image_shape, num_classes)


def build_ink_mlp(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The same, for ink on paper."""
    return _layers([nn.Flatten(), Ink()], widths, image_shape, num_classes)


def build_dropout_mlp(widths: list[int], image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The same, a fifth of the pixels and half of the units of each layer silenced while it learns (Hinton et al.
    2012, "Improving neural networks by preventing co-adaptation of feature detectors")."""
    network = build_ink_mlp(widths, image_shape, num_classes)
    layers: list[nn.Module] = []
    for layer in network.children():
        layers.append(layer)
        if isinstance(layer, Ink | nn.ReLU):
            layers.append(ByteDropout(0.2 if isinstance(layer, Ink) else 0.5))
    return nn.Sequential(*layers)


def _layers(
    layers: list[nn.Module], widths: list[int], image_shape: tuple[int, int, int], num_classes: int
) -> nn.Sequential:
    channels, height, width = image_shape
    size = channels * height * width
    for units in widths:
        layers += [nn.Linear(size, units), nn.ReLU(inplace=True)]
        size = units
    return nn.Sequential(*layers, nn.Linear(size, num_classes))
