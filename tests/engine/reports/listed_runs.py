"""Six runs, of which some have a result."""

from __future__ import annotations

from typing import Any

from kdcore.store import RunRow

RECIPE = {"batch_size": 50, "learning_rate": 0.03, "weight_decay": 0.1, "label_smoothing": 0.0}
CONFIG = {
    "dataset": "digits", "labels": 200, "teacher": "digits", "student": "mlp-16", "method": "kd", "temperature": 4.0,
    "distill_weight": 0.9, "epochs": 60, "seeds": [0, 1, 2], "device": "cpu", "recipe": RECIPE,
}  # fmt: skip


def run(
    number: int,
    result: dict[str, Any] | None = None,
    status: str = "finished",
    tags: tuple[str, ...] = (),
    times: tuple[float | None, float | None] = (None, None),
    **settings: Any,
) -> RunRow:
    return RunRow(
        number=number, id=f"run{number}", visitor="v", kind="run", status=status, config={**CONFIG, **settings},
        result=result, error=None, created=float(number), started=times[0], finished=times[1], heartbeat=None,
        host=None, worker_pid=None, worker_started=None, attempts=1, setbacks=0, cancel_requested=False, tags=tags,
    )  # fmt: skip


def estimate(mean: float | None, half: float | None = None) -> dict[str, Any]:
    return {"mean": mean, "ci95": None if half is None or mean is None else [mean - half, mean + half], "per_seed": []}


def result(distilled: float, baseline: float, seconds: float = 10.0, half: float | None = 0.03, sha: str = "a") -> Any:
    arms = {"baseline": {"accuracy": estimate(baseline, 0.04)}, "distilled": {"accuracy": estimate(distilled, half)}}
    difference = estimate(distilled - baseline, 0.05)
    return {"arms": arms, "paired_difference": difference, "seconds": seconds, "dataset_sha256": sha}


RUNS = [
    run(1, result(0.70, 0.60, 30), tags=("Class 7b",)),
    run(2, None, "failed", times=(100.0, 105.0), dataset="creatures", teacher="creatures"),
    run(3, result(0.75, 0.74, 20), student="mlp-64", tags=("Ärger",)),
    run(4, None, "queued"),
    run(5, result(0.60, 0.65, 40), temperature=8.0),
    run(
        6,
        {
            "arms": {"distilled": {"accuracy": estimate(None)}},
            "paired_difference": estimate(None),
            "seconds": None,
            "dataset_sha256": "a",
        },
    ),
]
