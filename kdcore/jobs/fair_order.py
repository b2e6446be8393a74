"""The order of the queue: visitors take turns, and the runs of one visitor keep their order of arrival.

The next run is the first one of the visitor whose last turn is longest ago; a visitor who has had no turn yet comes
before those who have. Turns are numbered and not timed, so that setting a machine's clock favours nobody. A run that
had begun and lost its process continues before any new run begins. A measurement keeps its place: everything that
arrived before it starts before it, and everything that arrived later starts after it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from kdcore.store import UNFINISHED, RunRow, to_run
from kdcore.store.schema import meta, runs

# The table `meta` holds the number of each visitor's last turn under this prefix plus a hash of the visitor.
TURN_PREFIX = "turn "
KEPT_TURNS = 500  # a visitor's last turn is forgotten after so many later turns of others


def fair_order(queued: Sequence[RunRow], turns: Mapping[str, int]) -> list[RunRow]:
    """Return the rows in the order in which they would start if nothing else arrived.

    Args:
        queued: the waiting runs and measurements, in their order of arrival.
        turns: visitor -> number of that visitor's last turn, larger for a later turn; visitors without one are absent.
    """
    order: list[RunRow] = []
    last_turn = dict(turns)
    left = list(queued)
    while left:
        runs_before_measurement = list(itertools.takewhile(lambda row: row.kind == "run", left))
        if runs_before_measurement:
            next_one = min(
                runs_before_measurement,
                key=lambda row: (row.started is None, last_turn.get(row.visitor, 0), row.number),
            )
            if next_one.started is None:  # a continued run keeps the turn that was counted when it first started
                last_turn[next_one.visitor] = max(last_turn.values(), default=0) + 1
        else:
            next_one = left[0]
        order.append(next_one)
        left.remove(next_one)
    return order


def waiting_or_running(connection: sa.Connection) -> list[RunRow]:
    """Return all runs and measurements that wait or are running, in their order of arrival."""
    return [
        to_run(row)
        for row in connection.execute(sa.select(runs).where(runs.c.status.in_(UNFINISHED)).order_by(runs.c.number))
    ]


def queued_in_order(connection: sa.Connection, rows: Iterable[RunRow]) -> list[RunRow]:
    """Return the rows that wait (not the running ones), in the order in which they start."""
    queued = [row for row in rows if row.status == "queued"]
    return fair_order(queued, _turns(connection, {row.visitor for row in queued}))


def record_turn(connection: sa.Connection, visitor: str) -> None:
    """Remember that this visitor has had a turn just now. Call it inside `Store.write()`."""
    latest = sa.select(sa.func.max(meta.c.value)).where(meta.c.key.startswith(TURN_PREFIX))
    number = int(connection.execute(latest).scalar() or 0) + 1
    changed = connection.execute(sa.update(meta).where(meta.c.key == _key(visitor)).values(value=number))
    if changed.rowcount == 0:
        connection.execute(sa.insert(meta).values(key=_key(visitor), value=number))
        connection.execute(
            sa.delete(meta).where(meta.c.key.startswith(TURN_PREFIX), meta.c.value <= number - KEPT_TURNS)
        )


def _turns(connection: sa.Connection, visitors: set[str]) -> dict[str, int]:
    keys = {_key(visitor): visitor for visitor in visitors}
    found = connection.execute(sa.select(meta.c.key, meta.c.value).where(meta.c.key.in_(keys)))
    return {keys[row.key]: row.value for row in found}


def _key(visitor: str) -> str:
    """Return the visitor's key in `meta`; hashed, because a visitor's id may be longer than the column."""
    return TURN_PREFIX + hashlib.sha256(visitor.encode()).hexdigest()[:32]
