"""A whole run: its story in order, that it can be repeated exactly, and that the teacher stays frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.errors import ConfigError
from kdcore.events import TeacherCached, event_from_json
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.teachers.load import load_teacher
from kdcore.training.trainer import train
from tests.engine.conftest import EPOCHS
from tests.engine.training.run_events import curves, figures


def test_a_run_tells_its_story_in_order(config: RunConfig, tmp_path: Path) -> None:
    events = list(train(config, run_dir=tmp_path / "abc", home=tmp_path))
    kinds = [event.type for event in events]
    assert kinds == ["RunStarted", "TeacherCached", *["EpochEnded", "CheckpointSaved"] * EPOCHS, "RunFinished"]
    assert all(event_from_json(event.to_json()) == event for event in events)
    result = events[-1].result
    assert result["run_id"] == "abc"
    assert set(result["arms"]) == {"teacher", "baseline", "distilled"}
    difference = np.subtract(
        result["arms"]["distilled"]["accuracy"]["per_seed"], result["arms"]["baseline"]["accuracy"]["per_seed"]
    )
    assert result["paired_difference"]["per_seed"] == pytest.approx(difference)
    for row in result["arms"].values():
        assert [latency["batch_size"] for latency in row["latency_ms"]] == [1, 64]
        assert all(0 < latency["p50"] <= latency["p95"] for latency in row["latency_ms"])


def test_the_same_configuration_gives_the_same_history_and_result(config: RunConfig, tmp_path: Path) -> None:
    first = list(train(config, home=tmp_path))
    again = list(train(RunConfig.from_json(config.to_json()), home=tmp_path))
    assert curves(first) == curves(again)
    assert figures(first) == figures(again)
    cached = [event.reused for event in (*first, *again) if isinstance(event, TeacherCached)]
    assert cached == [False, True]


def test_distill_weight_0_is_the_baseline(tmp_path: Path) -> None:
    """With a distill weight of 0 both arms minimise the same loss, so they must be equal to the last bit."""
    config = make_run_config("digits", labels=60, epochs=3, seeds=2, distill_weight=0.0, device="cpu")
    events = list(train(config, home=tmp_path))
    for epoch in curves(events).values():
        assert epoch["baseline"] == epoch["distilled"]
    assert events[-1].result["paired_difference"]["per_seed"] == [0.0, 0.0]
    assert events[-1].result["verdict"]["claim"] == "none"


def test_the_teacher_is_byte_equal_after_a_run_and_stays_in_eval_mode(config: RunConfig, tmp_path: Path) -> None:
    teacher = load_teacher("digits")
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    assert any("running_mean" in name for name in before)
    teacher.network.train()
    torch.nn.Module.train(torch.nn.Sequential(teacher.network), True)
    teacher.logits(load_dataset("digits").train.images)
    teacher.network(torch.randn(4, 1, 8, 8))
    assert not any(module.training for module in teacher.network.modules())
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
    list(train(config, home=tmp_path))
    after = teacher.network.state_dict()
    assert all(before[name].numpy().tobytes() == after[name].numpy().tobytes() for name in before)


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="other classes"):
        list(train(make_run_config("digits", teacher="creatures"), home=tmp_path))
