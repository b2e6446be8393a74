"""What each arm is told: each control removes or replaces one ingredient of distillation, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdcore.datasets import Dataset, load_dataset
from kdcore.machine.device import pick_device
from kdcore.methods.registry import METHODS
from kdcore.networks.registry import build_model
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.defaults import defaults_for
from kdcore.settings.sweeps import points, teachers_of
from kdcore.teachers.ensemble_names import members_of
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits
from kdcore.training import arms as arms_module
from kdcore.training.arms import TeacherAnswers, build_students, random_teacher, rows_to_ask
from kdcore.training.students import Schedule, Student
from kdcore.training.teams import build_teams, threads_for, train_epoch
from kdcore.training.transfer_sets import labelled_subset, other_subset, permute_wrong_classes, shuffle_within_classes
from tests.engine.shared_settings import ALL
from tests.engine.unmeasured import PRECISE, SHORT, Trained, another_teacher, flat


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


Build = Callable[..., tuple[RunConfig, dict[str, Student]]]


@pytest.fixture(scope="module")
def told(own_home: Path) -> Build:
    """A function that builds a run and returns the students of its first seed by arm. The teachers of controls are the
    run's own teacher with its logits halved."""

    def build(dataset_name: str = "digits", dataset: Dataset | None = None, **settings: object) -> object:
        config = make_run_config(dataset_name, **{**SHORT, "student": "mlp-8", "seeds": 2, **settings})
        known = load_dataset(dataset_name)
        teacher = load_teacher(config.teacher)
        views, rows = defaults_for(dataset_name).views, rows_to_ask(config, known)
        own, _ = cached_teacher_logits(teacher, known, views, rows, own_home)
        said = {name: own if name == config.teacher else own / 2 for name in teachers_of(config)}
        answers = TeacherAnswers(known.train.images, {config.teacher: teacher}, said, {})
        students = build_students(points(config), dataset or known, answers)
        return config, {student.arm: student for student in students if student.seed == 0}

    return build  # type: ignore[return-value]


def test_every_control_is_told_what_its_sentence_says(told: Build) -> None:
    config, arms = told(controls=ALL)
    assert list(arms) == ["baseline", "distilled", *ALL]
    distilled = arms["distilled"]
    soft = distilled.transfer_set.teacher_logits
    assert soft is not None and soft.isfinite().all()
    for name, student in arms.items():
        assert (student.model, student.weights_seed, student.seed) == ("mlp-8", 0, 0)
        assert student.objective.method.name == "kd"
        other_pictures = name in ("unlabelled", "noise")
        assert (student.transfer_set.hard_labels is None) == other_pictures
        assert torch.equal(student.transfer_set.rows, distilled.transfer_set.rows) != other_pictures
        weight = {"baseline": 0.0, "label-smoothing": 0.0, "unlabelled": 1.0, "noise": 1.0}.get(name, 0.9)
        assert student.objective.settings["distill_weight"] == weight
        assert student.objective.settings["label_smoothing"] == (0.1 if name == "label-smoothing" else 0.0)
        assert len(student.transfer_set.rows) == config.labels
    labels = distilled.transfer_set.hard_labels
    assert labels is not None

    def said(name: str) -> torch.Tensor:
        found = arms[name].transfer_set.teacher_logits
        assert found is not None and found.shape == soft.shape and found.isfinite().all()
        return found

    assert arms["baseline"].transfer_set.teacher_logits is None
    assert arms["label-smoothing"].transfer_set.teacher_logits is None
    assert torch.equal(said("shuffled"), shuffle_within_classes(soft, labels, 0))
    assert torch.equal(said("permuted"), permute_wrong_classes(soft, labels, 0))
    assert torch.equal(said("undertrained-teacher"), soft / 2) and torch.equal(said("smoothed-teacher"), soft / 2)
    teacher = load_teacher("digits")
    for name in ("unlabelled", "noise"):
        found = arms[name].transfer_set
        torch.testing.assert_close(
            said(name)[0].float(), teacher.logits(found.images[found.rows]), atol=2e-2, rtol=2e-3
        )
    own = set(distilled.transfer_set.rows.tolist())
    assert not own & set(arms["unlabelled"].transfer_set.rows.tolist())


