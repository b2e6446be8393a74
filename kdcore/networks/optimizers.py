"""What all trainings share: the weights that decay, the schedule of the learning rate, and the steps of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


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


def train_one_epoch(
    optimizer: torch.optim.Optimizer,
    learning_rate: float,
    epoch: int,
    epochs: int,
    steps: int,
    loss_of_step: Callable[[int], Tensor],
    should_stop: Callable[[], bool],
    device: torch.device,
    after_step: Callable[[], None] = lambda: None,
) -> Tensor | None:
    """Train one network for one epoch; return the sum of the steps' losses, a scalar that is still on the device.

    Args:
        learning_rate: the peak of the one-cycle schedule.
        epoch: counted from 0.
        epochs: the epochs of the whole training.
        steps: the steps of each epoch.
        loss_of_step: computes the loss on the batch of a step, which is counted from 0 in every epoch.
        should_stop: called after every step; True ends the epoch, and None is returned.
        after_step: called after every update of the weights.
    """
    total = torch.zeros((), device=device)
    for step in range(steps):
        share = one_cycle((epoch * steps + step) / (epochs * steps))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * share
        loss = loss_of_step(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        after_step()
        total += loss.detach()
        if should_stop():
            return None
    return total
