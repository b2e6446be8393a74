"""Reliability bins against NumPy, scipy, and a case worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from kdcore.metrics.reliability import reliability
from tests.engine.metrics.test_scores import simulated


def test_bins_are_numpys() -> None:
    logits, labels = simulated(1000, np.random.default_rng(5), overconfidence=1.5)
    found = reliability(logits, labels)
    shares = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    order = np.argsort(shares.max(1))
    right = shares.argmax(1) == labels.numpy()
    groups = np.array_split(order, 15)
    assert len(found) == 15 and sum(one.n for one in found) == 1000
    for one, group in zip(found, groups, strict=True):
        assert one.n == len(group)
        assert one.confidence == pytest.approx(shares.max(1)[group].mean(), abs=1e-6)
        assert one.accuracy == pytest.approx(right[group].mean())
        wilson = stats.binomtest(int(right[group].sum()), len(group)).proportion_ci(0.95, method="wilson")
        assert one.ci95 == pytest.approx((wilson.low, wilson.high))


def test_three_bins_by_hand() -> None:
    """Six pictures of two classes, sure of class 0 by 0.6 0.6, 0.8 0.8, 0.9 0.9; right 1 of 2, 2 of 2, 1 of 2."""
    sure = [0.9, 0.6, 0.8, 0.6, 0.9, 0.8]
    logits = torch.tensor([[math.log(p), math.log(1 - p)] for p in sure])
    labels = torch.tensor([0, 0, 0, 1, 1, 0])
    found = reliability(logits, labels, bins=3)
    assert [one.n for one in found] == [2, 2, 2]
    assert [one.confidence for one in found] == pytest.approx([0.6, 0.8, 0.9])
    assert [one.accuracy for one in found] == [0.5, 1.0, 0.5]
    assert found[1].ci95 == pytest.approx((2 / (2 + 1.959964**2), 1.0), abs=1e-6)  # Wilson, all of n right


def test_fewer_pictures_than_bins() -> None:
    logits, labels = simulated(7, np.random.default_rng(6))
    assert [one.n for one in reliability(logits, labels)] == [7], "few pictures are one bin"
    assert [one.n for one in reliability(logits, labels, bins=15)] == [1] * 7
