"""The curves of a run with their bands."""

from __future__ import annotations

import math

import pytest

from kdcore.events import EpochEnded, RunStarted
from kdcore.reports.curves import seed_interval, validation_curves
from tests.engine.reports.finished_run import ROW, page_of, told


def ended(epoch: int, **accuracies: list[float | None]) -> EpochEnded:
    return EpochEnded(epoch, 9, 0.1, {arm: {"validation_accuracy": values} for arm, values in accuracies.items()})  # type: ignore[dict-item]


def test_a_band_is_students_t_over_the_seeds() -> None:
    # 0.5, 0.6, 0.7: mean 0.6, s = 0.1, t(2) = 4.303
    low, high = seed_interval([0.5, 0.6, 0.7]) or (0, 0)
    assert (low, high) == pytest.approx(
        (0.6 - 4.3027 * 0.1 / math.sqrt(3), 0.6 + 4.3027 * 0.1 / math.sqrt(3)), abs=1e-4
    )
    assert seed_interval([0.5]) is None and seed_interval([]) is None


def test_seeds_that_agree_have_no_interval() -> None:
    assert seed_interval([1.0, 1.0, 1.0]) is None
    events = [ended(1, baseline=[0.5, 0.7, 0.9]), ended(2, baseline=[1.0, 1.0, 1.0])]
    curve = validation_curves(events)["baseline"]
    assert curve.low is not None and curve.low[1] == 1.0, "the band goes on to a point"
    assert curve.interval(0) == pytest.approx((curve.low[0], 1.0)) and curve.interval(1) is None


def test_curves_leave_out_what_is_no_number() -> None:
    events = [ended(1, baseline=[None, None]), ended(2, baseline=[0.5, 0.7]), ended(3, baseline=[None, 0.8])]
    # Epoch 3 is reported twice: the later event counts.
    curve = validation_curves([*events, ended(3, baseline=[0.6, 0.8])])["baseline"]
    assert curve.epochs == (2, 3) and curve.mean == pytest.approx((0.6, 0.7)) and curve.low is not None
    alone = validation_curves(events)["baseline"]
    assert alone.mean == pytest.approx((0.6, 0.8)) and (alone.low, alone.high) == (None, None)
    assert validation_curves([]) == {}


def test_other_points_of_a_sweep_are_no_arms() -> None:
    started = RunStarted({}, ("teacher", "baseline", "distilled"), 2, "cpu", "fp32", 50, 2)
    curves_of_epoch = {
        arm: {"validation_accuracy": [0.5, 0.7]} for arm in ("baseline", "distilled", "distilled (temperature=8)")
    }
    curves = validation_curves([started, EpochEnded(1, 2, 0.1, curves_of_epoch)])
    assert list(curves) == ["baseline", "distilled"] and curves["distilled"].mean == pytest.approx((0.6,))
    assert "temperature=8" not in page_of(ROW, told(started, EpochEnded(1, 2, 0.1, curves_of_epoch))).text
