"""A teacher whose training diverges is not kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kdcore.datasets import load_dataset
from kdcore.errors import TrainingDiverged
from kdcore.networks.registry import build_model
from kdcore.teachers.building import build
from kdcore.teachers.building.training import train_teacher
from tests.engine.trained_together import NORM
from tests.engine.unmeasured import PRECISE


def test_a_training_that_diverges_names_its_epoch_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    recipe = replace(NORM, learning_rate=1e30, epochs=3)
    with pytest.raises(TrainingDiverged, match=r"small-norm diverged in epoch 1.*choose another"):
        list(train_teacher(recipe, load_dataset("digits"), PRECISE, tmp_path / "checkpoint"))
    assert not list(tmp_path.iterdir())


def test_weights_beyond_fp16_are_not_kept_although_the_loss_is_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_model("convnet-16", load_dataset("digits").image_shape, 10, seed=0)
    next(network.parameters()).data.mul_(1e6)
    monkeypatch.setattr(build, "train_teacher", lambda *_: iter([network]))
    with pytest.raises(TrainingDiverged, match="digits diverged"):
        list(build.build_teacher("digits", tmp_path, "cpu"))
    assert not list(tmp_path.iterdir())