def test_the_posteriors_student_is_told_the_truth(told: Build) -> None:
    for method in ("kd", "label-smoothing"):
        _, arms = told("creatures", method=method)
        student = arms["posterior"]
        soft, truth = student.transfer_set.teacher_logits, load_dataset("creatures").train.posterior
        assert soft is not None and truth is not None
        torch.testing.assert_close(
            soft.float().softmax(2), truth[student.transfer_set.rows].float().expand(2, -1, -1), atol=2e-3, rtol=0
        )
        assert student.objective.settings["distill_weight"] == 0.9  # there is something to learn, whatever the method


@pytest.mark.parametrize("method", ["kd", "dkd", "standardised-kd"])
def test_pictures_without_labels_teach_the_same_whatever_their_labels_are(
    told: Build, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice of the pictures, and what a student learns from them, stay the same when the labels of all unlabelled
    pictures are drawn anew."""
    known, found = load_dataset("digits"), []
    labels = known.train.hard_labels
    own = {seed: labelled_subset(labels, 40, seed) for seed in (0, 1)}
    monkeypatch.setattr(arms_module, "labelled_subset", lambda labels, count, seed: own[seed])
    drawn = torch.randint(10, labels.shape, generator=torch.Generator().manual_seed(9))
    drawn[own[0]] = labels[own[0]]
    assert (drawn != labels).double().mean() > 0.8
    for dataset in (known, replace(known, train=replace(known.train, hard_labels=drawn))):
        config, arms = told(dataset=dataset, controls=("unlabelled", "noise"), method=method)
        students = [arms["unlabelled"], arms["noise"]]
        rows = students[0].transfer_set.rows
        assert torch.equal(rows, other_subset(own[0], len(known.train), 0))
        teams = build_teams(students, (1, 8, 8), 10, Schedule.of(config), PRECISE)
        losses = train_epoch(teams, 0, threads_for(teams))
        found.append((losses, [state for team in teams for state in team.states()]))
    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    if method == "dkd":  # its target is what the teacher takes them for
        team = next(team for team in build_teams([arms["noise"]], (1, 8, 8), 10, Schedule.of(config), PRECISE))
        order, view = torch.arange(10), torch.zeros(10, dtype=torch.int64)
        soft = arms["noise"].transfer_set.teacher_logits[0, :10].float()
        named = replace(arms["noise"].transfer_set, hard_labels=soft.argmax(1))
        labelled = replace(arms["noise"], transfer_set=named)
        same = build_teams([labelled], (1, 8, 8), 10, Schedule.of(config), PRECISE)[0]
        first, second = (one.learn({0: order}, {0: view}, 0.0) for one in (team, same))
        torch.testing.assert_close(first, second)


def test_a_random_teacher_is_another_for_each_seed_and_knows_nothing() -> None:
    teacher, images = load_teacher("digits"), load_dataset("digits").validation.images
    first, again, other = (random_teacher(teacher, seed).logits(images) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.allclose(first, other)
    right = (first.argmax(1) == load_dataset("digits").validation.hard_labels).double().mean()
    assert (
        right
        < 0.3
        < float((teacher.logits(images).argmax(1) == load_dataset("digits").validation.hard_labels).double().mean())
    )
    assert random_teacher(replace(teacher, card=replace(teacher.card, crop=0.5)), 0).network.crop == 0.5


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_random_teacher_is_not_the_student_itself(seed: int) -> None:
    """With the same architecture and the same weights, the student's soft labels would be its own first answers."""
    teacher = load_teacher("digits")
    student = build_model(teacher.card.model, (1, 8, 8), 10, seed=seed)
    said = random_teacher(teacher, seed).network.network.state_dict()
    kernels = [name for name, value in student.state_dict().items() if value.ndim > 1]
    assert kernels and not any(torch.equal(student.state_dict()[name], said[name]) for name in kernels)


def test_an_ensemble_has_controls_too(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    for name in ("zebra", "zebra-undertrained", "digits-undertrained", "zebra-smoothed", "digits-smoothed"):
        another_teacher(tmp_path / "models", name, of="digits")
    trained.run("digits", student="mlp-8", seeds=1, teacher="digits+zebra", controls=ALL)
    assert {"baseline", "distilled", *ALL} == set(trained.curves())
    assert all(np.isfinite(one["train_loss"]).all() for one in trained.curves().values())


@pytest.mark.parametrize("student", ["convnet-4", "mlp-8"])
def test_every_method_trains(trained: Trained, student: str) -> None:
    """All methods are trained in one sweep: losses are finite, weights change, and the students of every other method
    end with other weights than those of Hinton's."""
    left_out = {"multi-teacher"} | ({"attention-transfer", "fitnets"} if student == "mlp-8" else set())
    names = [name for name in METHODS if name not in left_out]
    trained.run(student=student, seeds=1, vary={"method": names})
    arms = {name: "distilled" if name == "kd" else f"distilled (method={name})" for name in names}
    assert set(trained.curves()) == {"baseline", "posterior", *arms.values()}
    for curves in trained.curves().values():
        assert np.isfinite(curves["train_loss"]).all() and np.isfinite(curves["validation_accuracy"]).all()
    students = trained.students()
    first = flat(build_model(student, (3, 32, 32), 8, seed=0).state_dict())
    hinton = flat(students["distilled", 0][1])
    for name, arm in arms.items():
        told, state = students[arm, 0]
        assert told.objective.method.name == ("kd" if name == "label-smoothing" else name)
        weights = flat(state)
        assert weights.isfinite().all() and (weights - first).abs().max() > 1e-3
        assert name == "kd" or (weights - hinton).abs().max() > 1e-3, name


def test_several_teachers_are_told_apart_and_each_is_heard(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    another_teacher(tmp_path / "models", "zebra", of="creatures")
    trained.run(student="mlp-8", seeds=1, method="multi-teacher", teacher="zebra+creatures")
    student, state = trained.students()["distilled", 0]
    found = student.transfer_set
    assert found.teacher_logits is not None and found.teacher_logits.shape == (2, 40, 2, 8)
    for place, name in enumerate(members_of("creatures+zebra")):
        alone = load_teacher(name).logits(found.images[found.rows])
        torch.testing.assert_close(found.teacher_logits[0, :, place].float(), alone, atol=2e-2, rtol=2e-3)
    trained.run(student="mlp-8", seeds=1, method="kd", teacher="zebra+creatures@4")  # averaged where they are matched
    _, expected = trained.students()["distilled", 0]
    torch.testing.assert_close(flat(state), flat(expected), atol=5e-3, rtol=0)


def test_points_that_a_teacher_tells_the_same_share_its_logits(trained: Trained) -> None:
    trained.run("digits", student="mlp-8", seeds=2, epochs=1, vary={"temperature": (1.0, 2.0), "method": ("kd", "dkd")})
    found: dict[int, set[int]] = {0: set(), 1: set()}
    for (arm, seed), (student, _) in trained.students().items():
        if student.transfer_set.teacher_logits is not None:
            assert arm.startswith("distilled")
            found[seed].add(student.transfer_set.teacher_logits.data_ptr())
    assert [len(found[seed]) for seed in (0, 1)] == [1, 1] and found[0] != found[1]


def test_ensembles_of_different_size_teach_side_by_side(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    for name in ("yak", "zebra"):
        another_teacher(tmp_path / "models", name, of="digits")
    pairs = ("digits+zebra", "digits+yak+zebra")
    config = trained.run("digits", student="mlp-8", seeds=1, method="multi-teacher", vary={"teacher": pairs})
    together = trained.students()
    for point in points(config):
        trained.train(point.config)
        alone = trained.students()["distilled", 0]
        assert alone[0].transfer_set.members == (len(point.config.teacher.split("+")),)
        torch.testing.assert_close(flat(together[point.arm("distilled"), 0][1]), flat(alone[1]), rtol=0, atol=2e-3)
