"""The losses on logits are compared with the papers' formulas, worked in NumPy and SciPy in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import pearsonr, zscore
from torch import Tensor

from kdcore.methods.logit_losses import dist_loss, divergence, dkd_loss, standardise, standardised_loss

TEMPERATURES = (0.5, 1.0, 4.0, 20.0)
Batch = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def batch() -> Batch:
    generator = torch.Generator().manual_seed(5)
    student = 3 * torch.randn(16, 7, generator=generator)
    teacher = 5 * torch.randn(16, 7, generator=generator)
    return student, teacher, torch.randint(7, (16,), generator=generator)


def numbers(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.double().numpy() for tensor in tensors)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float(np.sum(p * (np.log(p) - np.log(q))))


def standardised_reference(student: np.ndarray, teacher: np.ndarray, t: float) -> float:
    """Algorithm 1 of Sun et al. 2024 with T² KL as its loss; SciPy's z-score divides by K."""
    p, q = softmax(zscore(teacher, axis=1) / t, axis=1), softmax(zscore(student, axis=1) / t, axis=1)
    return float(np.mean([t**2 * kl(p[row], q[row]) for row in range(len(p))]))


def dkd_parts(student: np.ndarray, teacher: np.ndarray, label: int, t: float) -> tuple[float, float]:
    """Return TCKD and NCKD of one picture (Zhao et al. 2022, equations 1 to 6), computed from probabilities."""
    p, q = softmax(teacher / t), softmax(student / t)
    rest = np.arange(len(p)) != label
    target = kl(np.array([p[label], p[rest].sum()]), np.array([q[label], q[rest].sum()]))
    return target, kl(p[rest] / p[rest].sum(), q[rest] / q[rest].sum())


def dist_reference(student: np.ndarray, teacher: np.ndarray, t: float, between: float, within: float) -> float:
    """The loss of Huang et al. 2022, section 3, with SciPy's Pearson correlation."""
    p, q = softmax(teacher / t, axis=1), softmax(student / t, axis=1)
    rows = np.mean([1 - pearsonr(q[row], p[row])[0] for row in range(p.shape[0])])
    columns = np.mean([1 - pearsonr(q[:, k], p[:, k])[0] for k in range(p.shape[1])])
    return float(t**2 * (between * rows + within * columns))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_standardised_loss_is_the_papers(batch: Batch, temperature: float) -> None:
    expected = standardised_reference(*numbers(*batch[:2]), temperature)
    assert float(standardised_loss(*batch[:2], temperature)) == pytest.approx(expected, rel=1e-5)


def test_standardised_logits_have_mean_0_and_deviation_1(batch: Batch) -> None:
    scores = standardise(batch[0])
    np.testing.assert_allclose(scores.mean(1), 0.0, atol=1e-6)
    np.testing.assert_allclose(scores.std(1, correction=0), 1.0, rtol=1e-6)


def test_shift_and_scale_of_either_side_leave_the_standardised_loss_alone(batch: Batch) -> None:
    student, teacher, _ = (tensor.double() for tensor in batch)
    shifts, scales = torch.linspace(-50, 50, 16)[:, None], torch.logspace(-3, 3, 16)[:, None]
    expected = standardised_loss(student, teacher, 2.0)
    torch.testing.assert_close(standardised_loss(scales * student + shifts, teacher, 2.0), expected)
    torch.testing.assert_close(standardised_loss(student, scales * teacher + shifts, 2.0), expected)


def test_equal_logits_are_uniform_soft_labels_and_can_be_left(batch: Batch) -> None:
    teacher = batch[1]
    student = torch.full_like(teacher, 0.1, requires_grad=True)
    loss = standardised_loss(student, teacher, 2.0)
    uniform = float(np.mean([kl(p, np.full(7, 1 / 7)) for p in softmax(zscore(numbers(teacher)[0], 1) / 2, 1)]))
    assert float(loss.detach()) == pytest.approx(4 * uniform, rel=1e-5)
    loss.backward()
    assert 0 < float(student.grad.abs().max()) < 10
    with torch.no_grad():
        assert standardised_loss(student - 0.1 * student.grad, teacher, 2.0) < loss


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("weights", [(1.0, 8.0), (0.0, 1.0), (1.0, 0.0)])
def test_dkd_is_the_papers(batch: Batch, temperature: float, weights: tuple[float, float]) -> None:
    student, teacher, labels = numbers(*batch)
    parts = [dkd_parts(*row, temperature) for row in zip(student, teacher, labels.astype(int), strict=True)]
    expected = temperature**2 * np.mean(parts, axis=0) @ weights
    assert float(dkd_loss(*batch, temperature, *weights)) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_hintons_kl_is_dkd_weighed_by_the_teachers_mass_on_the_rest(batch: Batch) -> None:
    """Zhao et al. 2022, equation 5: KL = TCKD + (1 - p_target) NCKD, picture by picture."""
    student, teacher, labels = batch
    for row in range(len(labels)):
        one = slice(row, row + 1)
        rest = 1 - torch.softmax(teacher[one].double() / 4, 1)[0, labels[row]]
        got = dkd_loss(student[one].double(), teacher[one].double(), labels[one], 4.0, 1.0, rest)
        torch.testing.assert_close(got, 16 * divergence(student[one].double() / 4, teacher[one].double() / 4))


