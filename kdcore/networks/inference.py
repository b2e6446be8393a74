"""Asking a network without training it: eval mode, and the logits of many pictures, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdcore.machine.device import Device
from kdcore.pictures.views import to_float


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[nn.Module]:
    """Context in which `network` is in eval mode; afterwards each of its layers has the mode that it had before."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield network.eval()
    finally:
        for module, training in modes:
            module.training = training


@torch.inference_mode()
def predict_logits(model: nn.Module, images: Tensor, device: Device, batch_size: int = 256) -> Tensor:
    """Logits of pictures in eval mode: uint8 [N, C, H, W] -> float32 [N, K] on the CPU.

    The model's training mode is restored afterwards.
    """
    parts = []
    with eval_mode(model):
        for chunk in images.split(batch_size):
            batch = to_float(chunk.to(device.torch)).contiguous(memory_format=torch.channels_last)
            with device.autocast():
                logits = model(batch)
            parts.append(logits.float())
    return torch.cat(parts).cpu()  # one copy at the end, so that batches need not wait for copies


def compact(logits: Tensor) -> Tensor:
    """Logits in float16 if all of them fit in it, else in float32, so that none becomes infinite by rounding."""
    half = logits.half()
    return half if bool((half.isinf() == logits.isinf()).all()) else logits.float()


def accuracy_of(logits: Tensor, hard_labels: Tensor) -> float:
    """Accuracy: the share of pictures whose largest logit is at their hard label; [N, K] and int64 [N]."""
    return float((logits.argmax(1) == hard_labels).double().mean())
