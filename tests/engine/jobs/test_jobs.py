"""The queue and its workers, with real processes: each run once, in order, through cancels, kills and full disks."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.errors import ConfigError, RunNotFound, StoreError, UnknownName
from kdcore.events import EpochEnded, RunFailed, RunFinished, RunStarted
from kdcore.jobs.lease import Lease, LeaseLost, is_alive
from kdcore.jobs.worker import error_sentence
from kdcore.jobs.worker import main as worker_main
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.store import RunRow, Store, new_id, to_text
from kdcore.store.schema import runs as run_table
from kdcore.training.trainer import train

ROOT = Path(__file__).resolve().parents[3]
SHORT = {"labels": 40, "epochs": 2, "seeds": 1, "device": "cpu"}
LONG = {"labels": 400, "epochs": 1000, "seeds": 4, "device": "cpu"}


@pytest.fixture
def store(store: Store) -> Iterator[Store]:
    yield store
    for row in store.list_runs():  # so that a failed test leaves no worker behind
        jobs.cancel(store, row.id)
    wait_for(lambda: not any(map(trains_elsewhere, store.list_runs())), 60)


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until the condition holds; fail after `seconds`, which leave time enough for a slow machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def trains_elsewhere(row: RunRow) -> bool:
    return not row.done and row.worker_pid != os.getpid() and row.host == platform.node() and is_alive(row)


def digits(**settings: object) -> RunConfig:
    return make_run_config("digits", **settings)


def submit(store: Store, visitor: str = "someone", **settings: object) -> str:
    return jobs.submit(store, digits(**{**SHORT, **settings}), visitor, limit=jobs.MAX_QUEUED)


def set_row(store: Store, run_id: str, **values: object) -> None:
    with store.write() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(**values))


def epochs(store: Store, run_id: str) -> list[EpochEnded]:
    return [one.event for one in store.events(run_id) if isinstance(one.event, EpochEnded)]


def worker(store: Store, run_id: str) -> psutil.Process:
    """Wait until a worker has recorded itself as the holder of a run; return its process."""
    wait_for(lambda: len(store.events(run_id)) > 0)
    pid = store.run(run_id).worker_pid
    assert pid is not None and pid != os.getpid()
    return psutil.Process(pid)


def a_dead_process() -> tuple[int, float]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = psutil.Process(process.pid).create_time()
    return process.pid, born


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


def test_the_queue_is_bounded(store: Store) -> None:
    for _ in range(jobs.MAX_QUEUED):
        submit(store)
    with pytest.raises(jobs.QueueFull, match="waiting already"):
        submit(store)
    assert len(store.list_runs()) == jobs.MAX_QUEUED


def test_what_a_worker_would_refuse_is_not_queued(store: Store) -> None:
    with pytest.raises(UnknownName, match='no teacher "nobody"'):
        submit(store, teacher="nobody")
    with pytest.raises(ConfigError, match="cannot teach creatures"):
        jobs.submit(store, make_run_config("creatures", teacher="digits"), "someone")
    assert store.list_runs() == []


def test_a_waiting_run_is_cancelled_at_once(store: Store) -> None:
    first, second = submit(store), submit(store)
    jobs.cancel(store, first)
    row = store.run(first)
    assert row.status == "cancelled" and row.finished is not None and row.error
    assert [one.event for one in store.events(first)] == [RunFailed(row.error, "cancelled")]
    assert jobs.position(store, second) == 1
    jobs.cancel(store, first)  # a second call does no harm
    assert len(store.events(first)) == 1
    with pytest.raises(RunNotFound):
        jobs.cancel(store, new_id())


# --- life and death ---


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


# --- the worker, in this process ---


@pytest.mark.parametrize(
    ("change", "words"),
    [({"teacher": "nobody"}, 'no teacher "nobody"'), ({"seeds": []}, "number of seeds"), ({"recipe": {}}, "recipe")],
)
def test_a_worker_says_what_is_wrong_with_its_run(
    store: Store, capfd: pytest.CaptureFixture[str], change: dict[str, object], words: str
) -> None:
    run_id = submit(store)
    # As a row that an older version wrote.
    set_row(store, run_id, config=to_text({**store.run(run_id).config, **change}))
    assert jobs.claim(store) is not None
    assert worker_main([run_id, "--attempt", "1"]) == 1
    row = store.run(run_id)
    assert row.status == "failed" and row.error is not None
    assert words in row.error or words == "recipe"
    assert row.error.endswith(".") and "\n" not in row.error
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_that_comes_too_late_does_nothing(store: Store) -> None:
    run_id = submit(store)
    assert jobs.claim(store) is not None
    before = store.run(run_id)
    assert worker_main([run_id, "--attempt", "7"]) == 1
    assert store.run(run_id) == before and store.events(run_id) == []


def test_a_run_that_is_cancelled_while_its_worker_starts_does_not_train(store: Store) -> None:
    run_id = submit(store)
    assert jobs.claim(store) is not None
    jobs.cancel(store, run_id)
    assert worker_main([run_id, "--attempt", "1"]) == 1
    row = store.run(run_id)
    assert row.status == "cancelled" and [one.event.type for one in store.events(run_id)] == ["RunFailed"]
    jobs.resume(store, run_id)
    assert worker_main([run_id]) == 0
    assert [one.event.type for one in store.events(run_id)][-1] == "RunFinished"


def test_a_worker_without_room_on_the_disk_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = submit(store)
    monkeypatch.setattr("kdcore.machine.disk.free_space", lambda folder: 0)
    assert worker_main([run_id]) == 1
    row = store.run(run_id)
    assert row.status == "failed" and row.error is not None and "0 MB are free" in row.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("division by zero"), "unexpected error (ZeroDivisionError)"),
        (StoreError("The checkpoint could not be saved."), "The checkpoint could not be saved."),
    ],
)
def test_every_error_of_a_worker_has_a_sentence(
    capfd: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    text = error_sentence(error)
    assert words in text and text.endswith(".") and "\n" not in text
    expected = isinstance(error, StoreError)
    assert (capfd.readouterr().err == "") == expected  # the log holds what the sentence leaves out


# --- turns ---


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


# --- real workers ---


def test_two_runs_train_one_after_the_other_with_nobody_watching(store: Store) -> None:
    first, second = submit(store), submit(store)
    jobs.advance(store)  # from now on the workers start each other
    wait_for(lambda: store.run(second).done)
    a, b = store.run(first), store.run(second)
    assert (a.status, b.status) == ("finished", "finished"), (a.error, b.error)
    assert a.finished is not None and b.started is not None and a.finished <= b.started
    assert a.attempts == b.attempts == 1
    assert a.result is not None and a.result["run_id"] == first
    assert (jobs.runs_dir(first) / "models" / "distilled.safetensors").is_file()
    kinds = [one.event.type for one in store.events(first)]
    assert kinds[0] == "RunStarted" and kinds[-1] == "RunFinished" and kinds.count("EpochEnded") == 2
    # The same run in this process gives the same numbers: how it is started does not matter.
    own_events = list(train(digits(**SHORT)))
    assert [event.curves for event in own_events if isinstance(event, EpochEnded)] == [
        event.curves for event in epochs(store, first)
    ]
    assert isinstance(own_events[-1], RunFinished)
    for arm in ("baseline", "distilled"):
        assert own_events[-1].result["arms"][arm]["accuracy"] == a.result["arms"][arm]["accuracy"]


def test_a_killed_worker_is_continued_and_ends_as_if_undisturbed(store: Store) -> None:
    settings = {"labels": 200, "epochs": 60, "seeds": 2, "device": "cpu"}
    run_id = submit(store, **settings)
    jobs.advance(store)
    process = worker(store, run_id)
    for finished in (5, 25):  # it is killed twice, in the middle of training
        wait_for(lambda: len(epochs(store, run_id)) >= finished)  # noqa: B023
        process.kill()
        wait_for(lambda: not is_alive(store.run(run_id)))
        epochs_before = len(epochs(store, run_id))
        assert epochs_before < 60, "the run was over before it could be killed"
        jobs.advance(store)
        row = store.run(run_id)
        assert row.status == "running" and row.worker_pid != process.pid
        wait_for(lambda: len(epochs(store, run_id)) > epochs_before or store.run(run_id).done)  # noqa: B023
        process = psutil.Process(store.run(run_id).worker_pid)
    wait_for(lambda: store.run(run_id).done)
    row = store.run(run_id)
    assert (row.status, row.attempts, row.setbacks) == ("finished", 3, 0), row.error
    undisturbed = list(train(digits(**settings)))
    assert [(event.epoch, event.curves) for event in epochs(store, run_id)] == [
        (event.epoch, event.curves) for event in undisturbed if isinstance(event, EpochEnded)
    ]
    last = undisturbed[-1]
    assert isinstance(last, RunFinished) and row.result is not None
    for arm in ("baseline", "distilled"):
        for figure in ("accuracy", "nll", "ece", "agreement", "confusion"):
            assert row.result["arms"][arm][figure] == json.loads(to_text(last.result["arms"][arm][figure]))
    assert row.result["paired_difference"] == json.loads(to_text(last.result["paired_difference"]))
    kinds = [one.event.type for one in store.events(run_id)]
    assert kinds.count("RunStarted") == kinds.count("RunFinished") == 1


def test_a_running_run_is_stopped_after_its_batch(store: Store) -> None:
    run_id = submit(store, **LONG)
    jobs.advance(store)
    process = worker(store, run_id)
    began = time.monotonic()
    jobs.cancel(store, run_id)
    events = list(jobs.follow(store, run_id))
    assert time.monotonic() - began < 20
    assert isinstance(events[0], RunStarted)
    assert events[-1] == RunFailed("The run was stopped before it ended.", "cancelled")
    assert store.run(run_id).status == "cancelled"
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def test_a_disk_that_cannot_be_written_fails_the_run_with_a_sentence(store: Store) -> None:
    run_id = submit(store)
    folder = jobs.runs_dir(run_id)
    folder.mkdir(parents=True)
    (folder / "checkpoints").write_text("a file where the folder should be")
    jobs.advance(store)
    wait_for(lambda: store.run(run_id).done)
    row = store.run(run_id)
    assert row.status == "failed" and row.error is not None
    assert row.error.endswith(".") and "\n" not in row.error and "Traceback" not in row.error
    assert store.events(run_id)[-1].event == RunFailed(row.error, "error")


def test_a_worker_that_cannot_be_started_fails_the_run(store: Store) -> None:
    first, second = submit(store), submit(store)
    jobs.runs_dir(first).parent.mkdir(parents=True)
    jobs.runs_dir(first).write_text("a file where the folder should be")
    jobs.cancel(store, second)
    jobs.advance(store)
    row = store.run(first)
    assert row.status == "failed" and row.error is not None and "could not be started" in row.error


def test_a_worker_started_by_hand_takes_its_turn_or_leaves(store: Store) -> None:
    first, second = submit(store), submit(store)
    command = [sys.executable, "-m", "kdcore.worker"]
    done = subprocess.run([*command, second], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "not its turn" in done.stderr and store.run(second).status == "queued"
    jobs.cancel(store, second)
    done = subprocess.run([*command, first], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert store.run(first).status == "finished"
    done = subprocess.run([*command, new_id()], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "There is no run" in done.stderr and "Traceback" not in done.stderr
