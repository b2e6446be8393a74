"""The table of a sweep: each of its points is the run that it would be alone."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdcore.events import EpochEnded, RunFinished
from kdcore.settings.sweeps import groups, points
from kdcore.training import trainer
from kdcore.training.trainer import train
from tests.engine.shared_settings import VARY, sweep
from tests.engine.unmeasured import Trained, flat


def test_every_point_is_the_run_that_it_would_be_alone(trained: Trained) -> None:
    """The curves and weights of every point equal those of a plain run with its configuration."""
    config = trained.run("digits", student="mlp-8", seeds=2, epochs=3, vary=VARY)
    together, losses = trained.students(), {}
    for event in trained.events:
        if isinstance(event, EpochEnded):
            losses |= event.curves
    for group in groups(points(config)):
        for point in group:
            trained.train(point.config)
            alone = trained.students()
            for arm, name in (("baseline", group[0].arm("baseline")), ("distilled", point.arm("distilled"))):
                expected = trained.curves()[arm]
                np.testing.assert_allclose(losses[name]["train_loss"], expected["train_loss"], rtol=2e-3)
                for seed in (0, 1):
                    assert torch.equal(together[name, seed][0].transfer_set.rows, alone[arm, seed][0].transfer_set.rows)
                    weights = flat(together[name, seed][1])
                    torch.testing.assert_close(weights, flat(alone[arm, seed][1]), rtol=0, atol=2e-3)


def test_the_row_of_the_runs_own_point_is_its_result(untimed: None, own_home: Path) -> None:
    """And the differences and claims of every row follow from the figures of its arms."""
    config = sweep(temperature=4, labels=40, vary=VARY)
    result = list(train(config, home=own_home))[-1].result  # type: ignore[attr-defined]
    assert result["config"] == config.to_json()
    table = result["sweep"]
    assert table["varied"] == ["temperature", "labels"]
    assert [row["values"] for row in table["rows"]] == [dict(point.values) for point in points(config)]
    (own,) = (row for row in table["rows"] if row["values"] == {"temperature": 4.0, "labels": 40})
    for arm in ("baseline", "distilled"):
        assert own["arms"][arm] == {name: result["arms"][arm][name] for name in own["arms"][arm]}
    assert own["paired_difference"] == result["paired_difference"]
    assert own["claim"] == result["verdict"]["claim"]
    for row in table["rows"]:
        each = [row["arms"][arm]["accuracy"]["per_seed"] for arm in ("distilled", "baseline")]
        assert row["paired_difference"]["per_seed"] == pytest.approx(np.subtract(*each))
    alike = [row["arms"]["baseline"] for row in table["rows"] if row["values"]["labels"] == 30]
    assert alike[0] == alike[1]  # the temperature is nothing to the baseline
    alone = list(train(sweep(temperature=4, labels=40), home=own_home))[-1].result  # type: ignore[attr-defined]
    assert alone["arms"].keys() == result["arms"].keys() and "sweep" not in alone
    for arm in ("baseline", "distilled"):
        for figure in ("accuracy", "nll"):
            found, expected = (one["arms"][arm][figure]["per_seed"] for one in (result, alone))
            np.testing.assert_allclose(found, expected, atol=3e-3)


def test_what_was_measured_of_other_points_is_let_go(
    untimed: None, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, build, held = trainer.logits_on_test, trainer.build_result, dict[str, weakref.ref[torch.Tensor]]()
    alive: list[str] = []

    def measured(*arguments: Any) -> dict[str, torch.Tensor]:
        found = measure(*arguments)
        held.update({arm: weakref.ref(logits) for arm, logits in found.items()})
        return found

    def built(*arguments: Any) -> dict[str, Any]:
        alive.extend(arm for arm, logits in held.items() if logits() is not None)
        return build(*arguments)

    monkeypatch.setattr(trainer, "logits_on_test", measured)
    monkeypatch.setattr(trainer, "build_result", built)
    (*_, last) = train(sweep(epochs=1, seeds=1, vary={"labels": (40, 20, 30)}), home=own_home)
    assert isinstance(last, RunFinished) and len(last.result["sweep"]["rows"]) == 3
    assert len(held) == 6 and {"baseline", "distilled"} <= set(alive)
    assert "distilled (labels=20)" not in alive  # of the last group, which has just been measured, nothing is said
