"""Pictures that are added to a variance beside the same pictures appended to the data, and the bins of the ECE."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kdcore.metrics.few_pictures import ADDED_TO_DIFFERENCE, added_between, ece_bins


@pytest.mark.parametrize("values", [[1.0] * 20, [1.0, 0.0, 0.5, 1.0], [0.0]])
def test_a_share_gets_two_right_and_two_wrong_pictures(values: list[float]) -> None:
    added = added_between(0.0, 1.0)
    assert added is not None
    every = np.array([*values, 1, 1, 0, 0])
    assert added.mean_and_variance(torch.tensor(values)) == pytest.approx((every.mean(), every.var() / len(every)))


@pytest.mark.parametrize("values", [[1.0] * 20, [1.0, 0.0, -0.5, 1.0], [0.0]])
def test_a_difference_gets_half_a_picture_of_each_outcome(values: list[float]) -> None:
    every, weights = np.array([*values, 0, 1, -1, 0]), np.array([1.0] * len(values) + [0.5] * 4)
    mean = np.average(every, weights=weights)
    expected = mean, np.average((every - mean) ** 2, weights=weights) / weights.sum()
    for added in (ADDED_TO_DIFFERENCE, added_between(-1.0, 1.0)):
        assert added is not None and added.mean_and_variance(torch.tensor(values)) == pytest.approx(expected)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0)])
def test_what_is_added_grows_with_the_values(bounds: tuple[float, float]) -> None:
    values = torch.tensor([0.3, 0.9, 0.1])
    one, many = added_between(*bounds), added_between(*(100 * bound for bound in bounds))
    assert one is not None and many is not None
    mean, variance = one.mean_and_variance(values)
    assert many.mean_and_variance(100 * values) == pytest.approx((100 * mean, 100**2 * variance))


def test_nothing_is_added_where_values_have_no_bound() -> None:
    assert added_between(0.0, math.inf) is None and added_between(-math.inf, math.inf) is None


def test_fewer_pictures_have_fewer_bins_and_at_last_none() -> None:
    assert [ece_bins(n) for n in (0, 15, 19, 20, 39, 40, 100, 299, 300, 360, 10_000)] == [0] * 3 + [
        1, 1, 2, 5, 14, 15, 15, 15,
    ]  # fmt: skip
