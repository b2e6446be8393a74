"""Which process holds a run: who is alive, who may still write, and which worker is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.events import EpochEnded, RunFinished
from kdcore.jobs import lease
from kdcore.jobs.lease import Lease, LeaseLost, is_alive
from kdcore.machine.namespace import process_namespace
from kdcore.store import RunRow, Store
from kdcore.store.schema import runs
from tests.engine.jobs.short_runs import ROOT, a_dead_process, claim, set_row, submit, wait_for
from tests.engine.machine.namespaces import NEW_NAMESPACE, needs_namespaces


def row_of(store: Store, pid: int, born: float, **values: object) -> RunRow:
    run_id = submit(store)
    assert jobs.claim(store, slots=99) is not None
    set_row(store, run_id, worker_pid=pid, worker_started=born, **values)
    return store.run(run_id)


def test_who_is_alive(store: Store) -> None:
    me = psutil.Process()
    now, long_ago = time.time(), time.time() - 3600
    assert is_alive(row_of(store, me.pid, me.create_time(), heartbeat=long_ago))  # as after a laptop slept
    assert not is_alive(row_of(store, *a_dead_process(), heartbeat=now))
    # Another process got the id since.
    assert not is_alive(row_of(store, me.pid, me.create_time() - 500, heartbeat=long_ago))
    # The clock was set, which changes the start time.
    assert is_alive(row_of(store, me.pid, me.create_time() - 500, heartbeat=now))
    assert is_alive(row_of(store, 1, 0.0, host="elsewhere", heartbeat=now))
    assert not is_alive(row_of(store, 1, 0.0, host="elsewhere", heartbeat=long_ago))
    assert not is_alive(row_of(store, 1, 0.0, host="elsewhere", heartbeat=None))


def test_another_container_of_the_same_host_name_is_judged_by_its_heartbeat(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ids mean nothing here: one may be free here, or belong to another process."""
    here, me = process_namespace(), psutil.Process()
    now, old = time.time(), time.time() - lease.HEARTBEAT_STALE_SECONDS - 1
    monkeypatch.setattr(lease, "process_namespace", lambda: "the other container")
    rows = [row_of(store, *process, heartbeat=now) for process in (a_dead_process(), (me.pid, me.create_time()))]
    monkeypatch.setattr(lease, "process_namespace", lambda: here)
    for row in rows:
        assert is_alive(row) and not is_alive(replace(row, heartbeat=old))
    run_id = rows[1].id
    jobs.cancel(store, run_id)
    command = [sys.executable, "-c", "import time; time.sleep(600)", "kdcore.worker", run_id]
    with subprocess.Popen(command) as process:  # it has the id of the other container's worker, and is not that worker
        started = psutil.Process(process.pid).create_time()
        lease.kill_hung_worker(replace(rows[1], worker_pid=process.pid, worker_started=started, heartbeat=old))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()


