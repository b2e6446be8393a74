"""Differences between two students compared with hand calculations, scipy, and a simulation with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from kdcore.metrics.paired import mcnemar, per_class_difference
from tests.engine.metrics.test_scores import logits_for


def test_one_seed_counts_two_more_pictures_by_hand() -> None:
    """Class 0: of 5 pictures, 3 right for distilled only and 1 for baseline only; class 1: 2 pictures, both right."""
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1])
    distilled = logits_for([[0, 0, 0, 1, 0, 1, 1]], 3)
    baseline = logits_for([[1, 1, 1, 0, 0, 1, 1]], 3)
    first, second, none = per_class_difference(distilled, baseline, labels)
    assert (first.mean, first.n) == (pytest.approx(2 / 5), 5)
    b, c, n = 3.5, 1.5, 7.0  # half a picture more in each cell
    centre = (b - c) / n  # and Student's t with n - 1 = 6 degrees of freedom
    half = 2.446912 * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert first.ci95 == pytest.approx((centre - half, min(1, centre + half)), abs=1e-6)
    assert second.mean == 0.0 and second.ci95[0] < -0.3 and second.ci95[1] > 0.3, "two pictures prove nothing"
    assert (none.n, none.ci95) == (0, (-1.0, 1.0))


def test_several_seeds_are_students_t_with_the_pictures_variance() -> None:
    labels = torch.zeros(40, dtype=torch.int64)
    rng = np.random.default_rng(4)
    right = rng.random((2, 3, 40)) < np.array([0.8, 0.5])[:, None, None]
    logits = [logits_for([[0 if hit else 1 for hit in seed] for seed in arm], 2) for arm in right.tolist()]
    found = per_class_difference(logits[0], logits[1], labels)[0]
    gain = right[0].astype(float) - right[1]  # [S, N]
    by_seed, by_picture = gain.mean(1), np.concatenate([gain.mean(0), [1, -1, 0, 0]])
    weight = np.array([1.0] * 40 + [0.5] * 4)  # half a picture in each of the four outcomes
    mean = np.average(by_picture, weights=weight)
    variance = np.average((by_picture - mean) ** 2, weights=weight) / weight.sum()
    half = stats.t.ppf(0.975, 2) * math.sqrt(by_seed.var(ddof=1) / 3 + variance)
    assert found.mean == pytest.approx(by_seed.mean())
    assert found.ci95 == pytest.approx((max(-1, by_seed.mean() - half), min(1, by_seed.mean() + half)))


@pytest.mark.parametrize("n", [8, 30, 400])
def test_the_interval_of_few_pictures_covers_the_truth_about_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(n)
    labels, trials, covered = torch.zeros(n, dtype=torch.int64), 800, 0
    p = np.array([0.55, 0.25, 0.05, 0.15])  # both right, only distilled, only baseline, none
    for _ in range(trials):
        outcome = rng.choice(4, n, p=p)
        distilled = logits_for([np.where(outcome < 2, 0, 1).tolist()], 2)
        baseline = logits_for([np.where((outcome == 0) | (outcome == 2), 0, 1).tolist()], 2)
        low, high = per_class_difference(distilled, baseline, labels)[0].ci95
        covered += low <= p[1] - p[2] <= high
    assert 0.93 <= covered / trials <= 0.99


@pytest.mark.parametrize(("one", "other"), [(0, 0), (5, 0), (3, 3), (4, 11), (143, 61), (831, 400)])
def test_mcnemar_is_scipys_binomial_test(one: int, other: int) -> None:
    expected = stats.binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)
    assert mcnemar(other, one) == pytest.approx(mcnemar(one, other))


def test_classes_add_up_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (200,), generator=generator)
    distilled, baseline = torch.randn(2, 3, 200, 4, generator=generator)
    rows = per_class_difference(distilled, baseline, labels)
    difference = ((distilled.argmax(-1) == labels).double() - (baseline.argmax(-1) == labels).double()).mean()
    assert sum(row.mean * row.n for row in rows) / 200 == pytest.approx(float(difference))
    assert all(row.ci95[0] < row.mean < row.ci95[1] for row in rows)
