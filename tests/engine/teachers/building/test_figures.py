"""The figures on a teacher's card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.teachers.building.figures import fit_calibration


def test_calibration_finds_the_factor_that_was_put_in() -> None:
    """The labels are drawn from softmax(z), so the best factor on z / 3 is 3."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    factor = fit_calibration(torch.from_numpy(logits / 3).float(), torch.from_numpy(labels))
    assert factor == pytest.approx(3.0, rel=0.04)
