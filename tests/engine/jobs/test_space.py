"""What a run needs on the disk, beside what it really writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcore.events import CheckpointSaved, RunFinished
from kdcore.jobs.space import MARGIN, NoSpace, check_space, space_needed
from kdcore.machine import disk
from kdcore.networks.registry import build_model, count_params
from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id
from kdcore.teachers.load import load_teacher
from kdcore.training.arms import objective_of
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.trainer import train
from tests.engine.jobs.test_housekeeping import TINY

SEVERAL = {"method": "teacher-assistant", "parameters": {"assistants": "mlp-800-801,mlp-800-802,mlp-800-803"}}


@pytest.mark.parametrize(("student", "more"), [("mlp-8", {}), ("mlp-800-800", {}), ("mlp-8", SEVERAL)])
def test_the_estimate_covers_what_a_run_really_writes(store: Store, student: str, more: dict[str, Any]) -> None:
    config = make_run_config("digits", **{**TINY, "student": student, "seeds": 1, **more})
    folder, largest = store.home / "runs" / new_id(), 0
    for event in train(config, run_dir=folder):
        if isinstance(event, CheckpointSaved | RunFinished):
            files = [path.stat().st_size for path in store.home.rglob("*") if path.is_file()]
            checkpoint = (folder / "checkpoints").glob("*.safetensors")
            # A new checkpoint is written before the old one is removed.
            largest = max(largest, sum(files) + max(path.stat().st_size for path in checkpoint))
    needed = space_needed(config) - MARGIN
    assert needed + MARGIN > largest
    if student == "mlp-800-800" or more:  # only where the students take more space than everything else
        assert needed / 2 < largest < needed


def test_peers_and_the_regressors_of_hints_are_counted() -> None:
    settings = {**TINY, "student": "convnet-4", "seeds": 3}
    plain, hints, pairs = (
        make_run_config("digits", **settings, method=method) for method in ("kd", "fitnets", "mutual")
    )
    teacher, student = load_teacher("digits"), build_model("convnet-4", (1, 8, 8), 10)
    feature_loss = FeatureLoss(objective_of(hints), student, teacher, (1, 8, 8), 0)
    assert space_needed(hints) - space_needed(plain) == 2 * 3 * 3 * 4 * count_params(feature_loss.adapter) > 0
    assert space_needed(pairs) - space_needed(plain) == 2 * 3 * 3 * 4 * count_params(student)


def test_more_seeds_and_larger_students_need_more() -> None:
    small, seeds, large = (
        space_needed(make_run_config("digits", **{**TINY, **change}))
        for change in ({}, {"seeds": 20}, {"student": "mlp-800-800"})
    )
    assert MARGIN < small < seeds < large


def test_a_run_is_refused_below_its_need_and_not_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_run_config("digits", **TINY)
    needed = space_needed(config)
    monkeypatch.setattr(disk, "free_space", lambda folder: needed)
    check_space(config, tmp_path)
    monkeypatch.setattr(disk, "free_space", lambda folder: needed - 1)
    with pytest.raises(NoSpace) as refused:
        check_space(config, tmp_path)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)
