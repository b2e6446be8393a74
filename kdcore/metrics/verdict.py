"""Which of two students is better, in one word and in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kdcore.metrics.divergence import Divergence, divergences_in_words
from kdcore.metrics.few_pictures import FEWEST_PICTURES
from kdcore.metrics.intervals import Estimate


@dataclass(frozen=True)
class Verdict:
    """Which student is better, judged by the paired difference.

    Attributes:
        claim: the better arm, "distilled" or "baseline"; "none" if the interval includes 0 or there is none.
        sentence: the result in words, with numbers.
    """

    claim: str
    sentence: str


def judge(difference: Estimate, diverged: Sequence[Divergence] = ()) -> Verdict:
    """Judge the paired difference distilled minus baseline (in accuracy, 0 to 1) by its interval.

    Args:
        diverged: the students that diverged, whom the sentence names if they leave no difference.
    """
    seeds = len(difference.per_seed)
    if difference.mean is None:
        who = divergences_in_words(diverged)
        return Verdict("none", f"No difference can be claimed, because students diverged{f': {who}' if who else ''}.")
    if difference.ci95 is None:
        why = "one seed gives" if seeds == 1 else f"fewer than {FEWEST_PICTURES} test pictures give"
        return Verdict("none", f"No difference can be claimed: {why} no interval.")
    low, high = (100 * bound for bound in difference.ci95)
    points = 100 * difference.mean
    if low > 0 or high < 0:
        better = "distilled" if low > 0 else "baseline"
        near, far = (low, high) if low > 0 else (-high, -low)
        sentence = (
            f"{better} is better by {abs(points):.1f} points, 95 % interval {near:.1f} to {far:.1f}, {seeds} seeds."
        )
        return Verdict(better, sentence)
    sentence = (
        f"No difference can be claimed: distilled minus baseline is {points:+.1f} points, "
        f"95 % interval {low:+.1f} to {high:+.1f}, {seeds} seeds."
    )
    return Verdict("none", sentence)
