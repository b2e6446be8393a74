"""Division of students into teams: every student is in exactly one, no team is too large, and the sizes are similar."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.machine.device import pick_device
from kdcore.settings.config import make_run_config
from kdcore.training.arms import baseline_student, objective_of
from kdcore.training.students import Schedule, Student
from kdcore.training.team import batch_targets
from kdcore.training.teams import MOST_STACKED, build_teams


@pytest.mark.parametrize(
    ("arms", "seeds", "sizes"),
    [(1, 1, [1]), (2, 3, [6]), (10, 1, [5, 5]), (16, 1, [8, 8]), (17, 2, [6, 6, 6, 6, 5, 5]), (3, 5, [6, 6, 3])],
)
def test_stacks_are_as_large_as_each_other(arms: int, seeds: int, sizes: list[int]) -> None:
    dataset, config = load_dataset("digits"), make_run_config("digits", student="mlp-4", labels=20, seeds=seeds)
    first = [baseline_student(config, dataset, dataset.train.images, seed) for seed in config.seeds]
    students = [replace(one, arm=f"arm {number}") for one in first for number in range(arms)]
    teams = build_teams(students, dataset.image_shape, dataset.num_classes, Schedule.of(config), pick_device("cpu"))
    assert sorted((len(team.students) for team in teams), reverse=True) == sizes and max(sizes) <= MOST_STACKED
    found = [(one.arm, one.seed) for team in teams for one in team.students]
    assert sorted(found) == sorted((one.arm, one.seed) for one in students)
    for team in teams:  # every source of pictures has as many students
        assert len(set(Counter(one.seed for one in team.students).values())) == 1


def test_what_students_share_is_looked_up_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight students differ in their temperature only. Moving a tensor copies it here, as moving it to a GPU does."""
    dataset, config = load_dataset("digits"), make_run_config("digits", student="mlp-4", labels=20, seeds=1)
    first = baseline_student(config, dataset, dataset.train.images, 0)
    taught = first.transfer_set.with_teacher_logits(torch.zeros(9, 20, 10))
    temperatures = [objective_of(replace(config, temperature=1.0 + number)) for number in range(8)]
    students = [
        replace(first, arm=f"at {number}", transfer_set=replace(taught), objective=objective)
        for number, objective in enumerate(temperatures)
    ]
    move = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda *args, **kwargs: move(*args, **{**kwargs, "copy": True}))
    (one_team,) = build_teams(students, dataset.image_shape, 10, Schedule.of(config), pick_device("cpu"))
    asked = []

    def count(student: Student, *args: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(student.arm)
        return batch_targets(student, *args)

    monkeypatch.setattr("kdcore.training.team.batch_targets", count)
    one_team.learn({0: torch.arange(20)}, {0: torch.zeros(20, dtype=torch.int64)}, 0.0)
    assert len(one_team.students) == 8 and len(asked) == 1
