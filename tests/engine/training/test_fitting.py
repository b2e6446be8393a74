"""The clock of the training loop, and when it looks at validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest

from kdcore.datasets import dataset_info, load_dataset
from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, TeacherEpochEnded
from kdcore.networks.inference import accuracy_of
from kdcore.settings.config import make_run_config
from kdcore.teachers.teacher import load_model
from kdcore.training import fitting, trainer
from kdcore.training.fitting import is_validated
from kdcore.training.team import Team
from kdcore.training.trainer import train


def test_what_every_picture_would_take_is_the_time_of_all_stages_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is replaced by one that only training moves: each epoch of the assistant takes 5 s and each of the
    students 2 s, except for the first ones."""
    now = [100.0]
    train_epoch = fitting.train_epoch

    def trained(teams: list[Team], epoch: int, *rest: Any) -> object:
        now[0] += 60.0 if epoch == 0 else 5.0 if teams[0].students[0].arm.startswith("assistant") else 2.0
        return train_epoch(teams, epoch, *rest)

    monkeypatch.setattr(fitting, "train_epoch", trained)
    monkeypatch.setattr(fitting, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    short = {"labels": 60, "epochs": 4, "seeds": 1, "student": "mlp-8", "device": "cpu"}
    named = {"assistants": "mlp-16"}
    run, heard = make_run_config("digits", method="teacher-assistant", parameters=named, **short), list[Event]()
    result = list(train(run, run_dir=tmp_path / "whole", home=tmp_path))[-1].result
    train_size = dataset_info("digits").train_size
    assert result["whole"] == {"labels": train_size, "seconds": pytest.approx((4 * 5 + 4 * 2) * train_size / 60)}
    # The assistant of a run that was cut off is not timed anew, and nothing is said.
    last = TeacherEpochEnded("assistant mlp-16", 4, 4, ANY, ANY)
    for event in train(run, run_dir=tmp_path / "cut", home=tmp_path, should_stop=lambda: last in heard):
        heard.append(event)
    assert isinstance(heard[-1], RunFailed)
    rest = list(train(run, run_dir=tmp_path / "cut", home=tmp_path))
    assert isinstance(rest[-1], RunFinished) and "whole" not in rest[-1].result


def test_validation_is_looked_at_first_at_the_end_and_at_most_fourteen_times_between() -> None:
    for epochs in (1, 7, 20, 33, 200):
        looks = [epoch for epoch in range(epochs) if is_validated(epoch, epochs)]
        assert looks[0] == 0 and looks[-1] == epochs - 1
        assert 1 <= len(looks) <= 16


def test_curves_are_measured_on_pictures_of_every_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untimed: None
) -> None:
    """The validation pictures are sorted by class, as in many datasets; of 360, only 40 are looked at."""
    dataset = load_dataset("digits")
    ordered = dataset.validation.select(dataset.validation.hard_labels.argsort(stable=True))
    monkeypatch.setattr(trainer, "load_dataset", lambda name: replace(dataset, validation=ordered))
    monkeypatch.setattr(fitting, "VALIDATION_PICTURES", 40)
    config = make_run_config("digits", labels=60, epochs=2, seeds=1, student="mlp-8", device="cpu")
    events = list(train(config, run_dir=tmp_path / "run", home=tmp_path))
    *_, last = (event for event in events if isinstance(event, EpochEnded))
    (measured,) = last.curves["distilled"]["validation_accuracy"]
    seen = ordered.sample(40)
    assert int(seen.hard_labels.bincount(minlength=10).min()) >= 3
    student = load_model(tmp_path / "run" / "models" / "distilled.safetensors")
    assert measured == accuracy_of(student.logits(seen.images), seen.hard_labels)
