"""Intervals of few pictures: none of them has no width, and they hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from kdcore.metrics import scores
from kdcore.metrics.intervals import picture_estimate, seed_estimate, wilson
from kdcore.metrics.verdict import judge
from tests.engine.metrics import coverage
from tests.engine.metrics.test_scores import logits_for

ENOUGH = 0.92  # the share of intervals that must hold the truth; those that do more often are only wide


def answers(right: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [S, N, 2] that are right where `right` is 1, and hard labels [N]."""
    return logits_for(right, 2), torch.ones(len(right[0]), dtype=torch.int64)


@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_all_right_on_twenty_pictures_is_not_a_hundred_percent(seeds: int) -> None:
    """By hand: two right and two wrong pictures more make 22 of 24."""
    found = scores.accuracy(*answers([[1] * 20] * seeds))
    half = stats.t.ppf(0.975, seeds - 1) * math.sqrt(22 / 24 * 2 / 24 / 24)
    assert found.mean == 1.0
    assert found.ci95 == pytest.approx((1 - half, 1.0))
    assert wilson(20, 20)[0] == pytest.approx(20 / (20 + stats.norm.ppf(0.975) ** 2))


@pytest.mark.parametrize("pictures", [1, 2, 9])
def test_nothing_is_claimed_of_fewer_than_ten_pictures(pictures: int) -> None:
    distilled, labels = answers([[1] * pictures] * 5)
    baseline, _labels = answers([[0] * pictures] * 5)
    difference = scores.paired_difference(distilled, baseline, labels)
    assert (difference.mean, difference.ci95) == (1.0, None)
    verdict = judge(difference)
    assert verdict.claim == "none"
    assert verdict.sentence == "No difference can be claimed: fewer than 10 test pictures give no interval."
    for figure in (scores.accuracy, scores.nll):
        assert figure(distilled, labels).ci95 is None


def test_the_difference_of_ten_pictures_has_a_width_however_clear_it_is() -> None:
    distilled, labels = answers([[1] * 10] * 5)
    baseline, _labels = answers([[0] * 10] * 5)
    difference = scores.paired_difference(distilled, baseline, labels)
    assert difference.ci95 is not None and difference.ci95[0] < 0.8
    assert judge(difference).claim == "distilled"
    same = scores.paired_difference(distilled, distilled, labels).ci95
    assert same is not None and same[0] < -0.1 and same[1] > 0.1


def test_values_without_bounds_and_without_variance_have_no_interval() -> None:
    assert picture_estimate(torch.zeros(3, 50), 0.0).ci95 is None
    assert seed_estimate([0.5, 0.5], 0.0).ci95 is None and seed_estimate([0.5, 0.5], 0.01).ci95 is not None


def test_no_picture_gives_no_share() -> None:
    assert scores.proportion_estimate(torch.zeros(0, dtype=torch.bool)).mean is None


@pytest.mark.parametrize(("pictures", "trials"), [(10, 200), (20, 200), (50, 200), (300, 150)])
def test_intervals_over_seeds_hold_the_truth(pictures: int, trials: int) -> None:
    """The more seeds there are, the narrower the intervals: ten seeds are the hardest case of two to ten."""
    found = coverage.lowest_coverage(np.random.default_rng(pictures), pictures, 10, trials)
    assert min(found.values()) >= ENOUGH, found


def test_intervals_of_many_pictures_hold_the_truth_when_seeds_differ() -> None:
    """Of many pictures the seeds decide the width."""
    found = coverage.lowest_coverage(np.random.default_rng(1), 5_000, 10, 200, ["seeds differ"])
    assert min(found.values()) >= ENOUGH, found


def test_intervals_over_two_seeds_hold_the_truth() -> None:
    found = coverage.lowest_coverage(np.random.default_rng(0), 10, 2, 100)
    assert min(found.values()) >= ENOUGH, found


@pytest.mark.parametrize("pictures", [10, 20, 50, 300, 5_000])
def test_wilsons_interval_of_one_network_holds_the_truth(pictures: int) -> None:
    rng = np.random.default_rng(pictures)
    assert np.mean([coverage.wilson_holds(rng, pictures) for _ in range(1_000)]) >= ENOUGH


@pytest.mark.parametrize(("pictures", "trials"), [(50, 400), (100, 400), (360, 200)])
def test_a_calibrated_model_has_no_calibration_error_on_average(pictures: int, trials: int) -> None:
    found = coverage.ece_of_calibrated(np.random.default_rng(pictures), pictures, trials)
    assert found is not None and abs(found) < 0.01
