"""Logits of many pictures at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.device import Device
from kdcore.views import to_float


@torch.inference_mode()
def predict_logits(model: nn.Module, images: Tensor, device: Device, batch_size: int = 256) -> Tensor:
    """Logits of pictures: uint8 [N, C, H, W] -> float32 [N, K] on the CPU; the model's mode is put back."""
    training = model.training
    model.eval()
    parts = []
    for chunk in images.split(batch_size):
        batch = to_float(chunk.to(device.torch)).contiguous(memory_format=torch.channels_last)
        with device.autocast():
            logits = model(batch)
        parts.append(logits.float())
    model.train(training)
    return torch.cat(parts).cpu()  # all at once: a device need not be waited for in between


def hit_rate(logits: Tensor, hard_labels: Tensor) -> float:
    """Share of pictures whose largest logit is their hard label; [N, K] and [N]."""
    return float((logits.argmax(1) == hard_labels).double().mean())
