"""Let a network that was trained under another normalisation take the pictures of every network here (-1 to 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_SCALE, _SHIFT = "input_scale", "input_shift"  # names of the network's buffers


def add_input_normalisation(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Make `network` rescale pictures of -1 to 1 to the normalisation of its training; returns it.

    A normalisation that was added before is replaced.

    Args:
        mean, std: of each channel, for pixel values of 0 (black) to 1 (white).
    """
    added_before = hasattr(network, _SCALE)
    middle, width = (torch.tensor(list(values)).view(-1, 1, 1) for values in (mean, std))
    # Buffers move to another device with the network; not persistent, because weight files do not contain them.
    network.register_buffer(_SCALE, 0.5 / width, persistent=False)
    network.register_buffer(_SHIFT, (0.5 - middle) / width, persistent=False)
    if not added_before:
        network.register_forward_pre_hook(_rescale)
    return network


def _rescale(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
    pictures: Tensor = inputs[0]
    return (pictures * network.get_buffer(_SCALE) + network.get_buffer(_SHIFT),)
