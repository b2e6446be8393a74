"""Computing the logits of many pictures, batch by batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdcore.machine.device import Device
from kdcore.pictures.views import to_float


@torch.inference_mode()
def predict_logits(model: nn.Module, images: Tensor, device: Device, batch_size: int = 256) -> Tensor:
    """Logits of pictures in eval mode: uint8 [N, C, H, W] -> float32 [N, K] on the CPU.

    The model's training mode is restored afterwards.
    """
    training = model.training
    model.eval()
    parts = []
    for chunk in images.split(batch_size):
        batch = to_float(chunk.to(device.torch)).contiguous(memory_format=torch.channels_last)
        with device.autocast():
            logits = model(batch)
        parts.append(logits.float())
    model.train(training)
    return torch.cat(parts).cpu()  # one copy at the end, so that batches need not wait for copies


def accuracy_of(logits: Tensor, hard_labels: Tensor) -> float:
    """Accuracy: the share of pictures whose largest logit is at their hard label; [N, K] and int64 [N]."""
    return float((logits.argmax(1) == hard_labels).double().mean())
