"""What the interval of a difference allows to claim."""

from __future__ import annotations

import pytest

from kdcore.metrics import scores
from kdcore.metrics.verdict import judge


def test_one_seed_gives_no_interval_and_no_claim() -> None:
    estimate = scores.seed_estimate([0.9], 0.01)
    assert estimate.ci95 is None
    assert judge(estimate).claim == "none"


@pytest.mark.parametrize(
    ("per_seed", "claim"),
    [((0.08, 0.081, 0.079), "distilled"), ((-0.08, -0.081, -0.079), "baseline"), ((0.1, -0.1, 0.02), "none")],
)
def test_verdict_is_what_the_interval_allows(per_seed: tuple[float, ...], claim: str) -> None:
    estimate = scores.seed_estimate(per_seed, 1e-6)
    verdict = judge(estimate)
    assert verdict.claim == claim
    assert f"{len(per_seed)} seeds" in verdict.sentence
    assert verdict.sentence.startswith("No difference") == (claim == "none")
