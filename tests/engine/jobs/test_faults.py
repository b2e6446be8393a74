"""Kills at random moments, disks that fill up or cannot be written, and several apps at once: nothing is lost.

`KDCORE_KILLS` is the number of kills, `KDCORE_RUNS` the number of runs, `KDCORE_SEED` chooses other moments, and
`KDCORE_MOUNTS=1` adds a disk of its own that is really full or read-only (Linux, as root).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from kdcore import jobs
from kdcore.events import EpochEnded, RunFailed, RunFinished
from kdcore.jobs import housekeeping
from kdcore.jobs.lease import is_alive
from kdcore.settings.config import make_run_config
from kdcore.store import Store, to_text
from kdcore.training.trainer import train

ROOT = Path(__file__).resolve().parents[3]
KILLS = int(os.environ.get("KDCORE_KILLS", "5"))
RUNS = int(os.environ.get("KDCORE_RUNS", "8"))
SEED = int(os.environ.get("KDCORE_SEED", "1"))
REAL_DISKS = os.environ.get("KDCORE_MOUNTS") == "1"

KILLED = {"labels": 200, "epochs": 120, "seeds": 2, "student": "mlp-8", "device": "cpu"}  # trains for some seconds
SPOILT = {**KILLED, "epochs": 60, "seeds": 1}
TINY = {"labels": 20, "epochs": 1, "seeds": 1, "student": "mlp-8", "device": "cpu"}
LONGEST_LIFE = 5.0  # seconds: a worker imports for about two and then trains

# The code of a process that does what the app does while a page is open.
APP = """
import sys, time
sys.path.insert(0, sys.argv[1])
from kdcore.jobs import housekeeping; from kdcore import jobs
from kdcore.settings.config import make_run_config
from kdcore.errors import StoreError
from kdcore.store import Store
store, mine = Store(), []
housekeeping.clean(store)
print("ready", flush=True)
count = int(sys.stdin.readline())
for _ in range(count):
    config = make_run_config("digits", labels=20, epochs=1, seeds=1, student="mlp-8", device="cpu")
    mine.append(jobs.submit(store, config, sys.argv[2], limit=count))
while not (mine and all(store.run(one).done for one in mine)):
    try:
        jobs.advance(store)
    except StoreError:
        pass
    time.sleep(0.1)
"""

# The code of a worker on a disk that becomes full or read-only as soon as a file (the switch) exists: the calls to the
# operating system then fail accordingly, and SQLite may not let its files grow.
WORKER = """
import errno, os, sys, tempfile
switch, files, store, patience, run_id, attempt, root = sys.argv[1:]
sys.path.insert(0, root)
import sqlalchemy as sa
from kdcore.jobs import worker
from kdcore.machine import disk
disk.RETRY_TOTAL_SECONDS = worker.STORE_RETRY_SECONDS = float(patience)
disk.RETRY_PAUSE_SECONDS = 0.1

def failing(real, code):
    def call(*arguments, **named):
        if os.path.exists(switch):
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)
    return call

if files == "full":
    os.fsync = failing(os.fsync, errno.ENOSPC)
if files == "read-only":
    tempfile.mkstemp = failing(tempfile.mkstemp, errno.EROFS)
if store == "full":
    @sa.event.listens_for(sa.Engine, "begin")
    def limit(connection):
        pages = 1 if os.path.exists(switch) else 2**30
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").close()
if store == "read-only":
    @sa.event.listens_for(sa.Engine, "begin")
    def forbid(connection):
        connection.exec_driver_sql(f"PRAGMA query_only={int(os.path.exists(switch))}").close()
sys.exit(worker.main([run_id, "--attempt", attempt]))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store() as store:
        yield store
        for row in store.list_runs():  # so that a failed test leaves no worker behind
            jobs.cancel(store, row.id)
        wait_for(lambda: not any(row.worker_pid and not row.done and is_alive(row) for row in store.list_runs()), 60)


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until the condition holds; fail after `seconds`, which leave time enough for a slow machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def submit(store: Store, **settings: object) -> str:
    return jobs.submit(store, make_run_config("digits", **settings), "someone", limit=jobs.MAX_QUEUED)


def epochs(store: Store, run_id: str) -> list[EpochEnded]:
    return [one.event for one in store.events(run_id) if isinstance(one.event, EpochEnded)]


Peace = tuple[list[tuple[int, Any]], dict[str, Any]]


