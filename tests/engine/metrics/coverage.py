"""How often the intervals of `kdcore.metrics` hold the true value, and how large the calibration error of a calibrated
model looks, by the number of test pictures.

    python -m tests.engine.metrics.coverage

prints a table in Markdown. Networks are simulated, so the truth is known: each trial draws a true accuracy evenly from
30 to 98 %, and each test picture is easy or hard for all seeds to the extent that a scenario says.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from kdcore.metrics import scores

LOWEST, HIGHEST = 0.3, 0.98  # true accuracies
LARGEST_DIFFERENCE = 0.1  # of the two arms' true accuracies
CLASSES = 10  # of the simulated calibrated model
PICTURES, SEEDS = (10, 20, 50, 100, 300, 1_000, 5_000), (2, 3, 5, 10)
TRIALS = 1_000

Generator = np.random.Generator


@dataclass(frozen=True)
class Scenario:
    """How networks answer: each does if ability + ease of the picture + chance is above 0, all of them normal.

    Attributes:
        shared: the share of the variance of one answer that is the picture's, and so the same for all seeds.
        shared_by_arms: the share of the pictures' variance that is the same for both arms.
        spread: standard deviation of the seeds' ability.
    """

    shared: float
    shared_by_arms: float
    spread: float


SCENARIOS = {
    "all seeds answer alike": Scenario(1.0, 0.9, 0.0),
    "seeds differ": Scenario(0.7, 1.0, 0.1),
    "seeds answer independently": Scenario(0.0, 1.0, 0.0),
}


def answers(rng: Generator, scenario: Scenario, accuracy: float, ease: NDArray[np.float32], seeds: int) -> torch.Tensor:
    """The logits [S, N, 2] of networks of this true accuracy; the hard label of every picture is 1."""
    spread, shared = scenario.spread, scenario.shared
    ability = ndtri(accuracy) * np.sqrt(1 + spread**2) + spread * rng.standard_normal((seeds, 1))
    chance = np.sqrt(1 - shared) * normal(rng, seeds, len(ease)) if shared < 1 else 0.0
    right = torch.from_numpy(np.sqrt(shared) * ease + chance > -ability)
    return torch.stack([~right, right], -1).float()


def normal(rng: Generator, *shape: int) -> NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)


def mean_holds(rng: Generator, scenario: Scenario, pictures: int, seeds: int) -> bool:
    """Whether the interval of the accuracy over several seeds holds the truth in one trial."""
    truth = rng.uniform(LOWEST, HIGHEST)
    logits = answers(rng, scenario, truth, normal(rng, pictures), seeds)
    low, high = scores.accuracy(logits, torch.ones(pictures, dtype=torch.int64)).ci95 or (1.0, 0.0)
    return bool(low <= truth <= high)


def difference_holds(rng: Generator, scenario: Scenario, pictures: int, seeds: int) -> bool:
    """Whether the interval of the paired difference holds the truth in one trial."""
    baseline = rng.uniform(LOWEST, HIGHEST)
    distilled = min(max(baseline + rng.uniform(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE), LOWEST), HIGHEST)
    ease, other = normal(rng, 2, pictures)
    arms = scenario.shared_by_arms
    logits = answers(rng, scenario, distilled, ease, seeds)
    other_logits = answers(rng, scenario, baseline, np.sqrt(arms) * ease + np.sqrt(1 - arms) * other, seeds)
    estimate = scores.paired_difference(logits, other_logits, torch.ones(pictures, dtype=torch.int64))
    low, high = estimate.ci95 or (1.0, -1.0)
    return bool(low <= distilled - baseline <= high)


def wilson_holds(rng: Generator, pictures: int) -> bool:
    """Whether Wilson's interval of the accuracy of one network holds the truth in one trial."""
    truth = rng.uniform(LOWEST, HIGHEST)
    low, high = scores.proportion_estimate(torch.from_numpy(rng.random(pictures) < truth)).ci95 or (1.0, 0.0)
    return bool(low <= truth <= high)


def calibrated(rng: Generator, pictures: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N, K] of a model that is right exactly as often as it is sure, and hard labels [N]."""
    mean = rng.uniform(LOWEST, HIGHEST)
    sure = torch.from_numpy(rng.beta(5 * mean, 5 * (1 - mean), pictures).clip(1.001 / CLASSES, 1 - 1e-9))
    others = ((1 - sure) / (CLASSES - 1)).log()
    logits = torch.cat([sure.log()[:, None], others[:, None].expand(-1, CLASSES - 1)], 1)
    return logits, torch.from_numpy(rng.random(pictures) >= sure.numpy()).long()  # label 1 where it is wrong


def ece_of_calibrated(rng: Generator, pictures: int, trials: int) -> float | None:
    """The mean of the signed ECE of calibrated models, 0 to 1; None if so few pictures have none."""
    found = [
        scores.ece(logits[None], labels).mean for logits, labels in (calibrated(rng, pictures) for _ in range(trials))
    ]
    values = [value for value in found if value is not None]
    return float(np.mean(values)) if values else None


def lowest_coverage(
    rng: Generator, pictures: int, seeds: int, trials: int, scenarios: Iterable[str] = SCENARIOS
) -> dict[str, float]:
    """The share of trials whose interval of the mean, or of the difference, holds the truth, in the worst scenario."""
    return {
        name: min(
            float(np.mean([holds(rng, SCENARIOS[scenario], pictures, seeds) for _ in range(trials)]))
            for scenario in scenarios
        )
        for name, holds in (("mean", mean_holds), ("difference", difference_holds))
    }


def table(trials: int) -> str:
    """The table of the documents, in Markdown; every cell is in percent."""
    heads = ["pictures", *(f"mean, {n} seeds" for n in SEEDS), *(f"paired, {n} seeds" for n in SEEDS), "Wilson", "ECE"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for pictures in PICTURES:
        rng = np.random.default_rng(pictures)
        found = [lowest_coverage(rng, pictures, seeds, trials) for seeds in SEEDS]
        cells = [f"{100 * one[name]:.1f}" for name in ("mean", "difference") for one in found]
        cells.append(f"{100 * np.mean([wilson_holds(rng, pictures) for _ in range(10 * trials)]):.1f}")
        error = ece_of_calibrated(rng, pictures, 3 * trials)
        cells.append("none" if error is None else f"{100 * error:+.2f}")
        lines.append(f"| {pictures:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How often intervals hold the truth, by the number of test pictures.")
    parser.add_argument("--trials", type=int, default=TRIALS, help="simulated runs for each cell and scenario")
    print(table(parser.parse_args().trials))
