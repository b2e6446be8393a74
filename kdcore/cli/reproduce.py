"""The command that repeats a published experiment and prints its figures beside ours."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from kdcore.cli import text
from kdcore.cli.answer import Answer, Interrupted, progress
from kdcore.machine.allocator import keep_freed_memory
from kdcore.machine.parallel import cores
from kdcore.machine.threads import default_to_one_thread


def reproduce(options: Namespace) -> Answer:
    default_to_one_thread()  # must precede the import of PyTorch; makes idle threads sleep instead of spin
    # These load torch, which takes seconds.
    from kdcore.experiments.reproductions import find_reproduction
    from kdcore.experiments.reproductions.progress import ReproductionFinished, StageEpochEnded

    keep_freed_memory()
    result: dict[str, Any] = {}
    try:
        with progress() as line:
            steps = find_reproduction(options.name)(
                options.seeds, device=options.device, threads=cores(), restart=options.restart
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
        command = f"kdcore reproduce {options.name} --seeds {options.seeds}"
        raise Interrupted(f"Stopped; what was trained is kept, and {command} goes on from there.") from None
    return Answer(result, table(result))


def table(result: dict[str, Any]) -> str:
    """Return a table with the paper's test errors beside ours, one row per network."""
    heads = ("network", "paper", "ours", "95 % interval", "by seed", "3s right")
    rows = []
    for name, row in result["rows"].items():
        errors, threes = row["errors"], row["threes_right"]
        ci95 = errors["ci95"]
        interval = "" if ci95 is None else f"{ci95[0]:.0f} to {ci95[1]:.0f}"
        by_seed = " ".join(f"{value:.0f}" for value in errors["per_seed"])
        rows.append((name, row["paper_errors"], f"{errors['mean']:.1f}", interval, by_seed, text.estimate(threes)))
    seconds, count = text.duration(result["seconds"]), len(result["seeds"])
    seeds = f"{count} seed{'s' if count > 1 else ''}"
    return "\n".join([text.table(heads, rows), "", f"errors on test; {seeds}, {seconds} on {result['device']}"])
