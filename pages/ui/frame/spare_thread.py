"""Keeps a spare worker ready in a thread of the app, so that a run that a visitor starts trains at once."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from kdcore.errors import KdError

PERIOD = 2.0  # seconds between two looks
IDLE_SECONDS = 600.0  # the spare worker is given up when no page was opened or used for so long


class Keeper(Protocol):
    """What the thread needs of `kdcore.jobs.spare_keeper.SpareKeeper`."""

    def keep(self, wanted: bool) -> None: ...

    def give_up(self) -> None: ...


class SpareThread:
    """A thread that calls a keeper's `keep` once a period, in moments when `busy` is false.

    Args:
        open_keeper: returns the context of the keeper; called in the thread, because opening it loads SQLAlchemy, for
            which no page should wait.
        idle: seconds without `note_use` after which the spare worker is not wanted any more.
    """

    def __init__(
        self,
        open_keeper: Callable[[], contextlib.AbstractContextManager[Keeper]],
        *,
        busy: Callable[[], bool],
        period: float = PERIOD,
        idle: float = IDLE_SECONDS,
    ) -> None:
        """Start the thread; it ends with `stop`, or with the process."""
        self._open_keeper, self._busy, self._period, self._idle = open_keeper, busy, period, idle
        self._stopped, self._used = threading.Event(), time.monotonic()
        threading.Thread(target=self._run, name="kd-spare", daemon=True).start()

    def note_use(self) -> None:
        """Note that somebody uses the app now."""
        self._used = time.monotonic()

    def stop(self) -> None:
        """Give up the spare worker and end the thread, for good."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            # After an error, such as a full disk, the keeper is opened anew: the cause may be gone by then.
            with contextlib.suppress(KdError, OSError):
                if not self._busy():
                    self._keep_until_stopped()

    def _keep_until_stopped(self) -> None:
        with self._open_keeper() as keeper:
            try:
                while True:
                    if not self._busy():
                        keeper.keep(time.monotonic() - self._used < self._idle)
                    if self._stopped.wait(self._period):
                        return
            finally:
                keeper.give_up()


@contextlib.contextmanager
def keeper_of_home() -> Iterator[Keeper]:
    """Context of the keeper of this home's spare worker, with a connection to the runs database of its own.

    Raises:
        StoreError: the database cannot be read or written.
    """
    # These load SQLAlchemy, for which no page should wait.
    from kdcore.jobs.spare_keeper import SpareKeeper
    from kdcore.store import Store

    with Store() as store:
        yield SpareKeeper(store)


def is_switched_off() -> bool:
    """Whether the environment variable `KDCORE_SPARE` says 0: then runs start without a spare worker."""
    return os.environ.get("KDCORE_SPARE", "").strip() == "0"