def in_peace(settings: dict[str, Any]) -> Peace:
    """Train a run without any fault; return its curves and its result."""
    events = list(train(make_run_config("digits", **settings)))
    last = events[-1]
    assert isinstance(last, RunFinished)
    curves = [(event.epoch, event.curves) for event in events if isinstance(event, EpochEnded)]
    return curves, json.loads(to_text(last.result))


@pytest.fixture(scope="module")
def undisturbed() -> Peace:
    """The curves and the result that the run on a faulty disk should have."""
    return in_peace(SPOILT)


def check_whole(store: Store, run_id: str, undisturbed: Peace) -> None:
    """Check that a run has the same events and result as an undisturbed one."""
    curves, result = undisturbed
    row = store.run(run_id)
    assert row.status == "finished" and row.result is not None, row.error
    assert [(event.epoch, event.curves) for event in epochs(store, run_id)] == curves
    for arm in ("baseline", "distilled", "teacher"):
        for figure in ("accuracy", "nll", "ece", "agreement", "confusion"):
            assert row.result["arms"][arm][figure] == result["arms"][arm][figure], (arm, figure)
    assert row.result["paired_difference"] == result["paired_difference"]
    kinds = [one.event.type for one in store.events(run_id)]
    assert kinds[0] == "RunStarted" and kinds[-1] == "RunFinished"
    assert kinds.count("RunStarted") == kinds.count("RunFinished") == kinds.count("TeacherCached") == 1
    assert "RunFailed" not in kinds


