"""Measurements and runs have the machine in turn."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.events import RunFinished
from kdcore.jobs.lease import Lease
from kdcore.jobs.spare import Offer
from kdcore.store import Store, new_id, to_text
from kdcore.store.schema import runs as run_table
from tests.engine.jobs.short_runs import a_dead_process, submit, wait_for


def test_nothing_trains_during_a_measurement(store: Store) -> None:
    with jobs.reserve_machine(store, "latency"):
        run_id = submit(store)
        jobs.advance(store)
        assert store.run(run_id).status == "queued" and jobs.position(store, run_id) == 1
        with pytest.raises(jobs.MachineBusy, match="Another measurement"), jobs.reserve_machine(store, "latency"):
            pytest.fail("two turns at once")
        assert store.list_runs()[0].id == run_id  # a measurement is not listed as a run
        jobs.cancel(store, run_id)
    assert jobs.claim(store) is None


def test_a_measurement_waits_for_a_run_and_says_for_which(store: Store) -> None:
    run_id = submit(store)
    assert jobs.claim(store) is not None  # this process holds the run, and it lives
    with (
        pytest.raises(jobs.MachineBusy, match="A run is using the machine") as busy,
        jobs.reserve_machine(store, "latency"),
    ):
        pytest.fail("measured beside a run")
    assert busy.value.run_id == run_id
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(run_table)).scalar() == 1
    Lease(store, run_id, 1).end("finished", RunFinished({}), result={})
    with jobs.reserve_machine(store, "latency"):
        pass


def test_a_measurement_waits_until_a_spare_worker_has_prepared_itself(store: Store) -> None:
    offer = Offer.publish(store)
    threading.Timer(0.5, offer.note_ready).start()
    with jobs.reserve_machine(store, "latency"):
        assert offer.is_ready


def test_a_measurement_has_its_place_in_the_queue(store: Store) -> None:
    first = submit(store)
    assert jobs.claim(store) is not None
    seen = []

    def measure() -> None:
        with Store() as own_store, jobs.reserve_machine(own_store, "latency", wait=60):
            seen.append([row.status for row in own_store.list_runs()])

    thread = threading.Thread(target=measure)
    thread.start()
    count = sa.select(sa.func.count()).where(run_table.c.kind == "latency")

    def stands() -> bool:
        with store.read() as connection:
            return connection.execute(count).scalar() == 1

    wait_for(stands)
    later = submit(store)
    assert jobs.position(store, later) == 2
    jobs.cancel(store, later)
    Lease(store, first, 1).end("finished", RunFinished({}), result={})
    thread.join(timeout=60)
    assert seen == [["cancelled", "finished"]]


def test_the_turn_of_a_dead_measurement_is_free(store: Store) -> None:
    pid, born = a_dead_process()
    with store.write() as connection:
        values = {"id": new_id(), "visitor": "", "kind": "latency", "status": "running", "created": time.time()}
        values |= {"config": to_text({}), "attempts": 1, "host": "", "heartbeat": time.time() - 3600}
        connection.execute(sa.insert(run_table).values(**values, worker_pid=pid, worker_started=born))
    with jobs.reserve_machine(store, "latency"):
        pass
