"""Spare workers of the tests: offers of processes that do nothing, and real ones that try out a smaller run."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil

from kdcore.jobs.spare import Offer, offers
from kdcore.jobs.spawn import SPARE_FLAG, worker_environment
from kdcore.store import Store
from tests.engine.jobs.short_runs import wait_for

# A spare worker that tries out a run on `digits`, which takes a moment, and not on pictures that must be drawn first.
REAL = "import sys; from kdcore.jobs import spare_process as p; p.TRIED_DATASET = 'digits'; sys.exit(p.main())"
WAITING = "import sys; sys.stdin.read()"


def published(store: Store, process: int) -> Offer:
    """The offer of a spare worker with this process id, which is made here in its name."""
    own = Offer.publish(store)
    other = replace(own, pid=process, started=psutil.Process(process).create_time())
    facts = {name: value for name, value in vars(other).items() if name != "path"}
    own.path.write_text(json.dumps(facts), encoding="utf-8")
    return other


@contextlib.contextmanager
def process(store: Store, code: str = WAITING) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is started like a spare worker; at the end it is killed, if it still lives."""
    command = [sys.executable, "-c", code, "kdcore.worker", SPARE_FLAG]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=worker_environment(store)) as started:
        try:
            yield started
        finally:
            started.kill()


@contextlib.contextmanager
def real_spare(store: Store) -> Iterator[tuple[subprocess.Popen[bytes], Offer]]:
    """A real spare worker that offers itself, and may still be importing."""
    with process(store, REAL) as started:
        wait_for(lambda: any(True for _ in offers(store.home)) or started.poll() is not None)
        (offer,) = offers(store.home)
        assert offer.pid == started.pid
        yield started, offer