def check_store(store: Store) -> None:
    """Check with SQLite's own integrity check that the database is not damaged."""
    with contextlib.closing(sqlite3.connect(store.home / "runs.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] > 0


# --- kills ---


@dataclass
class App:
    """A process that does what the app does while a page is open (`APP`)."""

    visitor: str = "app"
    process: subprocess.Popen[str] = field(init=False)

    def start(self, runs: int = 0) -> None:
        command = [sys.executable, "-c", APP, str(ROOT), self.visitor]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not runs:
            self.go(0)

    def go(self, runs: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{runs}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def kill_worker(store: Store, app: App) -> bool:
    """Kill the worker of the run that trains; False if there is none."""
    running = [row for row in store.list_runs() if row.status == "running" and row.worker_pid is not None]
    if not running or running[0].worker_pid in (app.process.pid, os.getpid()):
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(running[0].worker_pid)
        process.kill()
        wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 30)
        return True
    return False


def check_nothing_lost(store: Store, reported: dict[str, dict[int, Any]]) -> None:
    """Check that every epoch that was ever reported is still reported, and is covered by a checkpoint.

    Args:
        reported: run_id -> number of an epoch -> its curves, as of the last call; brought up to date.
    """
    for row in store.list_runs():
        now = {event.epoch: event.curves for event in epochs(store, row.id)}
        assert reported.get(row.id, {}).items() <= now.items(), f"{row.id}: reported epochs are gone"
        reported[row.id] = now
        folder = jobs.runs_dir(row.id)
        if now and not row.done:
            pointer = json.loads((folder / "checkpoint.json").read_text())
            data = (folder / pointer["path"]).read_bytes()
            assert pointer["epoch"] >= max(now) and hashlib.sha256(data).hexdigest() == pointer["sha256"]


@pytest.mark.timeout(900)
def test_kills_at_random_moments_lose_nothing(store: Store) -> None:
    chance = random.Random(SEED)
    app, reported, kills = App(), {}, {"worker": 0, "app": 0, "both": 0}
    app.start()
    try:
        while sum(kills.values()) < KILLS:
            if not any(not row.done for row in store.list_runs()):
                submit(store, **KILLED)
            time.sleep(chance.uniform(0, LONGEST_LIFE))  # so that the kill hits a random moment
            victim = chance.choice(["worker", "worker", "app", "both"])
            if victim != "app" and not kill_worker(store, app):
                continue  # no worker was running at this moment
            if victim != "worker":
                app.kill()
            kills[victim] += 1
            if victim != "app":  # without a worker nobody writes while this test reads
                check_nothing_lost(store, reported)
            if app.process.poll() is not None:
                app.start()
            for row in store.list_runs():
                if row.status == "interrupted":  # it was killed three times before an epoch ended
                    jobs.resume(store, row.id)
        wait_for(lambda: resumed_and_done(store))
    finally:
        app.kill()
    ids, undisturbed = [row.id for row in store.list_runs()], in_peace(KILLED)
    for run_id in ids:
        check_whole(store, run_id, undisturbed)
    check_nothing_lost(store, reported)
    check_store(store)
    housekeeping.clean(store)
    assert [run_id for run_id in ids if (jobs.runs_dir(run_id) / "checkpoints").exists()] == []
    attempts = [store.run(run_id).attempts for run_id in ids]
    print(f"\n{kills} in {len(ids)} runs; attempts {attempts}; epochs reported {sum(map(len, reported.values()))}")


def resumed_and_done(store: Store) -> bool:
    rows = store.list_runs()
    for row in rows:
        if row.status == "interrupted":
            jobs.resume(store, row.id)
    return all(row.status == "finished" for row in rows)


# --- disks ---


@dataclass
class Disk:
    """A disk that can be switched to full or read-only, and the worker of one run on it."""

    home: Path
    store: Store
    switch: Path
    run_id: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self, files: str, store: str, patience: float) -> None:
        """Start a worker on this disk, and switch the fault on once three epochs were reported."""
        self.run_id = submit(self.store, **SPOILT)
        row = jobs.claim(self.store)
        assert row is not None
        switches = [str(self.switch), files, store, str(patience), row.id, str(row.attempts), str(ROOT)]
        self.process = subprocess.Popen([sys.executable, "-c", WORKER, *switches], stderr=subprocess.PIPE)
        wait_for(lambda: len(epochs(self.store, self.run_id)) >= 3)
        self.switch.touch()

    def ended(self) -> str:
        """Wait for the worker to end and return what it printed on standard error."""
        assert self.process is not None
        return self.process.communicate(timeout=120)[1].decode()


@pytest.fixture
def a_disk(home: Path, store: Store, tmp_path: Path) -> Iterator[Disk]:
    one = Disk(home, store, tmp_path / "switch")
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.communicate()


def no_epoch_for(store: Store, run_id: str, seconds: float) -> None:
    """Check that for so many seconds no further epoch is reported, because it could not be saved."""
    reported, since = len(epochs(store, run_id)), time.monotonic()
    while time.monotonic() - since < seconds:
        now = len(epochs(store, run_id))
        reported, since = (now, time.monotonic()) if now > reported else (reported, since)
        assert now < SPOILT["epochs"], "it went on"
        time.sleep(0.05)


def test_a_disk_that_is_full_for_a_while_only_delays_the_run(a_disk: Disk, undisturbed: Peace) -> None:
    a_disk.start("full", "full", patience=60)
    no_epoch_for(a_disk.store, a_disk.run_id, 0.7)
    a_disk.switch.unlink()
    assert a_disk.ended() == ""
    check_whole(a_disk.store, a_disk.run_id, undisturbed)
    assert a_disk.store.run(a_disk.run_id).attempts == 1


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ("full", "The checkpoint could not be saved because the disk is full; free some space and resume the run."),
        ("read-only", "The checkpoint could not be saved (Read-only file system); set KDCORE_HOME to a folder "),
    ],
)
def test_a_disk_that_stays_so_ends_the_run_with_a_sentence_and_it_can_be_resumed(
    a_disk: Disk, undisturbed: Peace, files: str, sentence: str
) -> None:
    a_disk.start(files, "", patience=0.5)
    assert a_disk.ended() == ""
    store, run_id = a_disk.store, a_disk.run_id
    row = store.run(run_id)
    assert row.status == "failed" and row.error is not None and row.error.startswith(sentence)
    assert row.error.count(".") == 1 and store.events(run_id)[-1].event == RunFailed(row.error, "error")
    a_disk.switch.unlink()
    jobs.resume(store, run_id)
    jobs.advance(store)
    wait_for(lambda: store.run(run_id).done)
    check_whole(store, run_id, undisturbed)


def test_a_run_whose_end_could_not_be_written_is_continued(a_disk: Disk, undisturbed: Peace) -> None:
    a_disk.start("read-only", "read-only", patience=0.5)
    said = a_disk.ended()
    # The store cannot be written, so the error stands in the log only.
    assert "runs.sqlite cannot be written; set KDCORE_HOME" in said and said.count("\n") == 1
    store, run_id = a_disk.store, a_disk.run_id
    assert store.run(run_id).status == "running"  # the end of the run could not be stored
    reported = epochs(store, run_id)
    a_disk.switch.unlink()
    jobs.advance(store)  # as the next process that looks at the queue
    wait_for(lambda: store.run(run_id).done)
    assert epochs(store, run_id)[: len(reported)] == reported
    check_whole(store, run_id, undisturbed)
    check_store(store)


