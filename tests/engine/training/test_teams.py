"""Division of students into teams: every student is in exactly one, no team is too large, and the sizes are similar."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from kdcore.datasets import load_dataset
from kdcore.machine.device import pick_device
from kdcore.settings.config import make_run_config
from kdcore.training.arms import baseline_student
from kdcore.training.students import Schedule
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
