"""What a run says of a teacher that is at chance on the validation pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdcore.datasets import Dataset, load_dataset
from kdcore.events import RunFinished, RunStarted
from kdcore.networks.frozen import FrozenNetwork
from kdcore.settings.config import RunConfig
from kdcore.teachers.card import teachers_by_name
from kdcore.teachers.load import load_teacher
from kdcore.teachers.teacher import Teacher
from kdcore.training import notes, trainer
from kdcore.training.notes import chance_note, teacher_notes
from kdcore.training.trainer import train


class Always(nn.Module):
    """Answers every picture with one class."""

    def __init__(self, label: int) -> None:
        super().__init__()
        self.label = label
        self.asked = 0

    def forward(self, pictures: Tensor) -> Tensor:
        self.asked += len(pictures)
        return nn.functional.one_hot(torch.full((len(pictures),), self.label), 10).float()


def teacher_of(network: nn.Module, **card: Any) -> Teacher:
    digits = load_teacher("digits")
    return Teacher(replace(digits.card, figures={}, **card), FrozenNetwork(network), digits.device)


def test_a_teacher_that_knows_only_the_largest_class_is_at_chance() -> None:
    dataset = load_dataset("digits")
    counts = dataset.validation.hard_labels.bincount()
    note = chance_note(teacher_of(Always(int(counts.argmax()))), dataset)
    share = f"{100 * int(counts.max()) / 360:.1f} %"
    assert note.startswith('The teacher "digits" is at chance on the validation pictures of digits')
    assert note.count(share) == 2 and note.count(".") == 3, "one sentence with two numbers"
    assert "choose another teacher" in note
    assert chance_note(load_teacher("digits"), dataset) == ""
    assert teacher_notes({"digits": load_teacher("digits")}, dataset, teachers_by_name()) == ()


def test_the_card_is_believed_only_for_the_pictures_that_it_was_measured_on() -> None:
    dataset = load_dataset("digits")
    network = Always(0)
    measured = replace(teacher_of(network).card, figures={"validation_accuracy": {"mean": 0.9}})
    teacher = replace(teacher_of(network), card=measured)
    assert chance_note(teacher, dataset) == "" and network.asked == 0
    assert "at chance" in chance_note(teacher, replace(dataset, sha256="other")) and network.asked == 360


def test_at_most_as_many_pictures_are_looked_at_as_for_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "VALIDATION_PICTURES", 50)
    network = Always(0)
    assert "at chance" in chance_note(teacher_of(network), load_dataset("digits"))
    assert network.asked == 50


def test_a_run_with_such_a_teacher_goes_on_and_says_so(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untimed: None
) -> None:
    def checked(name: str, dataset: Dataset, device: object) -> Teacher:
        return teacher_of(Always(3))

    monkeypatch.setattr(trainer, "_checked_teacher", checked)
    events = list(train(config, home=tmp_path))
    (started,) = (event for event in events if isinstance(event, RunStarted))
    finished = events[-1]
    assert isinstance(finished, RunFinished)
    (note,) = started.notes
    result: Mapping[str, Any] = finished.result
    assert "at chance" in note and result["notes"] == [note]
