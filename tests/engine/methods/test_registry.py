"""The methods: their registry, their losses compared with NumPy, and what each student really learns from."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax

from kdcore.datasets import dataset_info, load_dataset
from kdcore.errors import ConfigError, UnknownName
from kdcore.events import TeacherEpochEnded
from kdcore.methods.feature_losses import attention_loss, attention_map, hint_loss, relational_loss
from kdcore.methods.registry import METHODS, check_parameters, find_method, total_loss
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.inference import predict_logits
from kdcore.networks.optimizers import one_cycle, parameter_groups
from kdcore.networks.registry import build_model, count_params
from kdcore.pictures.views import ViewSet, to_float
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import Recipe
from kdcore.settings.stages import event_names, stages_of
from kdcore.settings.sweeps import points
from kdcore.teachers.ensemble_names import members_of
from kdcore.teachers.load import load_teacher
from kdcore.teachers.teacher import Teacher
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.students import PEER, Objective, Schedule, Student
from kdcore.training.team import Team
from kdcore.training.transfer_sets import TransferSet
from tests.engine.unmeasured import PRECISE, Trained, another_teacher, flat

ISSUE = ["kd", "label-smoothing", "standardised-kd", "dkd", "dist", "fitnets", "attention-transfer", "rkd", "mutual"]
ISSUE += ["born-again", "teacher-assistant", "multi-teacher"]


# --- the registry ---


def test_the_registry_holds_what_the_issue_asks_for_with_papers() -> None:
    assert list(METHODS) == ISSUE
    for name, method in METHODS.items():
        assert method.name == name
        assert method.sentence.endswith(".") and method.title
        assert any(str(year) in method.paper for year in range(2015, 2025)) and "section" in method.paper
        names = [one.name for one in method.parameters]
        assert len(set(names)) == len(names)
        assert not set(names) & {"alpha", "beta", "gamma", "lambda", "tau"}
        row = method.to_json()
        assert [one["name"] for one in row["parameters"]] == names
        assert check_parameters(method, {}) == tuple((one.name, one.default) for one in method.parameters)
        teacher = "digits+b" if name == "multi-teacher" else "digits"
        make_run_config("digits", student="convnet-4", method=name, teacher=teacher)


@pytest.mark.parametrize(
    ("method", "given", "word"),
    [
        ("kd", {"target_weight": 1.0}, "it has: none"),
        ("dkd", {"hint_share": 0.5}, "it has: target_weight, non_target_weight"),
        ("dkd", {"target_weight": -1}, "from 0 to 1000, not -1"),
        ("dkd", {"target_weight": math.nan}, "not nan"),
        ("dkd", {"target_weight": math.inf}, "not inf"),
        ("dkd", {"target_weight": True}, "not True"),
        ("dkd", {"target_weight": None}, "not None"),
        ("label-smoothing", {"smoothing": 1.0}, "from 0 to 0.99"),
        ("fitnets", {"hint_share": 1.1}, "from 0 to 1"),
        ("fitnets", {"student_layer": 3}, "a text"),
        ("fitnets", {"student_layer": "x" * 201}, "a text"),
        ("born-again", {"generations": 0}, "a whole number from 1 to 10, not 0"),
        ("born-again", {"generations": 1.5}, "a whole number from 1 to 10, not 1.5"),
        ("born-again", {"generations": math.nan}, "not nan"),
        ("teacher-assistant", {"assistants": 2}, "a text"),
    ],
)
def test_a_parameter_that_is_not_legal_is_refused_in_one_sentence(
    method: str, given: dict[str, object], word: str
) -> None:
    for refuse in (
        lambda: check_parameters(find_method(method), given),
        lambda: make_run_config("digits", method=method, parameters=given),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        said = str(caught.value)
        assert word in said and method in said and "\n" not in said and said.endswith(".") and len(said) < 500


def test_a_method_brings_its_own_temperature_and_weight_unless_they_are_given() -> None:
    config = make_run_config("creatures", method="standardised-kd")
    assert (config.temperature, config.distill_weight) == (2.0, 0.9)
    config = make_run_config("creatures", method="mutual", temperature=3.0)
    assert (config.temperature, config.distill_weight) == (3.0, 0.5)
    assert dict(make_run_config("creatures", method="dkd", parameters={"target_weight": 2}).parameters) == {
        "target_weight": 2.0,
        "non_target_weight": 8.0,
    }


def test_what_is_counted_is_whole_where_it_is_varied_too() -> None:
    config = make_run_config("digits", method="born-again", vary={"generations": (1.0, 2, 3.0)})
    assert [len(stages_of(point.config)) for point in points(config)] == [1, 2, 3]
    with pytest.raises(ConfigError, match=r"whole number from 1 to 10, not 2.5"):
        make_run_config("digits", method="born-again", vary={"generations": (1.0, 2.5)})


# --- the losses ---

NO_PATHS = {"student_layer": "", "teacher_layer": ""}  # the layers that fit
SETTINGS = {"temperature": 3.0, "distill_weight": 0.7, "label_smoothing": 0.1}
Logits = np.ndarray


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * (np.log(p) - np.log(q))).sum(-1)


def kd_reference(student: Logits, teacher: Logits, hard_labels: np.ndarray, settings: dict[str, float]) -> float:
    t = settings["temperature"]
    return float(t**2 * kl(softmax(teacher / t, axis=1), softmax(student / t, axis=1)).mean())


def standardised_reference(student: Logits, teacher: Logits, labels: np.ndarray, settings: dict[str, float]) -> float:
    def scores(z: Logits) -> Logits:
        return (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)

    return kd_reference(scores(student), scores(teacher), labels, settings)


def dkd_reference(student: Logits, teacher: Logits, hard_labels: np.ndarray, settings: dict[str, float]) -> float:
    """KL(p ‖ q) = target + (1 - p_t) · rest (Zhao et al. 2022, equation 6) gives the rest from the other two."""
    t, rows = settings["temperature"], np.arange(len(hard_labels))
    p, q = softmax(teacher / t, axis=1), softmax(student / t, axis=1)
    sure, guess = p[rows, hard_labels], q[rows, hard_labels]
    target = kl(np.stack([sure, 1 - sure], 1), np.stack([guess, 1 - guess], 1))
    rest = (kl(p, q) - target) / (1 - sure)
    return float(t**2 * (settings["target_weight"] * target + settings["non_target_weight"] * rest).mean())


def dist_reference(student: Logits, teacher: Logits, hard_labels: np.ndarray, settings: dict[str, float]) -> float:
    t = settings["temperature"]
    p, q = softmax(teacher / t, axis=1), softmax(student / t, axis=1)
    between = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    within = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    return float(t**2 * (settings["between_weight"] * between + settings["within_weight"] * within))


def several_reference(student: Logits, teacher: Logits, labels: np.ndarray, settings: dict[str, float]) -> float:
    each = [kd_reference(student, teacher[:, member], labels, settings) for member in range(teacher.shape[1])]
    return float(np.mean(each))


REFERENCES: dict[str, Callable[[Logits, Logits, np.ndarray, dict[str, float]], float]] = {
    "standardised-kd": standardised_reference,
    "dkd": dkd_reference,
    "dist": dist_reference,
    "multi-teacher": several_reference,
}  # all others have Hinton's beside what else they do


def a_batch(members: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    shape = (12, members, 5) if members else (12, 5)
    student = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    teacher = 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return student, teacher, torch.randint(5, (12,), generator=generator)


def numbers_of(name: str) -> dict[str, float]:
    own = {key: value for key, value in check_parameters(METHODS[name], {}) if not isinstance(value, str)}
    return {**SETTINGS, **own}


@pytest.mark.parametrize("name", METHODS)
def test_the_total_is_the_hard_loss_and_the_distill_loss_by_their_weights(name: str) -> None:
    student, teacher, hard_labels = a_batch(3 if name == "multi-teacher" else 0)
    settings = numbers_of(name)
    z, labels = student.numpy(), hard_labels.numpy()
    log_probs = log_softmax(z, axis=1)
    hard = -(0.9 * log_probs[np.arange(12), labels] + 0.1 * log_probs.mean(1)).mean()
    distill = REFERENCES.get(name, kd_reference)(z, teacher.numpy(), labels, settings)
    found = total_loss(METHODS[name], student, teacher, hard_labels, settings)
    assert float(found) == pytest.approx(0.3 * hard + 0.7 * distill, rel=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_many_students_at_once_have_the_losses_that_each_has_alone(name: str) -> None:
    """Every setting may differ between the students; a team computes its losses in this way."""
    student, teacher, hard_labels = a_batch(3 if name == "multi-teacher" else 0)
    factors = torch.tensor([0.4, 1.0, 1.3], dtype=torch.float64)
    each = [{key: value * float(factor) for key, value in numbers_of(name).items()} for factor in factors]
    stacked = {key: torch.tensor([one[key] for one in each], dtype=torch.float64) for key in each[0]}
    students = torch.stack([student, student * 2, student - 1])
    loss = torch.func.vmap(lambda *inputs: total_loss(METHODS[name], *inputs))
    found = loss(students, teacher.expand(3, *teacher.shape), hard_labels.expand(3, -1), stacked)
    alone = [
        total_loss(METHODS[name], logits, teacher, hard_labels, one) for logits, one in zip(students, each, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(alone))


def test_several_teachers_teach_like_one_that_averages_their_soft_labels() -> None:
    """The two losses differ by a constant that does not depend on the student, so their gradients are equal."""
    student, teacher, hard_labels = a_batch(members=3)
    t = SETTINGS["temperature"]
    mean = torch.from_numpy(t * np.log(softmax(teacher.numpy() / t, axis=2).mean(1)))
    gradients = []
    for name, told in (("multi-teacher", teacher), ("kd", mean)):
        z = student.clone().requires_grad_()
        total_loss(METHODS[name], z, told, hard_labels, SETTINGS).backward()
        gradients.append(z.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-12)


def test_weight_0_and_1_leave_one_part_each_whatever_the_other_is_told() -> None:
    student, teacher, hard_labels = a_batch()
    for name in ("kd", "standardised-kd", "dist"):
        for weight, told in (
            (1.0, [(teacher, hard_labels), (teacher, 0 * hard_labels)]),
            (0.0, [(teacher, hard_labels), (0 * teacher, hard_labels)]),
        ):
            settings = {**numbers_of(name), "distill_weight": weight}
            assert len({float(total_loss(METHODS[name], student, *each, settings)) for each in told}) == 1


# --- training ---


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


def test_without_maps_there_is_no_attention_and_hints_need_a_vector(trained: Trained) -> None:
    few = {"student": "mlp-8", "seeds": 1, "epochs": 1}
    for method, words in (("attention-transfer", "no maps"), ("fitnets", "both a vector")):
        with pytest.raises(ConfigError, match=words) as caught:  # before anything is queued
            make_run_config("creatures", method=method, **few)
        objective = Objective(METHODS[method], numbers_of(method) | NO_PATHS)
        student = build_model("mlp-8", (3, 32, 32), 8)
        with pytest.raises(ConfigError) as later:
            FeatureLoss(objective, student, load_teacher("creatures"), (3, 32, 32), 0)
        assert str(caught.value) == str(later.value)
        with pytest.raises(ConfigError, match=words):
            make_run_config("creatures", method=method, vary={"student": ("convnet-4", "mlp-8")})
    with pytest.raises(UnknownName, match="nowhere"):
        make_run_config("creatures", method="rkd", parameters={"teacher_layer": "nowhere"}, **few)
    for teacher in ("creatures-smoothed", "nobody"):  # one that is trained first; one that is refused elsewhere
        legal = teacher == "nobody"
        with nullcontext() if legal else pytest.raises(ConfigError, match="both a vector"):
            make_run_config("creatures", method="fitnets", teacher=teacher, **few)
    trained.run(method="fitnets", parameters={"teacher_layer": "10.input"}, **few)
    assert np.isfinite(trained.curves()["distilled"]["train_loss"]).all()


@pytest.mark.parametrize("method", ["fitnets", "attention-transfer", "rkd"])
def test_a_feature_loss_adds_what_its_paper_says_and_leaves_the_teacher_alone(method: str) -> None:
    teacher = replace(load_teacher("creatures"), device=PRECISE)
    student, inside = build_model("convnet-4", (3, 32, 32), 8, seed=0), teacher.network.network
    assert isinstance(student, torch.nn.Sequential) and isinstance(inside, torch.nn.Sequential)
    feature_loss = FeatureLoss(
        Objective(METHODS[method], numbers_of(method) | NO_PATHS), student, teacher, (3, 32, 32), 1
    )
    pictures, other = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor(2.0)
    logits = student(pictures)
    begun, later = (feature_loss.add_to(other, pictures, progress) for progress in (0.0, 0.9))
    # Both are chains: conv, pool, relu; conv, pool, relu; conv, relu; mean, flat, linear.
    middles, maps = ([network[:end](pictures) for network in (student, inside)] for end in (6, 8))
    if method == "attention-transfer":
        assert [tuple(one.shape) for one in maps] == [(6, 16, 8, 8), (6, 128, 8, 8)]
        expected = 2.0 + 1000 * attention_loss(*(attention_map(one, (8, 8)) for one in maps))
        torch.testing.assert_close(begun, expected, rtol=1e-5, atol=0)
    if method == "fitnets":
        assert [tuple(one.shape) for one in middles] == [(6, 8, 8, 8), (6, 64, 8, 8)]
        expected = hint_loss(feature_loss.adapter(middles[0]), middles[1])
        torch.testing.assert_close(begun, expected, rtol=1e-5, atol=0)
        assert later.item() == 2.0  # hints alone, and then none
        same = FeatureLoss(Objective(METHODS[method], numbers_of(method) | NO_PATHS), student, teacher, (3, 32, 32), 1)
        assert all(map(torch.equal, feature_loss.adapter.parameters(), same.adapter.parameters()))
    else:
        assert begun.item() == later.item() > 2.0
    if method == "rkd":
        relations = relational_loss(student[:-1](pictures), inside[:-1](pictures), 25.0, 50.0)
        torch.testing.assert_close(begun, 2.0 + relations, rtol=1e-4, atol=1e-5)
    begun.backward()
    kernel = next(student.parameters())
    assert kernel.grad is not None and kernel.grad.abs().sum() > 0 and logits.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.network.modules())
    assert all(parameter.grad is None for parameter in teacher.network.parameters())


@pytest.mark.parametrize("method", ["attention-transfer", "fitnets"])
def test_maps_are_compared_place_by_place_though_the_teacher_looks_at_the_middle(method: str) -> None:
    """Student and teacher are the same network, so their maps are equal, unless one of them sees only a part of the
    picture."""
    student = build_model("convnet-4", (3, 32, 32), 8, seed=0).eval()
    card = replace(load_teacher("creatures").card, model="convnet-4", crop=0.5)
    teacher = Teacher(card, FrozenNetwork(copy.deepcopy(student), card.crop), PRECISE)
    feature_loss = FeatureLoss(
        Objective(METHODS[method], numbers_of(method) | NO_PATHS), student, teacher, (3, 32, 32), 1
    )
    if method == "fitnets":
        feature_loss.adapter = torch.nn.Identity()
    pictures = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = student(pictures)
    assert float(feature_loss.add_to(torch.tensor(0.0), pictures, 0.0).detach()) == 0.0
    assert (teacher.network(pictures) - logits).abs().max() > 1e-3  # its answers are still those of the middle


def test_feature_losses_in_two_threads_do_not_record_each_others_features() -> None:
    """Two students record layers of one teacher in two threads, which wait for each other after the compared layer."""
    teacher = replace(load_teacher("creatures"), device=PRECISE)
    inside = teacher.network.network
    assert isinstance(inside, torch.nn.Sequential)
    both, together = threading.Barrier(2), threading.Event()

    def meet(*_: object) -> None:
        if together.is_set():
            both.wait(60)

    inside[-1].register_forward_pre_hook(meet)
    objective = Objective(METHODS["attention-transfer"], numbers_of("attention-transfer") | NO_PATHS)
    learners = []
    for seed in (0, 1):
        student = build_model("convnet-4", (3, 32, 32), 8, seed=seed)
        pictures = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        learners.append((FeatureLoss(objective, student, teacher, (3, 32, 32), 0), student, pictures))

    def learn(feature_loss: FeatureLoss, student: torch.nn.Module, pictures: torch.Tensor) -> float:
        student(pictures)
        return float(feature_loss.add_to(torch.tensor(0.0), pictures, 0.0).detach())

    alone = [learn(*one) for one in learners]
    assert alone[0] != alone[1]
    together.set()
    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in [pool.submit(learn, *one) for one in learners]] == alone


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


def answers_of(student: Student, state: dict[str, torch.Tensor], views: ViewSet) -> torch.Tensor:
    """Return a trained student's logits for every view of its pictures, computed by a new network, [V, N, K]."""
    images, rows = student.transfer_set.images, student.transfer_set.rows
    network = build_model(student.model, (3, 32, 32), 8)
    network.load_state_dict(state)
    return torch.stack([predict_logits(network, views.apply(images[rows], v), PRECISE) for v in range(len(views))])


