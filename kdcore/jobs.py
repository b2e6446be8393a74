"""The queue: runs wait in the store and train one at a time, each in a process of its own.

What a visitor can do with it: put a run in, follow it, stop it, and resume one that ended early. Whose turn is next
is decided in `fair_queue`, when that is in `waits`, and how it starts in `dispatcher`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from kdcore.database import events, runs
from kdcore.disk import NoSpace, check_space
from kdcore.dispatcher import MAX_SETBACKS, SLOTS, advance, claim, end_unheld, runs_dir
from kdcore.ensemble_names import is_ensemble, members_of
from kdcore.errors import ConfigError, DatasetUnavailable, KdError, UnknownName
from kdcore.events import Event, RunFailed
from kdcore.machine_turn import Busy, turn
from kdcore.rows import held, visible
from kdcore.store import WAITING, RunRow, Store, new_id, to_text
from kdcore.waits import expected_wait, position

if (
    TYPE_CHECKING
):  # its validation needs torch, which takes seconds to import and which most of this module does without
    from kdcore.config import RunConfig

__all__ = [
    "LOCAL_VISITOR",
    "MAX_QUEUED",
    "MAX_SETBACKS",
    "MAX_WAITING",
    "SLOTS",
    "Busy",
    "CannotResume",
    "NoSpace",
    "QueueFull",
    "TooManyRuns",
    "advance",
    "cancel",
    "check",
    "claim",
    "expected_wait",
    "follow",
    "position",
    "resume",
    "runs_dir",
    "submit",
    "turn",
]

MAX_QUEUED = 50
MAX_WAITING = 5  # runs of one visitor that wait or train at a time
LOCAL_VISITOR = "local"  # the command line: the person at the machine, whom only MAX_QUEUED limits
ADVANCE_SECONDS = 2.0


class QueueFull(KdError):
    """Too many runs wait already."""


class TooManyRuns(KdError):
    """This visitor has too many runs that wait or train."""


class CannotResume(KdError):
    """The run is not one that ended early."""


def submit(store: Store, config: RunConfig, visitor: str, parent: str | None = None, *, most: int | None = None) -> str:
    """Put a run into the queue and return its id; `advance` starts it.

    Args:
        parent: the run that this one repeats with a change.
        most: how many runs of this visitor may wait or train at a time; `MAX_WAITING` unless given, and `MAX_QUEUED`
            for the command line.

    Raises:
        ConfigError: the configuration is not legal, or names a teacher that does not fit its dataset.
        DatasetUnavailable: the dataset is not on this machine.
        NoSpace: the disk has no room for it.
        QueueFull: too many runs wait already.
        TooManyRuns: too many of them are this visitor's.
    """
    check(config)
    check_space(config, store.home)
    run_id = new_id()
    with store.write() as connection:
        _check_room(connection, visitor, most)
        values = {"id": run_id, "visitor": visitor, "kind": "run", "status": "queued", "created": time.time()}
        connection.execute(sa.insert(runs).values(**values, config=to_text(config.to_json()), parent=parent))
    return run_id


def unfinished(store: Store, config: RunConfig, visitor: str) -> str | None:
    """The newest run of this visitor with this very configuration that has no result yet; None if there is none."""
    same = sa.and_(runs.c.visitor == visitor, runs.c.config == to_text(config.to_json()), runs.c.deleted.is_(None))
    found = sa.select(runs.c.id).where(same, runs.c.status != "finished").order_by(runs.c.created.desc()).limit(1)
    with store.read() as connection:
        run_id: str | None = connection.execute(found).scalar()
    return run_id


def check(config: RunConfig) -> None:
    """Refuse what a worker would refuse, before anything is stored.

    Raises:
        ConfigError, DatasetUnavailable: as `submit`.
    """
    from kdcore.datasets import dataset_status
    from kdcore.default_teachers import dataset_of
    from kdcore.defaults import defaults_for
    from kdcore.device import pick_device
    from kdcore.ensembles import ensemble_card
    from kdcore.model_cards import list_teachers
    from kdcore.stages import stages_of
    from kdcore.sweeps import points, teachers_of

    config = config.validate()
    if config.device == "cuda":
        pick_device(config.device)
    status = dataset_status(config.dataset)
    if not status.ready:
        raise DatasetUnavailable(status.needs)
    learned = {card.name: card.dataset for card in list_teachers()}
    for teacher in teachers_of(config):
        known = dataset_of(teacher)  # of one that is trained first, too
        if known is None:
            raise UnknownName("teacher", next(one for one in members_of(teacher) if dataset_of(one) is None), learned)
        if known != config.dataset:
            fitting = ", ".join(name for name, dataset in learned.items() if dataset == config.dataset)
            raise ConfigError(
                f'The teacher "{teacher}" learned {known} and cannot teach {config.dataset}; '
                f"choose one of: {fitting or defaults_for(config.dataset).teacher}."
            )
        if is_ensemble(teacher) and learned.keys() >= set(members_of(teacher)):
            ensemble_card(teacher)
    for point in points(config):
        stages_of(point.config)


def _check_room(connection: sa.Connection, visitor: str, most: int | None) -> None:
    """Refuse a run more, inside the transaction that would add it."""
    count = sa.select(sa.func.count()).where(runs.c.kind == "run")
    if connection.execute(count.where(runs.c.status == "queued")).scalar_one() >= MAX_QUEUED:
        raise QueueFull(f"{MAX_QUEUED} runs are waiting already; try again when some have ended.")
    if most is None:
        most = MAX_QUEUED if visitor == LOCAL_VISITOR else MAX_WAITING
    mine = connection.execute(count.where(runs.c.status.in_(WAITING), runs.c.visitor == visitor)).scalar_one()
    if mine >= most:
        have = f"{mine} of your runs are" if mine > 1 else "One of your runs is"
        raise TooManyRuns(
            f"{have} waiting or training already, and a visitor may have {most} at a time; "
            "stop one, or try again when one has ended."
        )


def cancel(store: Store, run_id: str) -> None:
    """End a run: at once while it waits, after its current batch while it trains; nothing if it is over.

    Raises:
        RunNotFound: no run has this id.
    """
    with store.write() as connection:  # where nobody can start it, end it or let go of it meanwhile
        row = held(connection, run_id)
        if row.status == "running":
            connection.execute(sa.update(runs).where(runs.c.id == row.id).values(cancel_requested=True))
        elif row.status == "queued" and row.started is None:
            end_unheld(connection, row, "cancelled", "The run was cancelled before it began.")
        elif row.status == "queued":
            end_unheld(connection, row, "cancelled", "The run was stopped before it ended.")


def resume(store: Store, run_id: str, *, most: int | None = None) -> None:
    """Put a run that was stopped, interrupted or failed back into the queue, to go on from its last checkpoint.

    Where the checkpoint is gone it begins anew. Nothing if it waits already.

    Args:
        most: as in `submit`, for the visitor whose run it is.

    Raises:
        CannotResume: it is finished, or trains now.
        RunNotFound: no run has this id, or it was deleted.
        ConfigError, DatasetUnavailable, NoSpace, QueueFull, TooManyRuns: as `submit`.
    """
    from kdcore.config import RunConfig

    row = store.run(run_id)
    if _may_resume(row):
        config = RunConfig.from_json(row.config)
        check(config)
        check_space(config, store.home)
    with store.write() as connection:
        row = visible(held(connection, run_id))
        if not _may_resume(row):
            return
        _check_room(connection, row.visitor, most)
        again: dict[str, object] = {"status": "queued", "cancel_requested": False, "setbacks": 0, "error": None}
        again |= dict.fromkeys(("started", "finished", "heartbeat", "host", "worker_pid", "worker_started"))
        connection.execute(sa.update(runs).where(runs.c.id == row.id).values(**again))
        # After this its events read like those of a run that was never disturbed.
        ended = sa.and_(events.c.run_id == row.id, events.c.type == RunFailed.__name__)
        connection.execute(sa.delete(events).where(ended))


def _may_resume(row: RunRow) -> bool:
    """Whether the run ended early; False for one that waits already.

    Raises:
        CannotResume: it is finished, or trains now.
    """
    if row.status == "finished":
        raise CannotResume(f"Run {row.id} is finished; to train it again, start a run with its settings.")
    if row.status == "running":
        now = "is being stopped; resume it when it has ended" if row.cancel_requested else "is training; let it go on"
        raise CannotResume(f"Run {row.id} {now}.")
    return row.status != "queued"


def follow(
    store: Store, run_id: str, poll: float = 0.25, on_wait: Callable[[RunRow], None] = lambda row: None
) -> Iterator[Event]:
    """A run's events from its beginning, as they arrive, until it is over; keeps the queue moving meanwhile.

    Args:
        on_wait: called with the run before each pause, for a line about progress.

    Raises:
        RunNotFound: no run has this id.
    """
    seq, due = 0, 0.0
    while True:
        row = store.run(run_id)  # before its events: a run that is over here has all of them there
        for stored in store.events(run_id, after=seq):
            seq = stored.seq
            yield stored.event
        if row.done:
            return
        if time.monotonic() >= due:
            advance(store)
            due = time.monotonic() + ADVANCE_SECONDS
        on_wait(row)
        time.sleep(poll)
