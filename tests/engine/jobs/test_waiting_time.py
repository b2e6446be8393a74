"""When a waiting run starts, estimated from earlier runs and worked out by hand."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.errors import RunNotFound
from kdcore.events import EpochEnded, TeacherCached
from kdcore.jobs.lease import Lease
from kdcore.store import Store, new_id
from kdcore.store.schema import events as event_table
from tests.engine.jobs.short_runs import claim, finish, set_row, submit


def trained(store: Store, seconds: tuple[float, float, float], **settings: object) -> str:
    """Add a finished run that took these seconds before, during and after its epochs; return its id."""
    run_id = submit(store, "earlier", **settings)
    row = claim(store)
    assert row.id == run_id
    worker_lease = Lease(store, run_id, row.attempts)
    epochs = int(row.config["epochs"])
    worker_lease.record(TeacherCached("digits", 1, 0.0, False))
    for epoch in range(1, epochs + 1):
        worker_lease.record(EpochEnded(epoch, epochs, seconds[1] / epochs, {}))
    finish(store, row)
    begun = 1_000_000.0
    marks = [begun, *(begun + sum(seconds[:n]) for n in (1, 2, 3))]
    set_row(store, run_id, started=marks[0], finished=marks[3])
    with store.write() as connection:
        for kind, moment in (("TeacherCached", marks[1]), ("EpochEnded", marks[2])):
            mine = sa.and_(event_table.c.run_id == run_id, event_table.c.type == kind)
            connection.execute(sa.update(event_table).where(mine).values(time=moment))
    return run_id


def test_the_wait_is_unknown_before_anything_like_it_was_finished(store: Store) -> None:
    trained(store, (2, 8, 1), student="mlp-16")
    first, second = submit(store), submit(store)
    assert jobs.expected_wait(store, first) == 0.0  # no run is before it
    assert jobs.expected_wait(store, second) is None
    with pytest.raises(RunNotFound):
        jobs.expected_wait(store, new_id())


def test_the_wait_grows_with_pictures_epochs_and_seeds(store: Store) -> None:
    trained(store, (2, 8, 1))  # 40 pictures, 2 epochs, 1 seed: 0.1 s a picture
    submit(store, "a")
    submit(store, "a", labels=80)
    submit(store, "a", epochs=6)
    submit(store, "a", seeds=5)
    last = submit(store, "a")
    assert jobs.position(store, last) == 5
    assert jobs.expected_wait(store, last) == pytest.approx((3 + 8) + (3 + 16) + (3 + 24) + (3 + 40))
    mine = submit(store, "b")
    # Only one run is before it, because visitors take turns.
    assert jobs.expected_wait(store, mine) == pytest.approx(3 + 8)


def test_the_middle_of_three_earlier_runs_is_believed(store: Store) -> None:
    for seconds in ((1, 4, 1), (1, 8, 1), (1, 800, 1)):
        trained(store, seconds)
    submit(store, "a")
    assert jobs.expected_wait(store, submit(store, "a")) == pytest.approx(10)


def test_a_clock_that_was_set_during_a_run_spoils_no_estimate(store: Store) -> None:
    trained(store, (1, 4, 1))
    trained(store, (1, -3600, 1))
    submit(store, "a")
    assert jobs.expected_wait(store, submit(store, "a")) == pytest.approx(6)


def test_what_is_left_of_the_running_run_counts(store: Store) -> None:
    trained(store, (2, 8, 1))
    first, second = submit(store, "a", epochs=10), submit(store, "b")
    row = claim(store)
    assert row.id == first
    total = 2 + 40 + 1
    assert jobs.expected_wait(store, second) == pytest.approx(total, abs=1)  # it has begun just now
    set_row(store, first, started=time.time() - 20)
    assert jobs.expected_wait(store, second) == pytest.approx(total - 20, abs=1)
    set_row(store, first, started=time.time() - 500)
    assert jobs.expected_wait(store, second) == 0.0
    worker_lease = Lease(store, first, 1)
    for epoch, seconds in enumerate((50.0, *[3.0] * 3, 0.0), 1):  # the last one was restored, not trained
        worker_lease.record(EpochEnded(epoch, 10, seconds, {}))
    assert jobs.expected_wait(store, second) == pytest.approx((50 + 3 * 3) / 4 * 5 + 1)
    assert jobs.expected_wait(store, first) == 0.0
    # When the run loses its process and waits again, its finished epochs still count.
    set_row(store, first, status="queued")
    assert jobs.expected_wait(store, second) == pytest.approx(2 + 20 + 1)


def test_of_a_sweep_that_goes_on_the_epochs_of_all_its_points_count(store: Store) -> None:
    vary = {"vary": {"labels": (40, 20)}}  # two trainings of 2 epochs
    trained(store, (2, 8, 1), **vary)
    first, second = submit(store, "a", **vary), submit(store, "b")
    row = claim(store)
    Lease(store, first, row.attempts).record(EpochEnded(1, 4, 1.0, {}))
    set_row(store, first, status="queued")
    assert jobs.position(store, second) == 2
    assert jobs.expected_wait(store, second) == pytest.approx(2 + 3 / 4 * 8 + 1)


def test_nobody_knows_how_long_a_measurement_takes(store: Store) -> None:
    trained(store, (2, 8, 1))
    with jobs.reserve_machine(store, "latency"):
        assert jobs.expected_wait(store, submit(store)) is None