@needs_namespaces
def test_a_container_on_the_same_home_leaves_live_runs_alone(store: Store) -> None:
    """This process holds a run. A process with the same host name, but other process ids, moves the queue on."""
    run_id = submit(store)
    claim(store)
    Lease(store, run_id, 1).take()
    code = "from kdcore import jobs; from kdcore.store import Store; jobs.advance(Store(), slots=0)"

    def advance_in_a_container() -> RunRow:
        environment = {**os.environ, "KDCORE_HOME": str(store.home)}
        subprocess.run([*NEW_NAMESPACE, sys.executable, "-c", code], env=environment, check=True, cwd=ROOT)
        return store.run(run_id)

    assert advance_in_a_container().status == "running"
    set_row(store, run_id, heartbeat=time.time() - lease.HEARTBEAT_STALE_SECONDS - 1)
    assert is_alive(store.run(run_id))  # seen from its own namespace, where only the process counts
    assert advance_in_a_container().status == "queued"


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX systems keep a dead child")
def test_a_dead_child_that_nobody_waited_for_is_dead(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        child = psutil.Process(process.pid)
        row = row_of(store, child.pid, child.create_time())
        assert is_alive(row)
        child.kill()
        wait_for(lambda: child.status() == psutil.STATUS_ZOMBIE)
        assert not is_alive(row)


def test_a_former_holder_cannot_write(store: Store) -> None:
    run_id = submit(store)
    first = jobs.claim(store)
    assert first is not None
    former = Lease(store, run_id, first.attempts)
    former.take()
    set_row(store, run_id, status="queued")
    second = jobs.claim(store)
    assert second is not None and second.attempts == 2
    with former.heartbeats():
        wait_for(former.should_stop)
    for write in (
        former.take,
        lambda: former.record(EpochEnded(1, 2, 0.1, {})),
        lambda: former.end("finished", RunFinished({}), result={}),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert store.run(run_id).status == "running" and store.events(run_id) == []
    Lease(store, run_id, 2).record(EpochEnded(1, 2, 0.1, {}))
    assert len(store.events(run_id)) == 1


def test_the_end_of_a_run_stores_its_result_and_what_lists_show_of_it(store: Store) -> None:
    run_id = submit(store)
    result = {"seconds": 1.5, "arms": {"baseline": {"accuracy": {"mean": 0.5}, "confusion": [[1]]}}}
    Lease(store, run_id, claim(store).attempts).end("finished", RunFinished(result), result=result)
    assert store.run(run_id).result == result
    with store.read() as connection:
        outcome = connection.execute(sa.select(runs.c.outcome).where(runs.c.id == run_id)).scalar_one()
    assert json.loads(outcome) == {"seconds": 1.5, "arms": {"baseline": {"accuracy": {"mean": 0.5}}}}


def test_a_worker_that_was_never_started_is_found_out(store: Store) -> None:
    run_id = submit(store)
    row = claim(store)
    assert row.worker_pid == os.getpid() and is_alive(row)
    set_row(store, run_id, heartbeat=time.time() - lease.HEARTBEAT_STALE_SECONDS - 1)  # although this process lives
    assert not is_alive(store.run(run_id))
    Lease(store, run_id, 1).take()
    set_row(store, run_id, heartbeat=time.time() - 3600)
    assert is_alive(store.run(run_id))  # now this process holds the run as its worker


def test_after_a_restart_of_the_machine_its_numbers_are_given_anew(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    parent = psutil.Process().parent() or psutil.Process()
    long_ago = time.time() - 600
    set_row(store, run_id, worker_pid=parent.pid, worker_started=parent.create_time() - 900, heartbeat=long_ago)
    jobs.advance(store, slots=0)
    assert store.run(run_id).status == "queued"
    assert claim(store).attempts == 2
    # The same holds if the machine had another name before, as a container or a laptop in another network may have.
    set_row(store, run_id, host="its former name", heartbeat=long_ago)
    jobs.advance(store, slots=0)
    assert store.run(run_id).status == "queued"


def test_the_last_beat_may_lie_in_the_future_but_not_far(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    for ahead, alive in ((10.0, True), (lease.CLOCK_SKEW_SECONDS + 60, False)):
        set_row(store, run_id, host="elsewhere", heartbeat=time.time() + ahead)
        assert is_alive(store.run(run_id)) == alive


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX systems suspend a process")
@pytest.mark.parametrize("was_spare", [False, True])
def test_a_suspended_worker_is_ended_when_it_was_asked_to_stop(store: Store, was_spare: bool) -> None:
    run_id = submit(store)
    claim(store)
    command = [
        sys.executable,
        "-c",
        "import time; time.sleep(600)",
        "kdcore.worker",
        "--spare" if was_spare else run_id,
    ]
    with subprocess.Popen(command) as process:
        child = psutil.Process(process.pid)
        child.suspend()
        old = time.time() - lease.HEARTBEAT_STALE_SECONDS - 1
        set_row(store, run_id, worker_pid=child.pid, worker_started=child.create_time(), heartbeat=old)
        jobs.advance(store)
        assert process.poll() is None and store.run(run_id).status == "running"  # nobody has asked it to stop
        jobs.cancel(store, run_id)
        set_row(store, run_id, heartbeat=time.time())
        jobs.advance(store)
        assert process.poll() is None
        set_row(store, run_id, heartbeat=old)
        jobs.advance(store)
        assert process.wait(60) != 0
    jobs.advance(store)
    assert store.run(run_id).status == "cancelled"


def test_no_other_process_is_ended_with_it(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    jobs.cancel(store, run_id)
    me = psutil.Process()  # stands for an app that held the run while it started the worker
    set_row(store, run_id, worker_pid=me.pid, worker_started=me.create_time(), heartbeat=0.0)
    jobs.advance(store)
    assert me.is_running()
