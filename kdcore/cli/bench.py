"""The command that measures how fast the engine is on this machine."""

from __future__ import annotations

import contextlib
import math
import shlex
from argparse import Namespace

from kdcore.cli.answer import Answer, Interrupted, ProgressLine, progress
from kdcore.cli.bench_text import table
from kdcore.errors import DatasetUnavailable
from kdcore.jobs import LOCAL_VISITOR, machine_turn
from kdcore.machine.allocator import keep_freed_memory
from kdcore.store import Store


def bench(options: Namespace) -> Answer:
    # These load torch, which takes seconds.
    from kdcore.datasets import dataset_status
    from kdcore.experiments.bench.report import Plan, check_plan, measure
    from kdcore.experiments.bench.tutorial import DATASET

    parts = tuple(filter(None, (options.only or "").split(",")))
    plan = check_plan(Plan(parts, options.repeats, options.device, options.full, options.restart))
    if "tutorial" in plan.parts and not (status := dataset_status(DATASET)).ready:
        raise DatasetUnavailable(status.needs)  # fail before waiting for the machine
    keep_freed_memory()  # done in every process that trains
    try:
        with progress() as line, Store() as store, contextlib.ExitStack() as stack:
            _reserve_machine(stack, store, line)
            found = measure(plan, line)
    except KeyboardInterrupt:
        if not plan.full:
            raise Interrupted("Stopped.") from None
        command = _continue_command(options)
        raise Interrupted(f"Stopped; what the full run trained is kept, and {command} goes on from there.") from None
    return Answer(found, table(found))


def _continue_command(options: Namespace) -> str:
    """Return the command that continues a stopped full run: the same one without `--restart`."""
    only = ["--only", options.only] if options.only else []
    words = ["kdcore", "bench", "--full", *only, "--repeats", str(options.repeats), "--device", options.device]
    return shlex.join(words)


def _reserve_machine(stack: contextlib.ExitStack, store: Store, line: ProgressLine) -> None:
    """Reserve the machine until `stack` is closed, so that no run trains beside the benchmark.

    If the machine is busy, wait in the queue like a run.
    """
    try:
        stack.enter_context(machine_turn.reserve_machine(store, "bench", LOCAL_VISITOR))
    except machine_turn.MachineBusy as busy:
        line(f"waiting for run {busy.run_id}, beside which figures would be wrong; Ctrl-C stops waiting")
        stack.enter_context(machine_turn.reserve_machine(store, "bench", LOCAL_VISITOR, wait=math.inf))