def test_two_classes_have_no_rest_to_compare(batch: Batch) -> None:
    student, teacher = batch[0][:, :2].clone().requires_grad_(), batch[1][:, :2]
    labels = batch[2] % 2
    assert float(dkd_loss(student, teacher, labels, 1.0, 0.0, 5.0).detach()) == 0.0
    loss = dkd_loss(student, teacher, labels, 1.0, 1.0, 5.0)
    torch.testing.assert_close(loss, divergence(student, teacher))
    loss.backward()
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("temperature", (1.0, 4.0, 20.0))
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (2.0, 2.0)])
def test_dist_is_the_papers(batch: Batch, temperature: float, weights: tuple[float, float]) -> None:
    expected = dist_reference(*numbers(*batch[:2]), temperature, *weights)
    assert float(dist_loss(*batch[:2], temperature, *weights)) == pytest.approx(expected, rel=1e-5)


def test_dist_is_0_for_a_positive_affine_map_of_the_probabilities(batch: Batch) -> None:
    teacher = batch[1].double()
    probs = torch.softmax(teacher / 4, 1)
    student = 4 * torch.log(0.3 * probs + 0.7 / 7)
    assert float(dist_loss(student, teacher, 4.0, 1.0, 1.0)) == pytest.approx(0.0, abs=1e-9)
    assert float(divergence(student / 4, teacher / 4)) > 0.1


@pytest.mark.parametrize("rows", (1, 3))
def test_what_is_constant_correlates_with_nothing(batch: Batch, rows: int) -> None:
    """A batch of one picture, or of equal pictures, has nothing to compare within a class."""
    teacher = batch[1][:1].expand(rows, -1)
    student = batch[0][:1].repeat(rows, 1).requires_grad_()
    loss = dist_loss(student, teacher, 2.0, 0.0, 1.0)
    assert float(loss.detach()) == pytest.approx(4.0, rel=1e-4)
    loss.backward()
    assert float(student.grad.abs().max()) < 1e-4
    assert torch.isfinite(dist_loss(torch.zeros(4, 7), batch[1][:4], 2.0, 1.0, 1.0))


LOSSES: dict[str, Callable[..., Tensor]] = {
    "divergence": lambda student, teacher, labels, t, a, b: divergence(student, teacher),
    "standardised": lambda student, teacher, labels, t, a, b: standardised_loss(student, teacher, t),
    "dkd": dkd_loss,
    "dist": lambda student, teacher, labels, t, a, b: dist_loss(student, teacher, t, a, b),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(batch: Batch, name: str) -> None:
    student, teacher, labels = (tensor[:5] for tensor in batch)

    def loss(logits: Tensor) -> Tensor:
        return LOSSES[name](logits, teacher.double(), labels, 3.0, 1.5, 0.7)

    assert torch.autograd.gradcheck(loss, student.double().requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", (2, 3, 7))
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_extreme_logits_keep_loss_and_gradient_finite(name: str, classes: int, dtype: torch.dtype) -> None:
    rows = torch.full((3 * classes, classes), -100.0)
    rows[range(3 * classes), [row % classes for row in range(3 * classes)]] = 100.0
    student = rows.roll(1, 0).to(dtype).requires_grad_()
    labels = torch.arange(3 * classes) // 3
    for teacher in (rows, rows[:1].expand_as(rows), torch.zeros_like(rows)):
        loss = LOSSES[name](student, teacher.to(dtype), labels, 1.0, 1.0, 8.0)
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, student)
        assert torch.isfinite(gradient).all()


def test_dkd_of_a_certain_teacher_is_worked_by_hand() -> None:
    """The teacher is sure of class 0 and the student equally sure of class 1; their logits differ by 200 nats."""
    teacher, student = torch.tensor([[100.0, -100.0, -100.0]]), torch.tensor([[-100.0, 100.0, -100.0]])
    label = torch.tensor([0])
    target = 200 + logsumexp([0, -200])
    rest = np.log([0.5, 0.5]) - log_softmax([100.0, -100.0])
    assert float(dkd_loss(student, teacher, label, 1.0, 1.0, 0.0)) == pytest.approx(target, rel=1e-6)
    assert float(dkd_loss(student, teacher, label, 1.0, 0.0, 1.0)) == pytest.approx(rest.mean(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_several_students_at_once_are_the_same_as_one_by_one(name: str) -> None:
    generator = torch.Generator().manual_seed(7)
    student, teacher = torch.randn(2, 3, 8, 5, generator=generator)
    labels = torch.randint(5, (8,), generator=generator)
    temperature, first, second = torch.tensor([[1.0, 2.0, 8.0], [1.0, 0.0, 2.0], [8.0, 1.0, 0.5]])

    def loss(logits: Tensor, teacher: Tensor, t: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return LOSSES[name](logits, teacher, labels, t, a, b)

    inputs = (student, teacher, temperature, first, second)
    gradients, losses = torch.func.vmap(torch.func.grad_and_value(loss))(*inputs)
    for model in range(3):
        gradient, value = torch.func.grad_and_value(loss)(*(values[model] for values in inputs))
        torch.testing.assert_close(losses[model], value)
        torch.testing.assert_close(gradients[model], gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_a_frozen_teachers_logits_are_constants(batch: Batch, name: str) -> None:
    with torch.inference_mode():
        teacher = batch[1].clone()
    student = batch[0].clone().requires_grad_()
    LOSSES[name](student, teacher, batch[2], 4.0, 1.0, 1.0).backward()
    assert torch.isfinite(student.grad).all()
