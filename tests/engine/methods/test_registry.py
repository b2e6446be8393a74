"""The methods: their registry, and their losses compared with NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from kdcore.methods.registry import METHODS, check_parameters, total_loss
from kdcore.settings.config import make_run_config
from tests.engine.shared_settings import SETTINGS, numbers_of

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


# --- the losses ---

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
