"""A whole run on real scans of digits: what its arms share, that the teacher stays frozen, that a run can be repeated
exactly, and that it continues after a stop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
import torch

from kdcore.datasets import dataset_info, load_dataset
from kdcore.errors import ConfigError
from kdcore.events import (
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    TeacherCached,
    TeacherEpochEnded,
    event_from_json,
)
from kdcore.machine.device import pick_device
from kdcore.machine.tensor_files import pack_optimizer, unpack_optimizer
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.defaults import DEFAULTS
from kdcore.settings.sweeps import points
from kdcore.teachers.load import load_teacher
from kdcore.training import fitting
from kdcore.training.arms import TeacherAnswers, build_students
from kdcore.training.fitting import is_validated
from kdcore.training.students import Schedule
from kdcore.training.team import Team
from kdcore.training.teams import build_teams
from kdcore.training.trainer import train
from kdcore.training.transfer_sets import labelled_subset

EPOCHS = 6


@pytest.fixture
def config() -> RunConfig:
    return make_run_config("digits", labels=60, epochs=EPOCHS, seeds=2, batch_size=20, device="cpu")


def curves(events: list[Event]) -> dict[int, object]:
    return {event.epoch: event.curves for event in events if isinstance(event, EpochEnded)}


def figures(events: list[Event]) -> object:
    """Return the result without its measured times."""
    result = dict(events[-1].result)
    arms = {arm: {k: v for k, v in row.items() if k != "latency_ms"} for arm, row in result["arms"].items()}
    clocks = dict.fromkeys(("seconds", "teacher_seconds", "whole", "run_id"))
    return {**result, "arms": arms, **clocks}


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


def test_the_optimiser_of_a_convnet_goes_on_with_the_step_that_it_would_have_taken() -> None:
    """Kernels are in channels_last order in memory. A file does not keep this order, and a fused optimiser step relies
    on it."""
    generator, after = torch.Generator().manual_seed(0), []
    gradients = [torch.randn(4, 3, 3, 3, generator=generator) for _ in range(2)]
    for interrupted in (False, True):
        kernel = torch.nn.Parameter(torch.ones(4, 3, 3, 3).to(memory_format=torch.channels_last))
        optimizer = torch.optim.AdamW([kernel], lr=0.1, fused=True)
        for gradient in gradients:
            kernel.grad = torch.empty_like(kernel).copy_(gradient)
            optimizer.step()
            if interrupted:
                kept = {name: value.contiguous() for name, value in pack_optimizer(optimizer, "o.").items()}
                optimizer = torch.optim.AdamW([kernel], lr=0.1, fused=True)
                unpack_optimizer(optimizer, kept, "o.")
        after.append(kernel.detach().clone())
    assert torch.equal(*after)


def test_a_stopped_run_goes_on_to_the_result_of_an_undisturbed_one(config: RunConfig, tmp_path: Path) -> None:
    whole = list(train(config, run_dir=tmp_path / "whole", home=tmp_path))
    asked = iter(range(10_000))
    steps_an_epoch = 3  # batches; all students of both seeds take each step together
    stop = 3 * steps_an_epoch + 2
    first = list(train(config, run_dir=tmp_path / "cut", home=tmp_path, should_stop=lambda: next(asked) >= stop))
    assert isinstance(first[-1], RunFailed)
    assert first[-1].kind == "cancelled"
    assert max(curves(first)) == 3
    rest = list(train(config, run_dir=tmp_path / "cut", home=tmp_path))
    assert isinstance(rest[0], RunStarted)
    assert rest[0].epochs_done == 3
    assert min(curves(rest)) == 3  # its last finished epoch is told again, in case nobody heard it
    assert {**curves(first), **curves(rest)} == curves(whole)
    assert figures(rest) == figures(whole)
    assert len(list((tmp_path / "cut" / "checkpoints").iterdir())) == 1


def test_a_damaged_checkpoint_is_not_continued(config: RunConfig, tmp_path: Path) -> None:
    list(train(config, run_dir=tmp_path / "run", home=tmp_path))
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    saved.write_bytes(saved.read_bytes()[:-100])
    started = next(train(config, run_dir=tmp_path / "run", home=tmp_path))
    assert isinstance(started, RunStarted)
    assert started.epochs_done == 0


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


def test_the_arms_of_a_seed_start_equal_and_seeds_differ(config: RunConfig) -> None:
    dataset = load_dataset("digits")
    logits = {"digits": torch.zeros(1, len(dataset.train), 10, dtype=torch.float16)}
    answers = TeacherAnswers(dataset.train.images, {}, logits, {})
    students = build_students(points(config), dataset, answers)
    teams = build_teams(students, dataset.image_shape, 10, Schedule.of(config), pick_device("cpu"))
    weights = {
        (student.seed, student.arm): torch.cat([value.flatten() for value in state.values()])
        for team in teams
        for student, state in zip(team.students, team.states(), strict=True)
    }
    assert torch.equal(weights[0, "baseline"], weights[0, "distilled"])
    assert not torch.equal(weights[0, "baseline"], weights[1, "baseline"])


def test_labelled_subsets_are_balanced_nested_and_differ_by_seed() -> None:
    labels = torch.arange(400) % 8
    small, large = labelled_subset(labels, 40, seed=3), labelled_subset(labels, 80, seed=3)
    assert labels[small].bincount().tolist() == [5] * 8
    assert set(small.tolist()) < set(large.tolist())
    assert len(set(large.tolist())) == 80
    assert set(small.tolist()) != set(labelled_subset(labels, 40, seed=4).tolist())


def test_validation_is_looked_at_at_most_fifteen_times_and_at_the_end() -> None:
    for epochs in (1, 7, 20, 33, 200):
        looks = [epoch for epoch in range(epochs) if is_validated(epoch, epochs)]
        assert looks[-1] == epochs - 1
        assert 1 <= len(looks) <= 15


def test_defaults_fit_their_datasets() -> None:
    for name in ("creatures", "digits"):
        dataset, defaults = load_dataset(name), DEFAULTS[name]
        assert load_teacher(defaults.teacher).card.class_names == dataset.class_names
    for name, defaults in DEFAULTS.items():
        assert defaults.student in defaults.students
        make_run_config(name)


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="other classes"):
        list(train(make_run_config("digits", teacher="creatures"), home=tmp_path))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", 0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("labels", -1),
        ("labels", 0),
        ("labels", 1_000_000),
        ("labels", 10.5),
        ("distill_weight", 2.0),
        ("distill_weight", -0.1),
        ("seeds", 0),
        ("seeds", (1, 1)),
        ("epochs", 0),
        ("student", "vit-b"),
        ("method", "magic"),
        ("device", "tpu"),
        ("colour", "red"),
    ],
)
def test_what_is_not_legal_is_refused_in_one_sentence(setting: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        make_run_config("digits", **{setting: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_an_unknown_dataset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="creatures, digits"):
        make_run_config("imagenet")


def test_a_configuration_survives_json(config: RunConfig) -> None:
    assert RunConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError):
        RunConfig.from_json({**config.to_json(), "extra": 1})
    with pytest.raises(ConfigError):
        RunConfig.from_json({"dataset": "digits"})


def test_the_result_holds_what_every_interval_needs(config: RunConfig, tmp_path: Path) -> None:
    finished = [event for event in train(config, home=tmp_path) if isinstance(event, RunFinished)]
    (event,) = finished
    for arm in ("baseline", "distilled"):
        for name in ("accuracy", "ece", "agreement", "nll", "kl_to_teacher"):
            estimate = event.result["arms"][arm][name]
            assert len(estimate["per_seed"]) == 2
            low, high = estimate["ci95"]
            assert low <= estimate["mean"] <= high
