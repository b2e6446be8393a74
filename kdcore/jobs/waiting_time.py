"""How long a run waits: its place in the queue, and the time until it starts, judged by how long earlier runs took."""

from __future__ import annotations

import json
import time
from dataclasses import astuple, dataclass
from statistics import median
from typing import Any

import sqlalchemy as sa

from kdcore.events import EpochEnded, TeacherCached
from kdcore.jobs.fair_order import queued_in_order, waiting_or_running
from kdcore.reports.time_left import RECENT_EPOCHS, seconds_left
from kdcore.store import RunRow, Store
from kdcore.store.schema import events, runs

# Runs whose configurations agree in these keys are of one kind: their times per picture can be compared.
COMPARABLE_KEYS = ("dataset", "student", "device", "method", "controls", "vary", "extra_pictures")
COMPARABLE_RUNS = 3  # the time of a run is judged by so many of the latest finished runs of its kind
SEARCHED_RUNS = 40  # those are searched among so many of the latest finished runs


def position(store: Store, run_id: str) -> int:
    """Return a run's place in the queue, 1 for the next one; 0 for a run that does not wait.

    Raises:
        RunNotFound: no run has this id.
    """
    row = store.run(run_id)
    if row.status != "queued":
        return 0
    with store.read() as connection:
        order = [other.id for other in queued_in_order(connection, waiting_or_running(connection))]
    return order.index(row.id) + 1 if row.id in order else 0  # the run may have started meanwhile


def expected_wait(store: Store, run_id: str) -> float | None:
    """Return the seconds until a waiting run starts: the rest of the run that trains, plus all runs before it.

    The time is judged by the epochs that the training run has finished, and by finished runs of the same kind
    (`COMPARABLE_KEYS`).

    Returns:
        0 for a run that does not wait; None if there is a run before it to which no finished run can be compared, or a
        measurement.

    Raises:
        RunNotFound: no run has this id.
    """
    row = store.run(run_id)
    if row.status != "queued":
        return 0.0
    with store.read() as connection:
        rows = waiting_or_running(connection)
        order = queued_in_order(connection, rows)
        before = order[: next((place for place, other in enumerate(order) if other.id == row.id), 0)]
        estimates = _Estimates(connection)
        times = [estimates.seconds_left(other) for other in rows if other.status == "running"]
        times += [estimates.total_seconds(other) for other in before]
    return None if None in times else sum(seconds for seconds in times if seconds is not None)


@dataclass(frozen=True)
class _Cost:
    """Seconds that a finished run took; or the median of several runs, part by part."""

    per_picture: float  # training, per picture in one epoch of one seed
    before_training: float  # from the start until the teacher's logits were ready
    after_training: float  # from the last epoch to the end


class _Estimates:
    """Estimates of how long runs take, from the runs and events in the store.

    Args:
        connection: a reading transaction of the store, open as long as this object is used.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        newest = sa.and_(runs.c.status == "finished", runs.c.kind == "run", runs.c.attempts == 1)
        query = sa.select(runs.c.id, runs.c.config, runs.c.started, runs.c.finished).where(newest)
        rows = connection.execute(query.order_by(runs.c.number.desc()).limit(SEARCHED_RUNS)).all()
        self.finished = [(row, json.loads(row.config)) for row in rows]
        self.costs: dict[tuple[str, ...], _Cost | None] = {}  # by kind of run (`_kind`)

    def total_seconds(self, row: RunRow) -> float | None:
        """Return the seconds that a waiting run will take, without its epochs that are finished; None if unknown."""
        cost = self._cost(row.config)
        if row.kind != "run" or cost is None:
            return None
        epochs = self._latest_epochs(row)
        share = 1 - epochs[0]["epoch"] / epochs[0]["epochs"] if epochs else 1.0  # in a sweep, of all points' epochs
        return cost.before_training + share * _pictures(row.config) * cost.per_picture + cost.after_training

    def seconds_left(self, row: RunRow) -> float | None:
        """Return the seconds until a run that trains is over; None if that is unknown."""
        if row.kind != "run":
            return None
        epochs = self._latest_epochs(row)
        if epochs:
            epochs_left = max(0, epochs[0]["epochs"] - epochs[0]["epoch"])  # in a sweep, of all points together
            training = seconds_left([epoch["seconds"] for epoch in epochs], epochs_left)
            if training is not None:
                cost = self._cost(row.config)
                return training + (cost.after_training if cost else 0.0)
        total = self.total_seconds(row)
        if total is None:
            return None
        passed = 0.0 if row.started is None else max(0.0, time.time() - row.started)
        return max(0.0, total - passed)

    def _latest_epochs(self, row: RunRow) -> list[dict[str, Any]]:
        """Return the `EpochEnded` events of the last few epochs as JSON, the latest first."""
        query = sa.select(events.c.payload).where(_epochs_of(row)).order_by(events.c.epoch.desc()).limit(RECENT_EPOCHS)
        return [json.loads(payload) for payload in self.connection.execute(query).scalars()]

    def _cost(self, config: dict[str, Any]) -> _Cost | None:
        kind = _kind(config)
        if kind not in self.costs:
            self.costs[kind] = self._cost_of_kind(kind)
        return self.costs[kind]

    def _cost_of_kind(self, kind: tuple[str, ...]) -> _Cost | None:
        """Return the median cost of the latest finished runs of a kind; None if there is none."""
        costs: list[_Cost] = []
        for row, config in self.finished:
            if _kind(config) == kind and (cost := self._cost_of(row, config)) is not None:
                costs.append(cost)
                if len(costs) == COMPARABLE_RUNS:
                    break
        if not costs:
            return None
        return _Cost(*(median(values) for values in zip(*map(astuple, costs), strict=True)))

    def _cost_of(self, row: Any, config: dict[str, Any]) -> _Cost | None:
        """Return what a finished run cost; None if its events do not tell."""
        training_started = self._event_time(row.id, TeacherCached.__name__, sa.func.min)
        training_ended = self._event_time(row.id, EpochEnded.__name__, sa.func.max)
        if training_started is None or training_ended is None or row.started is None:
            return None
        training, before = training_ended - training_started, training_started - row.started
        after = row.finished - training_ended
        if min(training, before, after) < 0:  # the machine's clock was set during the run
            return None
        return _Cost(training / _pictures(config), before, after)

    def _event_time(self, run_id: str, event_type: str, first_or_last: Any) -> float | None:
        """Return when the first (`sa.func.min`) or last (`sa.func.max`) event of this type was stored; None without."""
        query = sa.select(first_or_last(events.c.time)).where(events.c.run_id == run_id, events.c.type == event_type)
        found: float | None = self.connection.execute(query).scalar()
        return found


def _kind(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the configuration's values of `COMPARABLE_KEYS`.

    Old configurations lack some keys; missing counts as empty.
    """
    return tuple(json.dumps(config.get(name) or None) for name in COMPARABLE_KEYS)


def _epochs_of(row: RunRow) -> sa.ColumnElement[bool]:
    return sa.and_(events.c.run_id == row.id, events.c.type == EpochEnded.__name__)


def _pictures(config: dict[str, Any]) -> float:
    """Return the number of pictures that each arm of a run sees, over all epochs and seeds together."""
    return float(config["labels"] * config["epochs"] * len(config["seeds"]))
