"""A checkpoint gives every student its own state, whatever team it trains in, or is not used, which the run says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted
from kdcore.machine.device import pick_device
from kdcore.networks.registry import build_model
from kdcore.pictures.views import ViewSet
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import Recipe
from kdcore.training import checkpoint, teams
from kdcore.training.arms import objective_of
from kdcore.training.states import StateMissing
from kdcore.training.students import PEER, Schedule, Student, student_keys
from kdcore.training.team import Team
from kdcore.training.teams import train_epoch
from kdcore.training.trainer import train
from kdcore.training.transfer_sets import TransferSet

SHAPE, DEVICE = (1, 8, 8), replace(pick_device("cpu"), threads=1)
SCHEDULE = Schedule(8, 4, Recipe(4, 1e-2, 1e-1), ViewSet(flip=False, shift=0))


def student(arm: str, seed: int, model: str = "convnet-4") -> Student:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (8, *SHAPE), dtype=torch.uint8, generator=generator)
    labels = TransferSet("labelled", images, torch.arange(8), torch.arange(8) % 3)
    objective = objective_of(make_run_config("digits", distill_weight=0.0))
    return Student(arm, seed, model, seed * 10 + len(arm), labels, objective)


def team(students: list[Student], stacked: bool) -> Team:
    networks = [build_model(one.model, SHAPE, 3, seed=one.weights_seed) for one in students]
    return Team(students, networks, SCHEDULE, DEVICE, stacked)


def learn(one: Team, epoch: int) -> None:
    assert train_epoch([one], epoch, teams.threads_for([one])) is not None


def weights(one: Team) -> dict[str, dict[str, Tensor]]:
    return dict(zip(student_keys(one.students), one.states(), strict=True))


def test_students_find_their_state_in_another_team() -> None:
    """Three students in one stack are trained, restored each in another place, and trained on; the reference is the
    stack that was never saved."""
    members = [student("baseline", 0), student("distilled", 0), student("shuffled", 0)]
    whole = team(members, stacked=True)
    learn(whole, 0)
    saved = {name: value.clone() for name, value in whole.state_tensors().items()}
    backwards, alone = team(members[::-1], stacked=True), team(members[1:2], stacked=False)
    for other in (backwards, alone):
        other.restore_state(other.read_state(saved))
        for key, state in weights(other).items():
            assert all(torch.equal(value, weights(whole)[key][name]) for name, value in state.items())
    learn(whole, 1)
    for other in (backwards, alone):
        learn(other, 1)  # the optimiser's state is each student's own too, or the next steps would differ
        for key, state in weights(other).items():
            assert all(torch.allclose(value, weights(whole)[key][name], atol=1e-4) for name, value in state.items())


def test_a_state_that_lacks_a_student_or_fits_another_network_is_not_used() -> None:
    saved = team([student("baseline", 0), student("distilled", 0)], stacked=True).state_tensors()
    for stranger in (student("baseline", 1), student("permuted", 0), student("baseline", 0, "convnet-8")):
        with pytest.raises(StateMissing):
            team([stranger], stacked=True).read_state(saved)


def test_no_two_students_of_a_run_share_a_name() -> None:
    pairs = [student("distilled (T=1)", 0), student(PEER, 0), student("distilled (T=2)", 0), student(PEER, 0)]
    assert len(set(student_keys(pairs))) == 4


def stopped_after(epoch: int, run_dir: Path, **settings: Any) -> list[Event]:
    heard: list[Event] = []
    config = make_run_config("digits", labels=40, epochs=4, seeds=2, student="mlp-8", device="cpu", **settings)

    def should_stop() -> bool:
        return any(isinstance(event, EpochEnded) and event.epoch >= epoch for event in heard)

    for event in train(config, run_dir=run_dir, home=run_dir.parent, should_stop=should_stop):
        heard.append(event)
    return heard


def accuracy(events: list[Event]) -> object:
    assert isinstance(events[-1], RunFinished)
    return {arm: row["accuracy"] for arm, row in events[-1].result["arms"].items()}


@pytest.mark.parametrize("changed", ["format", "layout", "damaged"])
def test_a_checkpoint_that_does_not_fit_is_begun_anew_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    straight = stopped_after(99, tmp_path / "straight")
    assert isinstance(stopped_after(2, tmp_path / "run")[-1], RunFailed)
    if changed == "format":
        monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    elif changed == "layout":
        monkeypatch.setattr(teams, "MOST_STACKED", 1)
    else:
        (file,) = (tmp_path / "run" / "checkpoints").iterdir()
        file.write_bytes(file.read_bytes()[:-1])
    rest = stopped_after(99, tmp_path / "run")
    (started,) = (event for event in rest if isinstance(event, RunStarted))
    assert started.epochs_done == 0
    assert len([note for note in started.notes if "trained anew" in note]) == 1
    assert [event.epoch for event in rest if isinstance(event, EpochEnded)] == [1, 2, 3, 4]
    assert accuracy(rest) == accuracy(straight) or changed == "layout"


def test_a_checkpoint_that_fits_goes_on_without_a_word(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"method": "mutual", "vary": {"temperature": (1.0, 4.0)}}
    straight = stopped_after(99, tmp_path / "straight", **settings)
    stopped_after(2, tmp_path / "run", **settings)
    rest = stopped_after(99, tmp_path / "run", **settings)
    (started,) = (event for event in rest if isinstance(event, RunStarted))
    assert (started.epochs_done, started.notes) == (2, ())
    assert accuracy(rest) == accuracy(straight)
