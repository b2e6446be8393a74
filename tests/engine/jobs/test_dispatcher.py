"""Each run is claimed once and in order, and one that lost its worker goes on or is given up."""

from __future__ import annotations

import subprocess
import sys

from kdcore import jobs
from kdcore.events import EpochEnded, RunFailed, RunFinished
from kdcore.jobs.lease import Lease
from kdcore.store import Store
from tests.engine.jobs.short_runs import ROOT, a_dead_process, set_row, submit

# --- the queue ---


def test_the_queue_keeps_the_order_of_arrival(store: Store) -> None:
    ids = [submit(store, visitor) for visitor in ("a", "b", "a")]
    assert [jobs.position(store, run_id) for run_id in ids] == [1, 2, 3]
    assert [row.id for row in (jobs.claim(store, slots=9) for _ in range(3)) if row] == ids
    assert jobs.claim(store, slots=9) is None
    assert [jobs.position(store, run_id) for run_id in ids] == [0, 0, 0]


def test_one_run_at_a_time(store: Store) -> None:
    first, second = submit(store), submit(store)
    claimed = jobs.claim(store)
    assert claimed is not None and claimed.id == first and claimed.attempts == 1
    assert jobs.claim(store) is None
    Lease(store, first, 1).end("finished", RunFinished({}), result={"x": 1})
    claimed = jobs.claim(store)
    assert claimed is not None and claimed.id == second
    assert store.run(first).result == {"x": 1} and store.run(first).finished is not None


def test_two_processes_claim_twenty_runs_each_once(store: Store) -> None:
    ids = [submit(store) for _ in range(20)]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from kdcore import jobs; from kdcore.store import Store\n"
        "store = Store(); print('ready', flush=True)\n"
        "while sys.stdin.readline():\n"
        "    row = jobs.claim(store, slots=100)\n"
        "    print(row.id if row else None, flush=True)"
    )
    command, pipe = [sys.executable, "-c", code, str(ROOT)], subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]

    def ask() -> list[str]:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return answers()

    def answers() -> list[str]:
        return [process.stdout.readline().strip() for process in processes if process.stdout is not None]

    assert answers() == ["ready", "ready"]
    taken = [run_id for _ in range(10) for run_id in ask()]  # in each of ten rounds, both ask at the same moment
    assert sorted(taken) == sorted(ids)
    assert ask() == ["None", "None"]
    for process in processes:
        assert process.communicate(timeout=60) == ("", "")
    assert {row.attempts for row in store.list_runs()} == {1}


# --- life and death ---


def test_a_run_that_keeps_dying_is_given_up_unless_it_gets_on(store: Store) -> None:
    run_id = submit(store)
    for attempt in range(1, 6):  # an epoch was finished in the second attempt, so the count began anew
        row = jobs.claim(store)
        assert row is not None and row.attempts == attempt
        if attempt == 2:
            Lease(store, run_id, attempt).record(EpochEnded(1, 2, 0.1, {}))
        pid, born = a_dead_process()
        set_row(store, run_id, worker_pid=pid, worker_started=born)
        if attempt < 5:
            jobs.advance(store, slots=0)
            assert store.run(run_id).status == "queued", attempt
    jobs.advance(store, slots=0)
    row = store.run(run_id)
    assert row.status == "interrupted" and row.error is not None and "3 times" in row.error
    assert store.events(run_id)[-1].event == RunFailed(row.error, "interrupted")


def test_a_cancelled_run_whose_worker_died_is_not_continued(store: Store) -> None:
    run_id = submit(store)
    assert jobs.claim(store) is not None
    pid, born = a_dead_process()
    set_row(store, run_id, worker_pid=pid, worker_started=born)
    jobs.cancel(store, run_id)
    assert store.run(run_id).cancel_requested
    jobs.advance(store)
    assert store.run(run_id).status == "cancelled"


# --- real workers ---


def test_a_worker_that_cannot_be_started_fails_the_run(store: Store) -> None:
    first, second = submit(store), submit(store)
    jobs.runs_dir(first).parent.mkdir(parents=True)
    jobs.runs_dir(first).write_text("a file where the folder should be")
    jobs.cancel(store, second)
    jobs.advance(store)
    row = store.run(first)
    assert row.status == "failed" and row.error is not None and "could not be started" in row.error
