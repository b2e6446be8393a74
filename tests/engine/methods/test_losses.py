"""The losses are compared with their definitions, worked in NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.methods.losses import baseline_loss, distill_loss, hard_loss, kd_loss

TEMPERATURES = (0.5, 1.0, 4.0, 20.0)
WEIGHTS = (0.0, 0.5, 1.0)


def softmax(z: np.ndarray) -> np.ndarray:
    shifted = np.exp(z - z.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def reference(student: np.ndarray, teacher: np.ndarray, labels: np.ndarray, t: float, w: float) -> float:
    """Return (1 - w) CE + w T² KL(teacher || student), summed picture by picture."""
    total = 0.0
    for row in range(len(labels)):
        p = softmax(teacher[row : row + 1] / t)[0]
        q = softmax(student[row : row + 1] / t)[0]
        kl = sum(p[k] * (np.log(p[k]) - np.log(q[k])) for k in range(len(p)))
        ce = -np.log(softmax(student[row : row + 1])[0][labels[row]])
        total += (1 - w) * ce + w * t**2 * kl
    return total / len(labels)


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    student = 3 * torch.randn(16, 7, generator=generator)
    teacher = 5 * torch.randn(16, 7, generator=generator)
    return student, teacher, torch.randint(7, (16,), generator=generator)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("weight", WEIGHTS)
def test_kd_loss_is_the_formula(batch, temperature: float, weight: float) -> None:
    student, teacher, labels = batch
    expected = reference(student.double().numpy(), teacher.double().numpy(), labels.numpy(), temperature, weight)
    got = kd_loss(student, teacher, labels, temperature, weight)
    assert float(got.total) == pytest.approx(expected, rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_t_squared_is_there_when_the_hard_loss_is_not(batch, temperature: float) -> None:
    student, teacher, labels = batch
    alone = kd_loss(student, teacher, labels, temperature, 1.0).total
    kl = torch.nn.functional.kl_div(
        torch.log_softmax(student.double() / temperature, 1),
        torch.softmax(teacher.double() / temperature, 1),
        reduction="sum",
    ) / len(labels)
    assert float(alone) == pytest.approx(float(kl) * temperature**2, rel=1e-4)


def test_gradient_keeps_its_size_with_temperature() -> None:
    """With T² the gradient tends to (student - teacher) / K as T grows (Hinton 2015, equation 4)."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(8, 5, generator=generator)
    teacher = torch.randn(8, 5, generator=generator)
    student -= student.mean(1, keepdim=True)
    teacher -= teacher.mean(1, keepdim=True)
    student.requires_grad_()
    distill_loss(student, teacher, 200.0).backward()
    expected = (student.detach() - teacher) / 5 / 8
    torch.testing.assert_close(student.grad, expected, rtol=0.05, atol=1e-4)


def test_probabilities_that_underflow_keep_a_finite_loss_and_gradient() -> None:
    student = torch.tensor([[500.0, 0.0, -500.0]], requires_grad=True)
    teacher = torch.tensor([[-500.0, 0.0, 500.0]])
    loss = distill_loss(student, teacher, 0.5)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.25 * 2000.0, rel=1e-5)
    assert torch.isfinite(student.grad).all()


def test_bf16_logits_are_weighed_in_fp32(batch) -> None:
    student, teacher, labels = batch
    rounded = student.bfloat16()
    parts = kd_loss(rounded, teacher, labels, 3.0, 0.5)
    assert parts.total.dtype == torch.float32
    expected = reference(rounded.double().numpy(), teacher.double().numpy(), labels.numpy(), 3.0, 0.5)
    assert float(parts.total) == pytest.approx(expected, rel=2e-5)


def test_label_smoothing_is_szegedys(batch) -> None:
    student, _, labels = batch
    smoothing, classes = 0.1, student.shape[1]
    target = np.full((len(labels), classes), smoothing / classes)
    target[np.arange(len(labels)), labels.numpy()] += 1 - smoothing
    log_probs = np.log(softmax(student.double().numpy()))
    expected = -(target * log_probs).sum(1).mean()
    assert float(hard_loss(student, labels, smoothing)) == pytest.approx(expected, rel=1e-5)
    assert float(baseline_loss(student, labels, smoothing).total) == pytest.approx(expected, rel=1e-5)


def test_a_student_equal_to_its_teacher_has_no_distill_loss(batch) -> None:
    student, _, _ = batch
    assert float(distill_loss(student, student.clone(), 4.0)) == pytest.approx(0.0, abs=1e-5)
