"""The three networks of a run are asked about the same classes in the same order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from kdcore.errors import KdError
from kdcore.teachers.load import load_teacher
from pages.ui.compare import panels
from pages.ui.compare.trio import Trio
from pages.ui.engine import cache


class OfRun:
    """A run whose students are the network of the digits, taught by one that has their classes in another order."""

    run_id, models = "run", {"teacher": "own", "distilled": "distilled", "baseline": "baseline"}


@pytest.fixture
def trio(monkeypatch: pytest.MonkeyPatch) -> Trio:
    student = load_teacher("digits")
    monkeypatch.setattr(cache, "run_model", lambda *_: student)
    return cast(Trio, OfRun())


def test_a_teacher_answers_in_the_order_of_the_students(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load_teacher("digits")
    images = torch.randint(0, 256, (4, *digits.card.image_shape), dtype=torch.uint8)
    wanted: Any = digits.logits(images)
    monkeypatch.setattr(cache, "teacher", lambda _: digits.in_order(digits.card.class_names[::-1]))
    asked = panels.network(trio, "teacher")
    assert asked.card.class_names == panels.network(trio, "distilled").card.class_names
    assert torch.equal(asked.logits(images), wanted)


def test_a_teacher_that_knows_other_classes_now_is_refused(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load_teacher("digits")
    card = replace(digits.card, class_names=("fern", *digits.card.class_names[1:]))
    monkeypatch.setattr(cache, "teacher", lambda _: replace(digits, card=card))
    with pytest.raises(KdError, match="other classes"):
        panels.network(trio, "teacher")
