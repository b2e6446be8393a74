"""What every training here shares: which weights decay, and the learning rate's course."""

from __future__ import annotations

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only; biases and norms are left alone."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def one_cycle(progress: float) -> float:
    """Share of the peak learning rate at `progress` (0 to 1): up over the first fifth, then down to 0
    (Smith and Topin 2018)."""
    return max(0.02, progress / 0.2) if progress < 0.2 else (1 - progress) / 0.8
