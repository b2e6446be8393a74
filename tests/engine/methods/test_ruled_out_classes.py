"""A teacher rules a class out with the logit -inf: every loss stays finite, and no loss changes its teacher."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from kdcore.methods import feature_losses
from kdcore.methods.logit_losses import dist_loss, dkd_loss, standardise, standardised_loss
from kdcore.methods.losses import distill_loss, kd_loss
from kdcore.metrics.scores import kl_to_teacher

T = 3.0
LogitLoss = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture
def student() -> Tensor:
    return (2 * torch.randn(6, 5, generator=torch.Generator().manual_seed(1))).requires_grad_()


@pytest.fixture
def teacher() -> Tensor:
    """Class 2 is ruled out for all pictures, and for the first picture all classes but one are."""
    logits = 4 * torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    logits[:, 2] = -torch.inf
    logits[0, 1:] = -torch.inf
    return logits


def mean_kl(teacher: np.ndarray, student: np.ndarray) -> float:
    """The mean over pictures of KL, in which SciPy counts p log p as 0 where p is 0."""
    return float(rel_entr(softmax(teacher, axis=1), softmax(student, axis=1)).sum(1).mean())


def test_a_class_that_is_ruled_out_adds_nothing_to_the_distill_loss(student: Tensor, teacher: Tensor) -> None:
    loss = distill_loss(student, teacher, T)
    expected = T**2 * mean_kl(teacher.double().numpy() / T, student.detach().double().numpy() / T)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    # The gradient of T² KL is T (q - p) / B; for a class that is ruled out it pushes the student's logit down.
    p, q = torch.softmax(teacher / T, 1), torch.softmax(student.detach() / T, 1)
    assert student.grad is not None and torch.allclose(student.grad, T * (q - p) / 6, atol=1e-6)
    assert float(kl_to_teacher(student.detach()[None], teacher).mean) == pytest.approx(
        mean_kl(teacher.double().numpy(), student.detach().double().numpy()), rel=1e-5
    )


LOSSES: dict[str, LogitLoss] = {
    "kd": partial(distill_loss, temperature=T),
    "with hard loss": lambda s, t: kd_loss(s, t, torch.arange(len(s)) % s.shape[1], T, 0.7).total,
    "standardised": partial(standardised_loss, temperature=T),
    "dkd": lambda s, t: dkd_loss(s, t, torch.arange(len(s)) % s.shape[1], T, 1.0, 8.0),
    "dist": partial(dist_loss, temperature=T, between_weight=2.0, within_weight=2.0),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_every_loss_on_logits_stays_finite(loss: LogitLoss, student: Tensor, teacher: Tensor) -> None:
    value = loss(student, teacher)
    value.backward()
    assert value.isfinite() and student.grad is not None and student.grad.isfinite().all()
    batch = torch.func.vmap(loss)(torch.stack([student.detach()] * 2), torch.stack([teacher] * 2))
    assert torch.allclose(batch, value.detach().expand(2))


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"standardised"}))  # there a far logit widens the spread of all
def test_a_logit_far_below_the_others_is_as_good_as_ruled_out(name: str, student: Tensor, teacher: Tensor) -> None:
    student, teacher = student[1:].detach(), teacher[1:]  # of the first picture, dkd has nothing left to compare
    nearly = teacher.clamp(min=-300.0)
    assert float(LOSSES[name](student, teacher)) == pytest.approx(float(LOSSES[name](student, nearly)), rel=1e-4)


def test_z_scores_are_those_of_the_classes_that_are_left() -> None:
    logits = torch.tensor([[1.0, -torch.inf, 4.0, 7.0], [2.0, 2.0, 5.0, -torch.inf]])
    left = np.array([[1.0, 4.0, 7.0], [2.0, 2.0, 5.0]])
    expected = (left - left.mean(1, keepdims=True)) / left.std(1, keepdims=True)
    found = standardise(logits)
    assert found.isneginf().equal(logits.isneginf())
    assert np.allclose(found[found.isfinite()].view(2, 3), expected, atol=1e-6)


def test_two_classes_of_which_one_is_ruled_out() -> None:
    student = torch.randn(3, 2, requires_grad=True)
    teacher = torch.tensor([[1.0, -torch.inf]] * 3)
    loss = dkd_loss(student, teacher, torch.tensor([0, 1, 0]), T, 1.0, 8.0)
    loss.backward()
    assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()


def test_a_logit_that_is_not_a_number_is_not_hidden(student: Tensor, teacher: Tensor) -> None:
    for value in (torch.nan, torch.inf):
        broken = teacher.clone()
        broken[3, 1] = value
        assert not distill_loss(student, broken, T).isfinite()


def relational(student: Tensor, teacher: Tensor) -> Tensor:
    return feature_losses.relational_loss(student, teacher, 25.0, 50.0)


def attention(student: Tensor, teacher: Tensor) -> Tensor:
    return feature_losses.attention_loss(student.square(), teacher.square())


@pytest.mark.parametrize("loss", [*LOSSES.values(), feature_losses.hint_loss, attention, relational])
def test_no_gradient_flows_into_the_teacher(loss: LogitLoss, student: Tensor) -> None:
    teacher = torch.randn(6, 5, generator=torch.Generator().manual_seed(3)).requires_grad_()
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None
