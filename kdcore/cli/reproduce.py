"""The command that repeats a published experiment and prints its figures beside ours."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from kdcore.cli import text
from kdcore.cli.answer import Answer, progress
from kdcore.errors import KdError
from kdcore.machine.threads import default_to_one_thread


class Stopped(KdError):
    """The reproduction was stopped with Ctrl-C."""


def reproduce(options: Namespace) -> Answer:
    default_to_one_thread()  # must precede the import of PyTorch; makes idle threads sleep instead of spin
    from kdcore.experiments.reproductions import find_reproduction
    from kdcore.experiments.reproductions.progress import ReproductionFinished, StageEpochEnded
    from kdcore.machine.allocator import keep_freed_memory

    keep_freed_memory()
    result: dict[str, Any] = {}
    try:
        with progress() as line:
            steps = find_reproduction(options.name)(
                options.seeds, device=options.device, threads=os.cpu_count(), restart=options.restart
            )
            for step in steps:
                if isinstance(step, StageEpochEnded):
                    line(
                        f"{options.name}: seed {step.seed} {step.stage}, epoch {step.done} of {step.epochs}, "
                        f"{step.validation_errors} wrong on validation, {text.duration(step.seconds_left)} left in all"
                    )
                elif isinstance(step, ReproductionFinished):
                    result = step.result
    except KeyboardInterrupt:
        again = f"kdcore reproduce {options.name} --seeds {options.seeds}"
        raise Stopped(f"Stopped; what was trained is kept, and {again} goes on from there.") from None
    return Answer(result, table(result))


def table(result: dict[str, Any]) -> str:
    """Return a table with the paper's test errors beside ours, one row per network."""
    heads = ("network", "paper", "ours", "95 % interval", "by seed", "3s right")
    rows = []
    for name, row in result["rows"].items():
        errors, threes = row["errors"], row["threes_right"]
        interval = errors["ci95"]
        between = "" if interval is None else f"{interval[0]:.0f} to {interval[1]:.0f}"
        seeds = " ".join(f"{value:.0f}" for value in errors["per_seed"])
        rows.append((name, row["paper_errors"], f"{errors['mean']:.1f}", between, seeds, text.estimate(threes)))
    seconds = text.duration(result["seconds"])
    seeds = f"{len(result['seeds'])} seed{'s' * (len(result['seeds']) > 1)}"
    return "\n".join([text.table(heads, rows), "", f"errors on test; {seeds}, {seconds} on {result['device']}"])
