"""Controls: each removes or replaces one ingredient of distillation, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdcore.datasets import Dataset, dataset_info, load_dataset
from kdcore.errors import ConfigError, UnknownName
from kdcore.methods.registry import METHODS
from kdcore.networks.registry import build_model
from kdcore.settings import config as config_module
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.controls import CONTROLS, check_controls, control_teacher
from kdcore.settings.defaults import defaults_for
from kdcore.settings.sweeps import points, teachers_of
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits
from kdcore.training import arms as arms_module
from kdcore.training import results
from kdcore.training.arms import TeacherAnswers, arm_names, build_students, random_teacher, rows_to_ask
from kdcore.training.students import Schedule, Student
from kdcore.training.teams import build_teams, threads_for, train_epoch
from kdcore.training.transfer_sets import (
    labelled_subset,
    noise_pictures,
    other_subset,
    permute_wrong_classes,
    shuffle_within_classes,
)
from tests.engine.unmeasured import PRECISE, SHORT, Trained, another_teacher

ALL = tuple(CONTROLS)
N, K = 60, 7


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    """Teacher logits of two views of 60 pictures of 7 classes; no two numbers are equal."""
    return torch.randn(2, N, K, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def hard_labels() -> torch.Tensor:
    labels = torch.randint(K - 1, (N,), generator=torch.Generator().manual_seed(2))
    labels[-1] = K - 1  # alone in its class
    return labels


# --- the registry ---


def test_the_registry_holds_what_the_issue_asks_for() -> None:
    asked = {
        "shuffled",
        "permuted",
        "random-teacher",
        "undertrained-teacher",
        "smoothed-teacher",
        "unlabelled",
        "noise",
    }
    assert set(ALL) == asked | {"label-smoothing"}
    for name, control in CONTROLS.items():
        assert control.name == name and control.sentence.endswith(".") and control.theory.endswith(".")
    assert "posterior" in arm_names(
        make_run_config("creatures"), load_dataset("creatures")
    )  # the one more that is asked


def test_controls_are_kept_in_one_order_and_once() -> None:
    assert check_controls(("noise", "shuffled", "noise")) == ("shuffled", "noise")
    assert make_run_config("digits", controls=["noise", "shuffled"]).controls == ("shuffled", "noise")
    with pytest.raises(UnknownName, match="shuffled"):
        make_run_config("digits", controls=("silence",))
    with pytest.raises(ConfigError, match="Controls are names"):
        check_controls((3,))  # type: ignore[arg-type]


def test_a_control_needs_a_method_with_a_teacher() -> None:
    for name, method in METHODS.items():
        teacher = "digits+b" if name == "multi-teacher" else "digits"
        if method.uses == "teacher":
            make_run_config("digits", method=name, teacher=teacher, controls=ALL)
            continue
        with pytest.raises(ConfigError) as caught:
            make_run_config("digits", method=name, teacher=teacher, controls=("shuffled",))
        assert name in str(caught.value) and str(caught.value).count(".") == 1


def test_the_teachers_of_controls_are_called_after_the_runs_own() -> None:
    assert control_teacher("digits", "undertrained-teacher") == "digits-undertrained"
    assert control_teacher("digits", "smoothed-teacher") == "digits-smoothed"
    assert control_teacher("digits", "shuffled") == "digits"
    assert control_teacher("b+a@4", "smoothed-teacher") == "a-smoothed+b-smoothed@4"
    assert control_teacher("a+b@logits", "undertrained-teacher") == "a-undertrained+b-undertrained@logits"
    assert teachers_of(make_run_config("digits", controls=ALL)) == ("digits", "digits-undertrained", "digits-smoothed")


# --- what is done to soft labels ---


def test_shuffled_rows_stay_in_their_class_and_nobody_keeps_its_own(
    logits: torch.Tensor, hard_labels: torch.Tensor
) -> None:
    shuffled = shuffle_within_classes(logits, hard_labels, seed=3)
    source = [(logits[0] == row).all(1).nonzero().item() for row in shuffled[0]]  # whose each row was
    assert sorted(source) == list(range(N))
    assert torch.equal(hard_labels[torch.tensor(source)], hard_labels)
    sizes = hard_labels.bincount()
    for place, whose in enumerate(source):
        assert (whose == place) == (sizes[hard_labels[place]] == 1)
    assert torch.equal(shuffled[1], logits[1][torch.tensor(source)])  # the same picture's in every view
    assert torch.equal(shuffled, shuffle_within_classes(logits, hard_labels, seed=3))
    assert not torch.equal(shuffled, shuffle_within_classes(logits, hard_labels, seed=4))


def test_permuted_rows_keep_the_confidence_and_lose_which_wrong_class_is_meant(
    logits: torch.Tensor, hard_labels: torch.Tensor
) -> None:
    permuted = permute_wrong_classes(logits, hard_labels, seed=3)
    rows = torch.arange(N)
    assert torch.equal(permuted[:, rows, hard_labels], logits[:, rows, hard_labels])
    assert torch.equal(permuted.sort(2).values, logits.sort(2).values)
    for temperature in (1.0, 4.0):
        sure = (permuted / temperature).softmax(2)[:, rows, hard_labels]
        torch.testing.assert_close(sure, (logits / temperature).softmax(2)[:, rows, hard_labels])
    places = [
        [tuple((logits[view, row] == value).nonzero().item() for value in permuted[view, row]) for row in range(N)]
        for view in (0, 1)
    ]
    assert places[0] == places[1]  # one permutation for all views of a picture
    assert len(set(places[0])) > N // 2  # and another for the next
    # Each wrong class is as likely as the next: what the dark knowledge says of a class is its mean over all.
    many = torch.arange(float(K)).expand(1, 4000, K)
    mean = permute_wrong_classes(many, torch.zeros(4000, dtype=torch.int64), seed=0).mean(1)[0]
    np.testing.assert_allclose(mean, [0.0, *[3.5] * (K - 1)], atol=5 * 1.71 / 4000**0.5)


@pytest.mark.parametrize("labels", [1, 7, 30])
def test_other_pictures_are_others(hard_labels: torch.Tensor, labels: int) -> None:
    own = labelled_subset(hard_labels, labels, seed=1)
    others = other_subset(own, N, seed=1)
    assert len(own) == len(others) == labels
    assert len({*own.tolist(), *others.tolist()}) == 2 * labels
    assert torch.equal(others, other_subset(own, N, seed=1))
    if N - labels > labels:  # else it is all of the others
        assert not torch.equal(others, other_subset(own, N, seed=2))


def test_other_pictures_come_as_they_are() -> None:
    """The draw ignores classes: from classes of 900 and 100 pictures it does not take equally many."""
    labels = (torch.arange(1000) >= 900).long()
    shares = []
    for seed in range(40):
        own = labelled_subset(labels, 100, seed)
        assert labels[own].bincount().tolist() == [50, 50]
        shares.append(float(labels[other_subset(own, 1000, seed)].double().mean()))
    # 50 of the 900 that are left; of a share of 40 times 100 the standard deviation is 0.0035.
    assert float(np.mean(shares)) == pytest.approx(50 / 900, abs=0.015)


def test_noise_is_noise_and_the_same_for_the_same_seed() -> None:
    pictures = noise_pictures(50, (3, 16, 16), seed=1)
    assert pictures.dtype == torch.uint8 and pictures.shape == (50, 3, 16, 16)
    assert torch.equal(pictures, noise_pictures(50, (3, 16, 16), seed=1))
    assert not torch.equal(pictures, noise_pictures(50, (3, 16, 16), seed=2))
    counts = pictures.flatten().bincount(minlength=256).double()
    expected = pictures.numel() / 256
    assert float(((counts - expected) ** 2 / expected).sum()) < 255 + 5 * (2 * 255) ** 0.5  # chi-squared


# --- what each arm is told ---

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


def test_a_control_is_compared_with_distilled_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval equals the paired one of Student's t, worked in NumPy, and differs from the interval of two
    independent samples."""
    monkeypatch.setattr(results, "measure_latency", lambda timed, device: dict.fromkeys(timed, ()))
    config = make_run_config("digits", student="mlp-8", seeds=3, labels=40, controls=("shuffled", "noise"))
    dataset, generator = load_dataset("digits"), torch.Generator().manual_seed(0)
    n = len(dataset.test)
    names = ("baseline", "distilled", *config.controls)
    own = torch.randn(3, n, 10, generator=generator)  # what the arms of a seed share
    logits = {name: own + 0.3 * torch.randn(3, n, 10, generator=generator) for name in names}
    networks = {name: build_model("mlp-8", (1, 8, 8), 10, seed=0) for name in names}
    found = results.build_result(config, dataset, load_teacher("digits"), networks, logits, PRECISE)["arms"]
    labels = dataset.test.hard_labels.numpy()
    right = {name: (value.argmax(2).numpy() == labels).astype(float) for name, value in logits.items()}
    for name in config.controls:
        gain = right[name] - right["distilled"]  # [S, N]
        by_seed, by_picture = gain.mean(1), gain.mean(0)
        half = 4.302653 * np.sqrt(by_seed.var(ddof=1) / 3 + by_picture.var(ddof=1) / n)  # t of 2 degrees at 97.5 %
        assert found[name]["minus_distilled"]["per_seed"] == pytest.approx(by_seed.tolist())
        interval = (gain.mean() - half, gain.mean() + half)
        assert found[name]["minus_distilled"]["ci95"] == pytest.approx(interval, rel=1e-4)
    assert not any("minus_distilled" in found[name] for name in ("teacher", "baseline", "distilled"))