def close(told: torch.Tensor | None, said: torch.Tensor) -> None:
    assert told is not None
    torch.testing.assert_close(told.float(), said, atol=1e-2, rtol=2e-3)  # kept in fp16


def test_a_student_born_again_learns_from_the_one_before(trained: Trained) -> None:
    config = trained.run(student="convnet-4", seeds=2, method="born-again", parameters={"generations": 2})
    told, students = [event for event in trained.events if isinstance(event, TeacherEpochEnded)], trained.students()
    assert [(one.teacher, one.epoch) for one in told] == [(f"generation {i}", j) for i in (1, 2) for j in (1, 2)]
    views = Schedule.of(config).views
    for seed in (0, 1):
        first, second, last = (students[arm, seed] for arm in ("generation 1", "generation 2", "distilled"))
        assert first[0].transfer_set.teacher_logits is None and first[0].objective.settings["distill_weight"] == 0.0
        close(second[0].transfer_set.teacher_logits, answers_of(*first, views))
        close(last[0].transfer_set.teacher_logits, answers_of(*second, views))
        assert last[0].objective.settings["distill_weight"] == config.distill_weight
        assert {one[0].model for one in (first, second, last)} == {"convnet-4"}
        assert len({one[0].weights_seed for one in (first, second, last)}) == 3
        assert all(torch.equal(one[0].transfer_set.rows, last[0].transfer_set.rows) for one in (first, second))


