"""Metrics against scipy, simulations with a known truth, and figures worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from kdcore.metrics import scores


def logits_for(choices: list[list[int]], classes: int) -> torch.Tensor:
    """Logits [S, N, K] whose largest is the given choice."""
    return torch.nn.functional.one_hot(torch.tensor(choices), classes).float() * 5


def test_seed_estimate_is_students_t() -> None:
    values = [0.71, 0.74, 0.69, 0.75, 0.72]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    estimate = scores.seed_estimate(values, test_variance=0.0)
    assert estimate.mean == pytest.approx(np.mean(values))
    assert estimate.ci95 == pytest.approx((low, high))


def test_test_variance_widens_the_interval() -> None:
    values = [0.7, 0.7, 0.7]
    half = stats.t.ppf(0.975, 2) * 0.01
    assert scores.seed_estimate(values, 0.0001).ci95 == pytest.approx((0.7 - half, 0.7 + half))


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Seeds and test pictures both vary; the truth is known because the data are simulated."""
    rng = np.random.default_rng(0)
    covered, trials, pictures, seeds = 0, 400, 300, 4
    for _ in range(trials):
        ease = rng.normal(0.0, 1.0, pictures)  # shared by all seeds, as test pictures are
        skill = rng.normal(0.0, 0.2, seeds)
        p = stats.norm.cdf((ease[None] + skill[:, None] + 0.5) / 0.5)
        right = torch.from_numpy((rng.random((seeds, pictures)) < p).astype(float))
        truth = stats.norm.cdf(0.5 / math.sqrt(0.5**2 + 1.0 + 0.2**2))
        low, high = scores.picture_estimate(right).ci95
        covered += low <= truth <= high
    assert 0.92 <= covered / trials <= 1.0


def test_wilson_against_scipy() -> None:
    for right, n in ((0, 6), (3, 11), (11, 11), (180, 200)):
        expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        assert scores.wilson(right, n) == pytest.approx((expected.low, expected.high))
    assert scores.wilson(0, 0) == (0.0, 1.0)


def test_accuracy_agreement_confusion_and_classes_by_hand() -> None:
    labels = torch.tensor([0, 1, 2, 2])
    logits = logits_for([[0, 1, 2, 1], [0, 0, 2, 2]], 3)
    assert scores.accuracy(logits, labels).per_seed == (0.75, 0.75)
    teacher = logits_for([[0, 1, 1, 1]], 3)[0]
    assert scores.agreement(logits, teacher).per_seed == (0.75, 0.25)
    assert scores.confusion(logits, labels).tolist() == [[2, 0, 0], [1, 1, 0], [0, 1, 3]]
    rows = scores.per_class(logits, labels)
    assert [row.accuracy for row in rows] == [1.0, 0.5, 0.75]
    assert [row.n for row in rows] == [1, 1, 2]


def test_nll_and_kl_are_the_formulas() -> None:
    generator = torch.Generator().manual_seed(1)
    student = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    teacher = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 3, 2, 1, 1])
    q = np.exp(student.numpy()) / np.exp(student.numpy()).sum(-1, keepdims=True)
    p = np.exp(teacher.numpy()) / np.exp(teacher.numpy()).sum(-1, keepdims=True)
    nll = -np.log(q[:, np.arange(5), labels.numpy()]).mean(1)
    kl = (p[None] * np.log(p[None] / q)).sum(-1).mean(1)
    assert scores.nll(student, labels).per_seed == pytest.approx(nll, rel=1e-5)
    assert scores.kl_to_teacher(student, teacher).per_seed == pytest.approx(kl, rel=1e-4)


def simulated(n: int, rng: np.random.Generator, overconfidence: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten-class logits and labels drawn from softmax(logits): perfectly calibrated unless scaled afterwards."""
    logits = rng.normal(0.0, 2.0, (n, 10))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    return torch.from_numpy(logits * overconfidence), torch.from_numpy(labels)


def test_ece_of_a_calibrated_model_is_zero_on_average_unlike_the_plain_one() -> None:
    rng = np.random.default_rng(0)
    debiased, plain = [], []
    for _ in range(300):
        logits, labels = simulated(360, rng)
        debiased.append(scores.debiased_ece(logits, labels)[0])
        table = scores.calibration_bins(logits, labels)
        gaps = (table.accuracy - table.confidence).abs()
        plain.append(float((table.count / 360 * gaps).sum()))
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / math.sqrt(300) + 0.001
    assert np.mean(plain) > 0.05  # the bias that the correction removes


def test_ece_finds_a_miscalibration_of_known_size() -> None:
    """The true value is the plain estimate on 400,000 pictures, where its bias is negligible."""
    rng = np.random.default_rng(1)
    logits, labels = simulated(400_000, rng, overconfidence=2.0)
    table = scores.calibration_bins(logits, labels)
    truth = float((table.count / 400_000 * (table.accuracy - table.confidence).abs()).sum())
    values = [scores.debiased_ece(*simulated(2_000, rng, overconfidence=2.0))[0] for _ in range(50)]
    assert np.mean(values) == pytest.approx(truth, abs=0.006)


def test_ece_is_signed_and_has_a_width_without_any_variance() -> None:
    """A network that is sure of every picture, and always right: its gap is 0 in each bin, without variance."""
    logits, labels = logits_for([[0] * 60] * 2, 3) * 100, torch.zeros(60, dtype=torch.int64)
    for seeds in (1, 2):
        estimate = scores.ece(logits[:seeds], labels)
        assert estimate.mean == pytest.approx(0.0, abs=1e-9)
        assert estimate.ci95 is not None and estimate.ci95[0] < -0.01 and estimate.ci95[1] > 0.01
    rng = np.random.default_rng(3)
    values = [scores.ece(simulated(60, rng)[0][None], simulated(60, rng)[1]) for _ in range(3)]
    assert all(-1 <= one.ci95[0] <= one.mean <= one.ci95[1] <= 1 for one in values)
    calibrated = [scores.ece(logits[None], labels).mean for logits, labels in (simulated(100, rng) for _ in range(40))]
    assert min(calibrated) < 0 < max(calibrated)


def test_ece_of_too_few_pictures_is_not_measured() -> None:
    logits, labels = simulated(19, np.random.default_rng(4))
    assert scores.ece(torch.stack([logits] * 3), labels).to_json() == {
        "mean": None, "ci95": None, "per_seed": [None] * 3,
    }  # fmt: skip
    assert scores.ece(logits[None], labels).mean is None


def test_calibration_bins_hold_equal_numbers() -> None:
    logits, labels = simulated(361, np.random.default_rng(2))
    counts = scores.calibration_bins(logits, labels).count
    assert len(counts) == 15
    assert counts.sum() == 361
    assert counts.max() - counts.min() <= 1
