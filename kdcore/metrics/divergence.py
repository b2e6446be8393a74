"""Students that diverged: their loss, weights or logits became infinite or not a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST_NAMED = 6  # groups of students that a sentence names; the others are counted


@dataclass(frozen=True)
class Divergence:
    """A student that diverged.

    Attributes:
        arm: the name of its arm; for a stage, the name of the stage.
        seed: its seed.
        epoch: the epoch in which this was found, counted from 1 over its own training.
    """

    arm: str
    seed: int
    epoch: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def divergences_of(result: Mapping[str, Any] | None) -> tuple[Divergence, ...]:
    """Return the students of a run that diverged, from its result; () without a result."""
    return tuple(Divergence(one["arm"], one["seed"], one["epoch"]) for one in (result or {}).get("diverged") or ())


def divergences_in_words(diverged: Iterable[Divergence]) -> str:
    """Return who diverged and when, such as "baseline with seeds 0, 1 in epoch 2, distilled with seed 1 in epoch 3"."""
    seeds: dict[tuple[str, int], list[int]] = {}
    for one in diverged:
        seeds.setdefault((one.arm, one.epoch), []).append(one.seed)
    parts = [
        f"{arm} with seed{'s' if len(each) > 1 else ''} {', '.join(map(str, each))} in epoch {epoch}"
        for (arm, epoch), each in seeds.items()
    ]
    more = [f"and {len(parts) - MOST_NAMED} more"] if len(parts) > MOST_NAMED else []
    return ", ".join([*parts[:MOST_NAMED], *more])