def test_an_assistant_stands_between_teacher_and_student(trained: Trained) -> None:
    parameters = {"assistants": "convnet-8, convnet-6"}
    config = trained.run(student="convnet-4", seeds=1, method="teacher-assistant", parameters=parameters)
    students, views = trained.students(), Schedule.of(config).views
    first, second, last = (students[arm, 0] for arm in ("assistant convnet-8", "assistant convnet-6", "distilled"))
    found = first[0].transfer_set
    teacher = load_teacher("creatures")
    said = [teacher.logits(views.apply(found.images[found.rows], view)) for view in range(len(views))]
    close(found.teacher_logits, torch.stack(said))
    close(second[0].transfer_set.teacher_logits, answers_of(*first, views))
    close(last[0].transfer_set.teacher_logits, answers_of(*second, views))
    assert [one[0].model for one in (first, second, last)] == ["convnet-8", "convnet-6", "convnet-4"]
    trained.run(student="mlp-8-6", seeds=1, epochs=1, method="teacher-assistant")
    assert ("assistant mlp-16-12", 0) in trained.students()


def test_no_two_stages_of_a_run_are_told_under_one_name(trained: Trained) -> None:
    parameters = {"assistants": "mlp-9,mlp-9,mlp-7,mlp-9"}
    trained.run("digits", student="mlp-8", seeds=1, epochs=1, method="teacher-assistant", parameters=parameters)
    names = ["assistant mlp-9", "assistant mlp-9 number 2", "assistant mlp-7", "assistant mlp-9 number 3"]
    assert [event.teacher for event in trained.events if isinstance(event, TeacherEpochEnded)] == names
    vary = {"temperature": (1.0, 4.0), "generations": (1.0, 2.0)}
    every = points(make_run_config("digits", method="born-again", vary=vary))
    told = [name for point in every for name in event_names(point)]
    assert len(set(told)) == len(told) == 6 and "generation 2 (temperature=4, generations=2)" in told