if REAL_DISKS:

    @pytest.fixture
    def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        place = tmp_path / "disk"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", place], check=True)
        monkeypatch.setenv("KDCORE_HOME", str(place))
        yield place
        while os.path.ismount(place):
            subprocess.run(["umount", "-l", place], check=True)

    @pytest.fixture
    def mounted_store(mounted: Path) -> Iterator[Store]:
        with Store() as store:
            yield store

    def start_and(store: Store, spoil: Callable[[], None]) -> str:
        run_id = submit(store, **{**KILLED, "epochs": 400})
        jobs.advance(store)
        wait_for(lambda: len(epochs(store, run_id)) >= 3)
        spoil()
        return run_id

    def fill(place: Path) -> None:
        with contextlib.suppress(OSError), (place / "filler").open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()

    def test_a_disk_that_is_really_full(mounted: Path, mounted_store: Store) -> None:
        store = mounted_store
        run_id = start_and(store, lambda: fill(mounted))
        wait_for(lambda: not is_alive(store.run(run_id)) or store.run(run_id).done)
        row, reported = store.run(run_id), epochs(store, run_id)
        print("\nfull for good:", row.status, row.error, "epochs told", len(reported))
        print((jobs.runs_dir(run_id) / "worker.log").read_text())
        with pytest.raises(jobs.NoSpace) as refused:
            submit(store, **TINY)
        print(refused.value)
        (mounted / "filler").unlink()
        if row.done:
            jobs.resume(store, run_id)
        jobs.advance(store)
        wait_for(lambda: len(epochs(store, run_id)) > len(reported))
        fill(mounted)
        reported = epochs(store, run_id)
        time.sleep(3.0)
        assert len(epochs(store, run_id)) < 400
        (mounted / "filler").unlink()
        wait_for(lambda: store.run(run_id).done)
        row = store.run(run_id)
        print("full for a while:", row.status, row.error, "epochs told", len(epochs(store, run_id)))
        assert row.status == "finished" and epochs(store, run_id)[: len(reported)] == reported
        check_store(store)

    def test_a_disk_that_is_really_read_only(mounted: Path, mounted_store: Store) -> None:
        store = mounted_store

        def lock() -> None:
            subprocess.run(["mount", "--bind", mounted, mounted], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)

        run_id = start_and(store, lock)
        wait_for(lambda: store.run(run_id).done)
        row = store.run(run_id)
        print("\nread-only:", row.status, row.error)
        assert row.status == "failed"
        subprocess.run(["umount", mounted], check=True)
        jobs.resume(store, run_id)
        jobs.advance(store)
        wait_for(lambda: store.run(run_id).done)
        assert store.run(run_id).status == "finished"


# --- several apps ---


@pytest.mark.timeout(900)
def test_two_apps_and_a_command_line_train_each_run_once(store: Store) -> None:
    settings = [f"--{name}={value}" for name, value in TINY.items()]
    command = [sys.executable, "-m", "kdcore.cli", "run", "--dataset", "digits", "--json", *settings]
    apps = [App("a"), App("b")]
    shares = [(RUNS - 1) // 2, RUNS - 1 - (RUNS - 1) // 2]
    pipe = subprocess.PIPE
    for app, share in zip(apps, shares, strict=True):
        app.start(share)
    try:
        for app in apps:
            assert app.process.stdout is not None and app.process.stdout.readline() == "ready\n"
        with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as line:
            for app, share in zip(apps, shares, strict=True):
                app.go(share)
            said, complaint = line.communicate(timeout=800)
        assert (line.returncode, complaint) == (0, "")
        for app in apps:
            assert app.process.wait(800) == 0
    finally:
        for app in apps:
            app.kill()
    rows = store.list_runs()
    assert len(rows) == RUNS and json.loads(said)["run_id"] in {row.id for row in rows}
    assert [(row.status, row.attempts) for row in rows] == [("finished", 1)] * RUNS
    for row in rows:
        kinds = [one.event.type for one in store.events(row.id)]
        assert kinds == ["RunStarted", "TeacherCached", "EpochEnded", "CheckpointSaved", "RunFinished"]
        assert (jobs.runs_dir(row.id) / "models" / "distilled.safetensors").is_file()
        assert (jobs.runs_dir(row.id) / "worker.log").read_text() == ""
    times = sorted((row.started or 0.0, row.finished or 0.0) for row in rows)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(times)), "two at the same time"
    results = {json.dumps(row.result["arms"]["distilled"]["accuracy"]) for row in rows if row.result}
    assert len(results) == 1
