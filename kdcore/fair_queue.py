"""Whose turn is next: visitors take turns, and each visitor's own runs keep their order of arrival.

The next run is the first of the visitor whose last turn is longest ago; a visitor who had none yet comes before
those who had one. Turns are counted and not timed, so that a clock that is set favours nobody. A run that had begun
and lost its process goes on before anything new begins. A measurement keeps its place: what came before it starts
before it, and what came later starts after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from kdcore.database import meta, runs
from kdcore.store import WAITING, RunRow, to_run

TURN = "turn "  # and a hash of the visitor: the key of the number of that visitor's last turn
KEPT_TURNS = 500  # visitors whose last turn is remembered


def fair_order(queued: Sequence[RunRow], turns: Mapping[str, int]) -> list[RunRow]:
    """The rows in the order in which they would start if nothing else came.

    Args:
        queued: what waits, in the order of arrival.
        turns: visitor -> number of the last turn, larger for a later one; none for a visitor without one.
    """
    order: list[RunRow] = []
    last = dict(turns)
    left = list(queued)
    while left:
        until = next((place for place, row in enumerate(left) if row.kind != "run"), len(left))
        before, rest = left[:until], left[until:]
        if not before:
            order.append(rest[0])
            left = rest[1:]
            continue
        row = min(before, key=lambda one: (one.started is None, last.get(one.visitor, 0), one.number))
        if row.started is None:  # otherwise it goes on with the turn that it has
            last[row.visitor] = max(last.values(), default=0) + 1
        order.append(row)
        before.remove(row)
        left = before + rest
    return order


def waiting(connection: sa.Connection) -> list[RunRow]:
    """What waits or runs, in the order of arrival."""
    return [
        to_run(row)
        for row in connection.execute(sa.select(runs).where(runs.c.status.in_(WAITING)).order_by(runs.c.number))
    ]


def queue(connection: sa.Connection, rows: Iterable[RunRow]) -> list[RunRow]:
    """Those of `rows` that wait, in the order in which they start."""
    queued = [row for row in rows if row.status == "queued"]
    return fair_order(queued, _turns(connection, {row.visitor for row in queued}))


def record_turn(connection: sa.Connection, visitor: str) -> None:
    """Remember that this visitor has had a turn just now. For a writing transaction, which is alone."""
    latest = sa.select(sa.func.max(meta.c.value)).where(meta.c.key.startswith(TURN))
    number = int(connection.execute(latest).scalar() or 0) + 1
    changed = connection.execute(sa.update(meta).where(meta.c.key == _key(visitor)).values(value=number))
    if changed.rowcount == 0:
        connection.execute(sa.insert(meta).values(key=_key(visitor), value=number))
        connection.execute(sa.delete(meta).where(meta.c.key.startswith(TURN), meta.c.value <= number - KEPT_TURNS))


def _turns(connection: sa.Connection, visitors: set[str]) -> dict[str, int]:
    keys = {_key(visitor): visitor for visitor in visitors}
    found = connection.execute(sa.select(meta.c.key, meta.c.value).where(meta.c.key.in_(keys)))
    return {keys[row.key]: row.value for row in found}


def _key(visitor: str) -> str:
    """Short enough for the column, whatever a visitor is called."""
    return TURN + hashlib.sha256(visitor.encode()).hexdigest()[:32]