@pytest.mark.parametrize(
    ("dataset", "teacher", "student"),
    [
        ("creatures", "creatures", "convnet-4"),
        ("creatures", "creatures", "convnet-8"),
        ("creatures", "creatures", "convnet-16"),
        ("creatures", "creatures-smoothed", "mlp-16"),  # a teacher that is not here yet
        ("digits", "digits", "mlp-16"),
        ("digits", "digits+digits-smoothed", "mlp-16-8"),
        ("cifar10", "cifar10", "resnet-16"),
        ("cifar10", "cifar10", "airbench-32-80-80"),
        ("animals64", "animals", "resnet18-16"),
    ],
)
def test_the_assistant_lies_between_the_two(dataset: str, teacher: str, student: str) -> None:
    (stage,) = stages_of(make_run_config(dataset, teacher=teacher, student=student, method="teacher-assistant"))
    info = dataset_info(dataset)
    shape = (info.image_shape, info.num_classes)
    least, size = (count_params(build_model(name, *shape)) for name in (student, stage.model))
    most = sum(load_teacher(name.removesuffix("-smoothed")).card.num_params for name in members_of(teacher))
    assert least < size < most and stage.model.startswith(student.partition("-")[0] + "-")
    assert math.log(size / math.sqrt(least * most)) == pytest.approx(0, abs=0.3)  # a quarter of a doubling apart


