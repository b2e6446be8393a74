"""A plan that is measured in seconds, and the tutorial's formulas in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from kdcore.experiments.bench import ceiling, growth, report
from kdcore.experiments.bench.networks import MEAN, STD
from kdcore.experiments.bench.tutorial import TimedShare

TESTED = 60
TINY = report.Plan(
    repeats=2,
    device="cpu",
    extent=TimedShare(reference_batches=1, warm_up=1, steps=2, teacher_pictures=64),
    sizes=ceiling.CeilingSizes("convnet-2", 8, 4, matrix=16, channels=8, conv_side=4, conv_batch=2, min_seconds=0),
    values=growth.GrowthValues((20, 40), (2, 5), (1, 2), base_pictures=20, base_classes=2, min_seconds=0),
    min_seconds=0,
)


def inputs(images: torch.Tensor) -> np.ndarray[Any, Any]:
    """Pictures as the tutorial normalises them, in NumPy."""
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (MEAN, STD))
    return (images.numpy() / 255 - mean) / std


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray[Any, Any] = powers / powers.sum(1, keepdims=True)
    return found
