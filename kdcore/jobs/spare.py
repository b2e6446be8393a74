"""Spare workers: processes that have imported everything and wait for a run, and how a run is handed to one.

A spare worker offers itself by a file in the folder `spare` of its home. Whoever has claimed a run takes the spare
worker by renaming that file, so that the new name says which run and which attempt it is for. A file can be renamed
only once: a spare worker gets one run, and one that has withdrawn its offer gets none. Until it records itself as the
run's process through the lease, like any other worker, it writes nothing to the run.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from kdcore.jobs.fingerprint import worker_fingerprint
from kdcore.machine.namespace import process_namespace, started_at
from kdcore.store import Store, new_id

LOOK_SECONDS = 0.02  # how often a spare worker looks whether it was taken
KEPT_SECONDS = 86_400.0  # files of killed spare workers are removed after a day
LONGEST_PREPARATION = 20.0  # seconds that a measurement waits for a spare worker that is still preparing itself
_OFFER, _READY = ".json", ".ready"


@dataclass(frozen=True)
class Order:
    """The run that a spare worker was taken for."""

    run_id: str
    attempt: int


@dataclass(frozen=True)
class Offer:
    """The offer of one spare worker.

    Attributes:
        path: the file of the offer, which is there until the spare worker is taken or withdraws.
        namespace: where `pid` means this process, as in `process_namespace`.
        started: when the process started, in seconds since 1970.
        fingerprint: what `worker_fingerprint` returned when the process started.
    """

    path: Path
    pid: int
    namespace: str
    started: float
    fingerprint: str

    @classmethod
    def publish(cls, store: Store) -> Self:
        """Offer this process as a spare worker.

        Raises:
            OSError: the offer cannot be written.
        """
        path, me = offers_folder(store.home) / f"{new_id()}{_OFFER}", psutil.Process()
        offer = cls(path, me.pid, process_namespace(), me.create_time(), worker_fingerprint(store))
        facts = {name: value for name, value in vars(offer).items() if name != "path"}
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(facts), encoding="utf-8")
        unfinished.rename(path)
        return offer

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the offer in a file; None if it is gone or is none."""
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, int(facts["pid"]), facts["namespace"], float(facts["started"]), facts["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_alive(self) -> bool:
        """Whether the process that made this offer lives and is not suspended; it must be of this namespace."""
        try:
            process = psutil.Process(self.pid)
            ended = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, psutil.STATUS_STOPPED)
            return process.status() not in ended and started_at(process, self.started)
        except psutil.Error:
            return False

    @property
    def is_ready(self) -> bool:
        """Whether the spare worker has prepared itself and uses no processor any more."""
        return self.path.with_suffix(_READY).exists()

    def note_ready(self) -> None:
        """Note that this process has prepared itself."""
        with contextlib.suppress(OSError):
            self.path.with_suffix(_READY).touch()

    def withdraw(self) -> bool:
        """Remove the offer; False if the spare worker was taken before."""
        try:
            self.path.unlink()
        except OSError:
            return False
        self._remove(_READY)
        return True

    def hand_over(self, order: Order) -> bool:
        """Take the spare worker for a run; False if it was taken by another process or has withdrawn."""
        try:
            self.path.rename(self.path.with_suffix(f".{order.run_id}.{order.attempt}"))
        except OSError:
            return False
        return True

    def wait(self) -> Order | None:
        """Wait until this process is taken, and return what for; None if its offer has vanished."""
        while self.path.exists():
            time.sleep(LOOK_SECONDS)
        for taken in self.path.parent.glob(f"{self.path.stem}.*.*"):
            _, run_id, attempt = taken.name.split(".")
            for suffix in (_READY, f".{run_id}.{attempt}"):
                self._remove(suffix)
            return Order(run_id, int(attempt))
        return None

    def _remove(self, suffix: str) -> None:
        with contextlib.suppress(OSError):
            self.path.with_suffix(suffix).unlink()


def take_spare(store: Store, order: Order) -> int | None:
    """Hand a claimed run to a spare worker that is just what a new worker would be.

    Returns:
        the id of its process; None if there is no such spare worker, and the run needs a new one.
    """
    for offer in offers(store.home):
        if not offer.is_alive():
            offer.withdraw()  # its process was killed
        elif offer.fingerprint == worker_fingerprint(store) and offer.hand_over(order):
            return offer.pid
    return None


def wait_until_ready(home: Path, seconds: float = LONGEST_PREPARATION) -> None:
    """Wait until no spare worker of a home prepares itself any more, because that would spoil a measurement."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(offer.is_alive() and not offer.is_ready for offer in offers(home)):
        time.sleep(LOOK_SECONDS)


def offers(home: Path) -> Iterator[Offer]:
    """Yield the offers in a home whose processes can be seen from here, dead ones included."""
    for path in _files(home):
        offer = Offer.read(path) if path.suffix == _OFFER else None
        if offer is not None and offer.namespace == process_namespace():
            yield offer


def offers_folder(home: Path) -> Path:
    return home / "spare"


def remove_leftovers(home: Path, now: float) -> None:
    """Remove files that spare workers left behind when they were killed.

    Args:
        now: seconds since 1970.
    """
    for path in _files(home):
        with contextlib.suppress(OSError):
            offer = Offer.read(path)
            waits = offer is not None and offer.namespace == process_namespace() and offer.is_alive()
            if not waits and now - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()


def _files(home: Path) -> list[Path]:
    try:
        return sorted(path for path in offers_folder(home).iterdir() if path.suffix != ".lock")
    except OSError:
        return []
