"""What the events of a run hold, for comparing two runs."""

from __future__ import annotations

from kdcore.events import EpochEnded, Event


def curves(events: list[Event]) -> dict[int, object]:
    return {event.epoch: event.curves for event in events if isinstance(event, EpochEnded)}


def figures(events: list[Event]) -> object:
    """Return the result without its measured times."""
    result = dict(events[-1].result)
    arms = {arm: {k: v for k, v in row.items() if k != "latency_ms"} for arm, row in result["arms"].items()}
    clocks = dict.fromkeys(("seconds", "teacher_seconds", "whole", "run_id"))
    return {**result, "arms": arms, **clocks}
