"""Students that diverge: they are named and have no figures, the others go on unchanged, and every reader copes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore.cli import text
from kdcore.errors import TrainingDiverged
from kdcore.events import EpochEnded, Event, RunFinished
from kdcore.metrics import scores
from kdcore.metrics.divergence import Divergence, divergences_in_words
from kdcore.reports.comparison import compare
from kdcore.reports.curves import first_divergence, validation_curves
from kdcore.reports.export import export_text, summary
from kdcore.reports.selection import Selection, select
from kdcore.settings.config import make_run_config
from kdcore.store import RunRow, StoredEvent, to_text
from kdcore.training import stages, trainer
from kdcore.training.team import Team
from kdcore.training.teams import build_teams
from kdcore.training.tuning import train_baseline

SETTINGS: dict[str, Any] = {
    "labels": 40,
    "epochs": 3,
    "seeds": 2,
    "batch_size": 10,
    "device": "cpu",
    "student": "mlp-8",
}
HOT: dict[str, Any] = {"learning_rate": 10.0, "weight_decay": 10.0, "batch_size": 2, "epochs": 6}


def spoil(team: Team, arm: str, seed: int, value: float) -> None:
    """Set the weights of one student of a team to `value`, and nothing else."""
    place = [(one.arm, one.seed) for one in team.students].index((arm, seed))
    with torch.no_grad():
        for parameter in team.network.parameters():
            parameter.view(len(team.students), -1)[place] = value


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes later runs begin with students that cannot be trained."""

    def spoil_students(*students: tuple[str, int], value: float = math.inf) -> None:
        def build(*arguments: Any) -> list[Team]:
            teams = build_teams(*arguments)
            for team in teams:
                for one in team.students:
                    if (one.arm, one.seed) in students:
                        spoil(team, one.arm, one.seed, value)
            return teams

        for module in (stages, trainer):
            monkeypatch.setattr(module, "build_teams", build)

    return spoil_students


def run(home: Path, **settings: Any) -> list[Event]:
    config = make_run_config("digits", **{**SETTINGS, **settings})
    return list(trainer.train(config, home=home, run_dir=home / "run"))


def curves(events: list[Event]) -> list[Any]:
    return [event.curves for event in events if isinstance(event, EpochEnded)]


def result_of(events: list[Event]) -> dict[str, Any]:
    assert isinstance(events[-1], RunFinished)
    return events[-1].result


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_student_that_diverges_changes_no_other(tmp_path: Path, spoiled: Callable[..., None], value: float) -> None:
    healthy = run(tmp_path / "healthy")
    spoiled(("distilled", 1), value=value)
    found = run(tmp_path / "spoiled")
    for before, after in zip(curves(healthy), curves(found), strict=True):
        assert after["baseline"] == before["baseline"]
        for quantity, values in before["distilled"].items():
            assert after["distilled"][quantity] == [values[0], None]
    before, after = result_of(healthy), result_of(found)
    assert "diverged" not in before
    assert after["diverged"] == [{"arm": "distilled", "seed": 1, "epoch": 1}]
    for name in ("accuracy", "nll", "ece", "agreement", "kl_to_teacher", "confusion", "per_class"):
        assert after["arms"]["baseline"][name] == before["arms"]["baseline"][name]
    first = before["arms"]["distilled"]["accuracy"]["per_seed"][0]
    assert after["arms"]["distilled"]["accuracy"] == {"mean": None, "ci95": None, "per_seed": [first, None]}
    assert after["paired_difference"]["mean"] is None and after["verdict"]["claim"] == "none"
    assert "distilled with seed 1 in epoch 1" in after["verdict"]["sentence"]
    json.dumps(after, allow_nan=False)
    kept = sorted(path.name for path in (tmp_path / "spoiled" / "run" / "models").iterdir())
    assert kept == ["baseline.json", "baseline.safetensors"]


def test_a_run_ends_when_all_students_diverged(tmp_path: Path) -> None:
    heard: list[Event] = []
    with pytest.raises(TrainingDiverged, match=r"baseline with seeds 0, 1 in epoch \d.*lower learning rate"):
        for event in trainer.train(make_run_config("digits", **{**SETTINGS, **HOT}), home=tmp_path, run_dir=tmp_path):
            heard.append(event)
    last = curves(heard)[-1]
    assert {value for arm in last.values() for value in arm["train_loss"]} == {None}
    assert len(curves(heard)) < HOT["epochs"]  # nothing is left to train
    with pytest.raises(TrainingDiverged, match="baseline with seeds 0, 1"):  # resumed, it is known at once
        list(trainer.train(make_run_config("digits", **{**SETTINGS, **HOT}), home=tmp_path, run_dir=tmp_path))


def test_the_points_of_a_sweep_go_on(tmp_path: Path) -> None:
    rates = {"vary": {"learning_rate": [10.0, 0.01]}, "weight_decay": 10.0, "batch_size": 2, "epochs": 6}
    result = result_of(run(tmp_path, learning_rate=0.01, **rates))
    lost, fine = result["sweep"]["rows"]
    assert lost["values"] == {"learning_rate": 10.0} and lost["claim"] == "none"
    assert lost["arms"]["baseline"]["accuracy"]["mean"] is None and lost["paired_difference"]["mean"] is None
    assert fine["arms"]["baseline"]["accuracy"]["mean"] > 0 and result["arms"]["baseline"]["accuracy"]["mean"] > 0
    assert {one["arm"] for one in result["diverged"]} == {
        "baseline (learning_rate=10)", "distilled (learning_rate=10)"
    }  # fmt: skip
    json.dumps(result, allow_nan=False)
    assert "no figure" in text.result(result)