@pytest.mark.parametrize("student", ["convnet-32", "convnet-64", "mlp-64", "mlp-4096"])
def test_where_none_lies_between_the_assistant_must_be_named(student: str) -> None:
    config = make_run_config("creatures", student=student, method="teacher-assistant")
    with pytest.raises(ConfigError, match="assistants=") as caught:
        stages_of(config)
    assert "109,864" in str(caught.value) and str(caught.value).count(".") == 1
    parameters = {"assistants": "convnet-16"}
    named = make_run_config("creatures", student=student, method="teacher-assistant", parameters=parameters)
    assert [stage.model for stage in stages_of(named)] == ["convnet-16"]


@pytest.mark.parametrize("stacked", [True, False])
def test_mutual_learning_is_the_loop_that_the_paper_writes(stacked: bool) -> None:
    """Two pairs in a team are compared with the same networks and losses in a plain loop; both use SGD."""
    dataset, generator = load_dataset("digits"), torch.Generator().manual_seed(0)
    recipe = Recipe(batch_size=10, learning_rate=0.05, weight_decay=0.1)
    schedule = Schedule(labels=30, epochs=1, recipe=recipe, views=ViewSet(flip=False, shift=0))
    settings = {"temperature": 1.0, "distill_weight": 0.5, "label_smoothing": 0.0}
    seeds = (0, 1) if stacked else (0,)  # what is not stacked sees one seed's pictures
    students, networks = [], []
    for seed in seeds:
        rows = torch.arange(30) + 30 * seed
        told = TransferSet("labelled", dataset.train.images, rows, dataset.train.hard_labels[rows])
        for arm in ("distilled", PEER):
            students.append(Student(arm, seed, "convnet-4", 0, told, Objective(METHODS["mutual"], settings)))
            networks.append(build_model("convnet-4", (1, 8, 8), 10, seed=len(networks)))
    team = Team(students, copy.deepcopy(networks), schedule, PRECISE, stacked=stacked)
    team.optimizer = torch.optim.SGD(parameter_groups(team.network, recipe.weight_decay), lr=0.05)  # type: ignore
    optimizers = [torch.optim.SGD(parameter_groups(one, recipe.weight_decay), lr=0.05) for one in networks]
    for step in range(3):
        order = {seed: torch.randperm(30, generator=generator)[:10] for seed in seeds}
        losses = team.learn(order, {seed: torch.zeros(10, dtype=torch.int64) for seed in seeds}, step / 3)
        expected = []
        for seed in seeds:
            rows = 30 * seed + order[seed]
            labels = dataset.train.hard_labels[rows]
            pair = slice(2 * seed, 2 * seed + 2)
            logits = [network.train()(to_float(dataset.train.images[rows])) for network in networks[pair]]
            for own, peer, optimizer in zip(logits, reversed(logits), optimizers[pair], strict=True):
                mimicry = F.kl_div(own.log_softmax(1), peer.detach().softmax(1), reduction="batchmean")
                loss = (F.cross_entropy(own, labels) + mimicry) / 2
                optimizer.zero_grad()
                loss.backward()
                expected.append(loss.detach())
                optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.05 * one_cycle(step / 3)
                optimizer.step()
        torch.testing.assert_close(losses, torch.stack(expected), rtol=1e-4, atol=1e-5)
    for state, network in zip(team.states(), networks, strict=True):
        for key, value in network.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=1e-3, atol=1e-4, msg=key)
