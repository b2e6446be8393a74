"""The command that measures how fast the engine is on this machine."""

from __future__ import annotations

import contextlib
import math
import shlex
from argparse import Namespace

from kdcore.cli.answer import VISITOR, Answer, ProgressLine, progress
from kdcore.cli.bench_text import table
from kdcore.errors import DatasetUnavailable, KdError
from kdcore.store import Store


class Interrupted(KdError):
    """The benchmark was stopped with Ctrl-C."""


def bench(options: Namespace) -> Answer:
    from kdcore.datasets import dataset_status
    from kdcore.experiments.bench.report import Plan, check_plan, measure
    from kdcore.experiments.bench.tutorial import DATASET
    from kdcore.machine.allocator import keep_freed_memory

    parts = tuple(filter(None, (options.only or "").split(",")))
    plan = check_plan(Plan(parts, options.repeats, options.device, options.full, options.restart))
    if "tutorial" in plan.parts and not (status := dataset_status(DATASET)).ready:
        raise DatasetUnavailable(status.needs)  # fail before waiting for the machine
    keep_freed_memory()  # done in every process that trains
    try:
        with progress() as line, Store() as store, contextlib.ExitStack() as stack:
            _take_turn(stack, store, line)
            found = measure(plan, line)
    except KeyboardInterrupt:
        kept = (
            f"; what the full run trained is kept, and {_continue_command(options)} goes on from there"
            if plan.full
            else ""
        )
        raise Interrupted(f"Stopped{kept}.") from None
    return Answer(found, table(found))


def _continue_command(options: Namespace) -> str:
    """Return the command that continues a stopped full run: the same one without `--restart`."""
    only = ["--only", options.only] if options.only else []
    words = ["kdcore", "bench", "--full", *only, "--repeats", str(options.repeats), "--device", options.device]
    return shlex.join(words)


def _take_turn(stack: contextlib.ExitStack, store: Store, line: ProgressLine) -> None:
    """Reserve the machine until `stack` is closed, so that no run trains beside the benchmark.

    If the machine is busy, wait in the queue like a run.
    """
    from kdcore.jobs.machine_turn import MachineBusy, reserve_machine

    try:
        stack.enter_context(reserve_machine(store, "bench", VISITOR))
    except MachineBusy as busy:
        line(f"waiting for run {busy.run_id}, beside which figures would be wrong; Ctrl-C stops waiting")
        stack.enter_context(reserve_machine(store, "bench", VISITOR, wait=math.inf))
