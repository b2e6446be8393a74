"""A worker and its run, in this process and in real ones: trained to the end, stopped, killed, or refused."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time

import psutil
import pytest

from kdcore import jobs
from kdcore.errors import StoreError
from kdcore.events import EpochEnded, RunFailed, RunFinished, RunStarted
from kdcore.jobs.lease import is_alive
from kdcore.jobs.worker import error_sentence
from kdcore.jobs.worker import main as worker_main
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.store import Store, new_id, to_text
from kdcore.training.trainer import train
from tests.engine.jobs.short_runs import ROOT, epochs, set_row, wait_for, worker

SHORT = {"labels": 40, "epochs": 2, "seeds": 1, "device": "cpu"}  # with the usual student
LONG = {"labels": 400, "epochs": 1000, "seeds": 4, "device": "cpu"}


def digits(**settings: object) -> RunConfig:
    return make_run_config("digits", **settings)


def submit(store: Store, visitor: str = "someone", **settings: object) -> str:
    return jobs.submit(store, digits(**{**SHORT, **settings}), visitor, limit=jobs.MAX_QUEUED)


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
