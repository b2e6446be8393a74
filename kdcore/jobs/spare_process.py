"""The process of a spare worker: it imports and tries out everything that a run needs, and waits for its run.

It offers itself from the beginning: a run that comes while it still imports waits no longer than for a new process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from kdcore.errors import KdError
from kdcore.jobs import worker
from kdcore.jobs.dispatcher import runs_dir
from kdcore.jobs.spare import Offer
from kdcore.jobs.spawn import LOG
from kdcore.machine.allocator import return_freed_memory
from kdcore.store import Store

TRIED_DATASET = "creatures"  # the dataset of the first run on the Distil page; the engine draws it itself
_STDIN, _STDOUT, _STDERR = 0, 1, 2


def main() -> int:
    """Wait for a run and train it; return what `worker.main` returns, and 0 for a spare worker that got no run.

    The process ends early, without a run, when its standard input ends: that is the sign that nobody needs it any more,
    and the system gives it too when the process that started this one was killed.
    """
    try:
        with Store() as store:
            offer, home = Offer.publish(store), store.home
    except (KdError, OSError) as error:
        print(f"kdcore.worker: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=_end_with_parent, args=(offer,), name="end of parent", daemon=True).start()
    _try_out(home, should_stop=lambda: not offer.path.exists())
    offer.note_ready()
    order = offer.wait()
    if order is None:
        return 0
    _print_to(runs_dir(order.run_id, home) / LOG)
    return worker.main([order.run_id, "--attempt", str(order.attempt)])


def _end_with_parent(offer: Offer) -> None:
    """Wait for the end of standard input, then end this process unless it was taken for a run."""
    with contextlib.suppress(OSError):
        while os.read(_STDIN, 1024):  # not `sys.stdin`, whose lock would disturb the end of the interpreter
            pass
    if offer.withdraw():
        os._exit(0)  # the main thread may be in the middle of an import


def _try_out(home: Path, should_stop: Callable[[], bool]) -> None:
    """Train the first epoch of a default run and forget it: this imports what a run imports, and PyTorch prepares what
    it prepares in a first step. The dataset and the teacher's logits are left in their caches.

    Any failure is left to the run that fails in the same way and can report it.
    """
    with contextlib.suppress(Exception):
        from kdcore.events import EpochEnded
        from kdcore.settings.config import make_run_config
        from kdcore.training.trainer import train

        steps = train(make_run_config(TRIED_DATASET), home=home, should_stop=should_stop)
        while not isinstance(next(steps), EpochEnded):
            pass
        del steps
    return_freed_memory()


def _print_to(log: Path) -> None:
    """Send what this process prints from now on to the end of a file."""
    with contextlib.suppress(OSError), log.open("ab") as file:
        for stream in (_STDOUT, _STDERR):
            os.dup2(file.fileno(), stream)