def test_an_ensemble_has_controls_too(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    for name in ("zebra", "zebra-undertrained", "digits-undertrained", "zebra-smoothed", "digits-smoothed"):
        another_teacher(tmp_path / "models", name, of="digits")
    trained.run("digits", student="mlp-8", seeds=1, teacher="digits+zebra", controls=ALL)
    assert {"baseline", "distilled", *ALL} == set(trained.curves())
    assert all(np.isfinite(one["train_loss"]).all() for one in trained.curves().values())


def test_there_must_be_other_pictures_for_the_control_without_labels() -> None:
    half = len(load_dataset("digits").train) // 2
    make_run_config("digits", labels=half, controls=("unlabelled",))
    with pytest.raises(ConfigError, match=f"at most {half}") as caught:
        make_run_config("digits", labels=half + 1, controls=("unlabelled",))
    assert str(caught.value).count(".") == 1


def test_shuffling_needs_another_picture_of_every_class() -> None:
    make_run_config("digits", labels=20, controls=("shuffled",))
    with pytest.raises(ConfigError, match="at least 20 labels") as caught:
        make_run_config("digits", labels=19, controls=("shuffled",))
    assert str(caught.value).count(".") == 1
    labels = load_dataset("digits").train.hard_labels
    for seed in range(5):  # then nobody keeps its own
        rows = labelled_subset(labels, 20, seed)
        logits = torch.randn(1, 20, 10, generator=torch.Generator().manual_seed(seed))
        assert not (shuffle_within_classes(logits, labels[rows], seed) == logits).all(2).any()


def test_permuting_needs_two_wrong_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.randn(1, 6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    assert torch.equal(permute_wrong_classes(logits, labels, 0), logits)  # it would be distilled once more
    for classes in (2, 3):
        info = replace(dataset_info("digits"), num_classes=classes)
        monkeypatch.setattr(config_module, "dataset_info", lambda name, info=info: info)
        if classes == 3:
            make_run_config("digits", controls=("permuted",))
            continue
        with pytest.raises(ConfigError, match="one wrong class") as caught:
            make_run_config("digits", controls=("permuted",))
        assert str(caught.value).count(".") == 1 and "leave it out" in str(caught.value)
