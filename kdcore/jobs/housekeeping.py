"""Housekeeping: which files are removed from the disk, and when.

- The checkpoints of a finished run: at once. Its models and its row stay.
- The checkpoints of a run that was stopped, interrupted or failed: 7 days after it ended. If it is resumed later, it
  starts again from its first epoch; its curves stay until then.
- The log of a run: 30 days after it ended.
- A deleted run, with its row, its events and its folder: 7 days after it was deleted.
- A run's folder that belongs to no run of this store: 7 days after that was first noticed.
- Temporary files of a process that was killed while it wrote them, half-unpacked archives, and the files of spare
  workers that were killed: after a day.
- Cached teacher logits and pictures: 30 days after their last use.
- A temporary dataset, with its teacher: when it expires.

A run that waits or trains is never touched. Any number of processes may clean up at the same time: each skips what
another one has removed already. Workers clean up when they end, and the app when it starts and every hour.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from kdcore.errors import StoreError
from kdcore.jobs.caches import DAY, remove_unused_caches
from kdcore.jobs.expired import remove_expired_datasets
from kdcore.jobs.spare import remove_leftovers
from kdcore.jobs.spawn import LOG
from kdcore.store import ENDED, Store
from kdcore.store.rows import is_id
from kdcore.store.schema import runs

CHECKPOINT_DAYS = 7
LOG_DAYS = 30
DELETED_DAYS = 7
ORPHAN_DAYS = 7
TEMPORARY_DAYS = 1

NO_RUN_NOTE = "no-run.txt"  # a file in a folder without a run; holds the time when that was first noticed
# Checkpoints and folders are renamed before they are removed, so that no process reads a half-removed one.
REMOVED_CHECKPOINTS = "checkpoints.gone"  # the new name of the folder of checkpoints
REMOVING_PREFIX = "gone-"  # the prefix of a run's folder
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")  # the names of the temporary files of `write_atomically`


@dataclass(frozen=True)
class Cleaned:
    """How many things of each kind `clean` removed."""

    checkpoints: int = 0  # runs whose checkpoints were removed
    logs: int = 0
    runs: int = 0  # deleted runs whose rows were removed
    folders: int = 0  # folders of deleted runs, and folders without a run
    temporary: int = 0  # temporary files
    caches: int = 0  # cached teacher logits and pictures
    datasets: int = 0  # temporary datasets


def clean(store: Store, now: float | None = None) -> Cleaned:
    """Remove what the rules of this module allow; what cannot be removed now is left for the next time.

    Args:
        now: seconds since 1970; the present time unless given.
    """
    now = time.time() if now is None else now
    cleaned = Cleaned()
    with contextlib.suppress(StoreError):
        purged = _purge_deleted(store, now)
        cleaned = replace(_clean_folders(store, now, purged), datasets=remove_expired_datasets(store, now))
    temporary = [path for path in _temporary_files(store.home, now) if _remove_file(path)]
    remove_leftovers(store.home, now)
    return replace(cleaned, temporary=len(temporary), caches=remove_unused_caches(store.home, now))


def _purge_deleted(store: Store, now: float) -> list[str]:
    """Remove the rows of runs that were deleted long enough ago, and return the ids of the runs removed."""
    query = sa.select(runs.c.id).where(runs.c.deleted < now - DELETED_DAYS * DAY, runs.c.status.in_(ENDED))
    with store.read() as connection:
        old = list(connection.execute(query).scalars())
    return [run_id for run_id in old if store.purge(run_id)]


def _clean_folders(store: Store, now: float, purged: list[str]) -> Cleaned:
    """Clean the folders of all runs; return what was removed, with the number of purged runs.

    Args:
        purged: ids of the deleted runs whose rows have just been removed.
    """
    # List the folders before reading the rows: a run submitted in between must not look like a folder without a run.
    folders = _entries(store.home / "runs")
    for folder in folders:
        if folder.name.startswith(REMOVING_PREFIX):  # left by a process that was killed while it removed the folder
            _remove_folder(folder)
    with store.read() as connection:
        rows = {row.id: row for row in connection.execute(sa.select(runs.c.id, runs.c.status, runs.c.finished))}
    checkpoints, logs, removed = [], [], []
    for folder in folders:
        if not is_id(folder.name):
            continue
        row = rows.get(folder.name)
        if row is None:
            if (folder.name in purged or _is_old_orphan(folder, now)) and _remove_run(folder):
                removed.append(folder)
            continue
        _remove_file(folder / NO_RUN_NOTE)
        _remove_folder(folder / REMOVED_CHECKPOINTS)  # left by a process that was killed while it removed them
        if row.status not in ENDED:
            continue
        age = 0.0 if row.finished is None else now - row.finished
        if _may_remove_checkpoints(folder, row.status, age) and _remove_checkpoints(store, folder):
            checkpoints.append(folder)
        if age > LOG_DAYS * DAY and _remove_file(folder / LOG):
            logs.append(folder)
    return Cleaned(len(checkpoints), len(logs), len(purged), len(removed))


def _may_remove_checkpoints(folder: Path, status: str, age: float) -> bool:
    """Whether the checkpoints of a run that ended `age` seconds ago are there and may be removed."""
    return (folder / "checkpoints").exists() and (status == "finished" or age > CHECKPOINT_DAYS * DAY)


def _remove_checkpoints(store: Store, folder: Path) -> bool:
    """Remove a run's checkpoints, unless it was resumed in the meantime; return whether they are gone."""
    renamed = folder / REMOVED_CHECKPOINTS
    with store.write() as connection:  # so that nobody can resume or start the run meanwhile
        status = connection.execute(sa.select(runs.c.status).where(runs.c.id == folder.name)).scalar()
        if status not in ENDED:
            return False
        _remove_folder(renamed)
        try:
            (folder / "checkpoints").rename(renamed)
        except OSError:
            return False
        for pointer in folder.glob("checkpoint*.json"):
            _remove_file(pointer)
    return _remove_folder(renamed)


def _is_old_orphan(folder: Path, now: float) -> bool:
    """Whether a folder has belonged to no run for long enough to be removed; the first call only notes the time.

    The delay matters when another database is in use, or a new one replaced a damaged one: it knows none of the runs
    whose models are in these folders.
    """
    note = folder / NO_RUN_NOTE
    try:
        since = float(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            note.write_text(f"{now}\n", encoding="utf-8")
        return False
    return now - since > ORPHAN_DAYS * DAY


def _temporary_files(home: Path, now: float) -> Iterator[Path]:
    """Yield the temporary files of processes that were killed while they wrote them, once they are old enough."""
    names = ("teacher_logits", "models", "teachers", "datasets", "datasets/own")
    folders = [home / name for name in names]
    for run_folder in _entries(home / "runs"):
        folders += [run_folder, run_folder / "checkpoints", run_folder / "models"]
    for folder in folders:
        for path in _entries(folder):
            with contextlib.suppress(OSError):
                old = now - path.lstat().st_mtime > TEMPORARY_DAYS * DAY
                if old and _TEMPORARY.fullmatch(path.name) and path.is_file():
                    yield path


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _remove_file(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _remove_run(folder: Path) -> bool:
    """Remove the folder of a run; return whether it is gone."""
    renamed = folder.with_name(REMOVING_PREFIX + folder.name)
    try:
        folder.rename(renamed)
    except OSError:
        return False
    return _remove_folder(renamed)


def _remove_folder(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
