"""Recipes of teachers, and those of controls beside the ones that they are made from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcore.teachers.building import recipes
from kdcore.teachers.building.recipes import ON_DEMAND, TEACHER_RECIPES, teacher_recipe


def test_the_teacher_of_a_control_differs_in_one_thing() -> None:
    for name, original in {**ON_DEMAND, **TEACHER_RECIPES}.items():
        smoothed, undertrained = teacher_recipe(f"{name}-smoothed"), teacher_recipe(f"{name}-undertrained")
        assert smoothed is not None and undertrained is not None
        assert smoothed == replace(original, name=f"{name}-smoothed", label_smoothing=0.1)
        assert abs(undertrained.epochs - original.epochs / 10) <= 0.5 or undertrained.epochs == 1
        assert undertrained.small_epochs <= undertrained.epochs
        same = {"name": original.name, "epochs": original.epochs, "small_epochs": original.small_epochs}
        assert replace(undertrained, **same) == original  # type: ignore[arg-type]
    assert teacher_recipe("nobody-smoothed") is None


def test_an_undertrained_teacher_learns_a_tenth_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for epochs, tenth in ((1, 1), (4, 1), (6, 1), (14, 1), (16, 2), (60, 6)):
        monkeypatch.setitem(ON_DEMAND, "brief", replace(recipes._CIFAR100, name="brief", epochs=epochs))
        undertrained = teacher_recipe("brief-undertrained")
        assert undertrained is not None and undertrained.epochs == tenth