def test_a_stage_that_diverges_is_named(tmp_path: Path, spoiled: Callable[..., None]) -> None:
    spoiled(("generation 1", 0))
    result = result_of(run(tmp_path, method="born-again"))
    assert result["diverged"] == [
        {"arm": "generation 1", "seed": 0, "epoch": 1},
        {"arm": "distilled", "seed": 0, "epoch": 1},
    ]
    assert result["arms"]["baseline"]["accuracy"]["mean"] > 0


def test_a_run_that_goes_on_knows_who_diverged(tmp_path: Path, spoiled: Callable[..., None]) -> None:
    spoiled(("baseline", 0))
    config, heard = make_run_config("digits", **SETTINGS), list[Event]()
    for event in trainer.train(config, home=tmp_path, run_dir=tmp_path, should_stop=lambda: bool(curves(heard))):
        heard.append(event)
    spoiled()
    result = result_of(list(trainer.train(config, home=tmp_path, run_dir=tmp_path)))
    assert result["diverged"] == [{"arm": "baseline", "seed": 0, "epoch": 1}]


def test_logits_that_are_no_numbers_have_no_figures() -> None:
    hard_labels = torch.tensor([0, 1, 2, 1]).repeat(10)  # enough pictures for a calibration error
    logits = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0))
    teacher = logits[0].clone()
    lost = logits.clone()
    lost[1, 2, 0] = math.nan
    for figure in (scores.accuracy, scores.nll, scores.ece):
        assert figure(logits, hard_labels).mean is not None
        assert (figure(lost, hard_labels).mean, figure(lost, hard_labels).ci95) == (None, None)
        assert figure(lost, hard_labels).per_seed[0] == figure(logits, hard_labels).per_seed[0]
        assert figure(lost[1:], hard_labels).per_seed == (None,)
    assert scores.agreement(lost, teacher).mean is None and scores.kl_to_teacher(lost, teacher).mean is None
    assert scores.paired_difference(logits, lost, hard_labels).mean is None


def test_a_recipe_that_diverges_has_no_accuracy() -> None:
    from kdcore.datasets import load_dataset

    found = train_baseline(make_run_config("digits", **{**SETTINGS, **HOT}), load_dataset("digits"))
    assert len(found) == 2 and all(math.isnan(value) for value in found)
    assert scores.seed_estimate(found, 0.0).mean is None


def test_sentences_name_seeds_and_epochs() -> None:
    who = [Divergence("baseline", 0, 2), Divergence("distilled", 1, 3), Divergence("baseline", 4, 2)]
    assert divergences_in_words(who) == "baseline with seeds 0, 4 in epoch 2, distilled with seed 1 in epoch 3"
    many = divergences_in_words(Divergence("baseline", seed, seed + 1) for seed in range(9))
    assert many.endswith("in epoch 6, and 3 more")


def row(run_id: str, result: dict[str, Any] | None, config: dict[str, Any]) -> RunRow:
    return RunRow(
        number=1, id=run_id, visitor="local", kind="run", status="finished", config=config, result=result, error=None,
        created=1.0, started=2.0, finished=3.0, heartbeat=None, host=None, worker_pid=None, worker_started=None,
        attempts=1, setbacks=0, cancel_requested=False,
    )  # fmt: skip


def test_every_reader_takes_a_result_without_a_figure(tmp_path: Path, spoiled: Callable[..., None]) -> None:
    spoiled(("baseline", 0), ("shuffled", 1))
    events = run(tmp_path, controls=("shuffled",))
    result = json.loads(to_text(result_of(events)))
    one = row("a", result, result["config"])
    other = row("b", json.loads(json.dumps(result)), result["config"])
    stored = [StoredEvent(number, 0.0, event) for number, event in enumerate(events)]

    shown = text.result(result)
    assert "baseline with seed 0 in epoch 1" in shown and "No difference can be claimed" in shown
    assert text.comparison(compare([one, other])) and json.dumps(compare([one, other]).to_json(), allow_nan=False)
    assert compare([one, other]).differences["baseline"][1].mean is None
    assert [select([one], Selection(sort=order)) for order in ("gain", "accuracy")] == [[one], [one]]
    assert text.runs([summary(one)])

    page = export_text(one, stored, "html", now=0.0)
    assert "baseline with seed 0 in epoch 1" in page and "nan" not in page.lower() and "None" not in page
    assert json.loads(export_text(one, stored, "json"))["result"]["diverged"]
    lines = [line for line in csv.DictReader(io.StringIO(export_text(one, stored, "csv"))) if line["arm"] == "baseline"]
    assert {line["train_loss"] for line in lines if line["seed"] == "0"} == {""}
    assert all(math.isfinite(float(line["train_loss"])) for line in lines if line["seed"] == "1")

    by_epoch = {event.epoch: event for event in events if isinstance(event, EpochEnded)}
    assert (first_divergence(by_epoch, "baseline"), first_divergence(by_epoch, "distilled")) == (1, None)
    assert len(validation_curves(events)["baseline"].mean) == len(by_epoch)  # of the other seed
    latest = next(event for event in reversed(events) if isinstance(event, EpochEnded))
    assert "baseline diverged" in text.epoch(latest, ("baseline", "distilled"))


def test_one_network_beside_others_is_found_too(tmp_path: Path) -> None:
    """A student that is not stacked: its weights are looked at one by one."""
    from kdcore.networks.registry import build_model
    from kdcore.training.team import _OneByOne

    networks = [build_model("mlp-8", (1, 8, 8), 10, seed=seed) for seed in range(3)]
    next(networks[1].parameters()).data[0, 0] = math.nan
    assert _OneByOne(networks).finite().tolist() == [True, False, True]
