"""What all trainings share: the weights that decay, and the schedule of the learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Optimiser parameter groups that apply weight decay to matrices and kernels, but not to biases and norms."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def one_cycle(progress: float) -> float:
    """Share of the peak learning rate at `progress` (0 to 1) of a training (Smith and Topin 2018).

    It rises linearly over the first fifth, from at least 2 %, then falls linearly to 0.
    """
    return max(0.02, progress / 0.2) if progress < 0.2 else (1 - progress) / 0.8
