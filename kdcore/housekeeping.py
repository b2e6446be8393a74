"""What is removed from the disk, and when.

- The checkpoints of a finished run: at once. Its models and its row stay.
- The checkpoints of a run that was stopped, interrupted or failed: 7 days after it ended. Resumed later, it begins
  anew; its curves stay until then.
- The log of a run: 30 days after it ended.
- A deleted run, its row, its events and its folder: 7 days after it was deleted.
- A run's folder that belongs to no run of this store: 7 days after it was first found so.
- Temporary files of a process that was killed while it wrote: after a day.

A run that waits or trains is never touched. Any number of processes may do this at once: whatever another one
removed already is left alone. Workers do it when they end, the app when it starts.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from kdcore.database import runs
from kdcore.errors import StoreError
from kdcore.rows import is_id
from kdcore.spawn import LOG
from kdcore.store import DONE, Store

DAY = 86_400.0
CHECKPOINT_DAYS = 7
LOG_DAYS = 30
DELETED_DAYS = 7
ORPHAN_DAYS = 7
TEMPORARY_DAYS = 1

ORPHANED = "no-run.txt"  # in a folder without a run: when it was first found so
DOOMED = "checkpoints.gone"
GONE = "gone-"  # before the name of a folder that is being removed: nobody finds it half-removed under its own
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")  # the names that `checkpoints.write_whole` gives


@dataclass(frozen=True)
class Cleaned:
    """What was removed."""

    checkpoints: int = 0  # runs whose checkpoints went
    logs: int = 0
    runs: int = 0  # deleted ones
    folders: int = 0  # those of deleted runs and of none
    temporary: int = 0


def clean(store: Store, now: float | None = None) -> Cleaned:
    """Remove what the rules above allow; what cannot be removed now is left for the next time.

    Args:
        now: seconds since 1970; the present unless given.
    """
    now = time.time() if now is None else now
    found = Cleaned()
    with contextlib.suppress(StoreError):
        purged = _purge_deleted(store, now)
        found = _clean_folders(store, now, purged)
    temporary = sum(_remove_file(path) for path in _temporary_files(store.home, now))
    return Cleaned(found.checkpoints, found.logs, found.runs, found.folders, temporary)


def _purge_deleted(store: Store, now: float) -> list[str]:
    """The ids of deleted runs whose time has come, and which the store has let go of."""
    query = sa.select(runs.c.id).where(runs.c.deleted < now - DELETED_DAYS * DAY, runs.c.status.in_(DONE))
    with store.read() as connection:
        old = list(connection.execute(query).scalars())
    return [run_id for run_id in old if store.purge(run_id)]


def _clean_folders(store: Store, now: float, purged: list[str]) -> Cleaned:
    # The folders first: a run that is put into the queue after this has none among them.
    there = _listed(store.home / "runs")
    folders = [folder for folder in there if is_id(folder.name)]
    for folder in there:
        if folder.name.startswith(GONE):  # of a process that was killed while it removed it
            _remove_folder(folder)
    with store.read() as connection:
        rows = {row.id: row for row in connection.execute(sa.select(runs.c.id, runs.c.status, runs.c.finished))}
    checkpoints = logs = removed = 0
    for folder in folders:
        row = rows.get(folder.name)
        if row is None:
            removed += (folder.name in purged or _is_old_orphan(folder, now)) and _remove_run(folder)
            continue
        _remove_file(folder / ORPHANED)
        _remove_folder(folder / DOOMED)  # of a process that was killed while it removed them
        if row.status not in DONE:
            continue
        ended = row.finished if row.finished is not None else now
        if (folder / "checkpoints").exists() and (row.status == "finished" or now - ended > CHECKPOINT_DAYS * DAY):
            checkpoints += _remove_checkpoints(store, folder)
        if now - ended > LOG_DAYS * DAY:
            logs += _remove_file(folder / LOG)
    return Cleaned(checkpoints, logs, len(purged), removed)


def _remove_checkpoints(store: Store, folder: Path) -> bool:
    """Take a run's checkpoints away, unless it was resumed since it was looked at."""
    doomed = folder / DOOMED
    with store.write() as connection:  # nobody resumes it, or starts it, meanwhile
        status = connection.execute(sa.select(runs.c.status).where(runs.c.id == folder.name)).scalar()
        if status not in DONE:
            return False
        _remove_folder(doomed)
        try:
            (folder / "checkpoints").rename(doomed)
        except OSError:
            return False
        for pointer in folder.glob("checkpoint*.json"):
            _remove_file(pointer)
    return _remove_folder(doomed)


def _is_old_orphan(folder: Path, now: float) -> bool:
    """Whether a folder has belonged to no run for long enough; the first look only writes down when that was.

    Another database, or a new one in place of a damaged one, knows none of the runs whose models lie here.
    """
    note = folder / ORPHANED
    try:
        since = float(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            note.write_text(f"{now}\n", encoding="utf-8")
        return False
    return now - since > ORPHAN_DAYS * DAY


def _temporary_files(home: Path, now: float) -> Iterator[Path]:
    places = [home / "teacher_logits", home / "models", home / "teachers", home / "datasets", home / "datasets" / "own"]
    for folder in _listed(home / "runs"):
        places += [folder, folder / "checkpoints", folder / "models"]
    for place in places:
        for path in _listed(place):
            with contextlib.suppress(OSError):
                old = now - path.lstat().st_mtime > TEMPORARY_DAYS * DAY
                if old and _TEMPORARY.fullmatch(path.name) and path.is_file():
                    yield path


def _listed(folder: Path) -> list[Path]:
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
    gone = folder.with_name(GONE + folder.name)
    try:
        folder.rename(gone)
    except OSError:
        return False
    return _remove_folder(gone)


def _remove_folder(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
