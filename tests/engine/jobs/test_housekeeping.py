"""What is removed of runs from the disk: each rule with a case on both sides of it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.errors import RunNotFound
from kdcore.jobs import housekeeping
from kdcore.jobs.housekeeping import DAY, Cleaned, clean
from kdcore.jobs.spawn import LOG
from kdcore.machine.tensor_files import write_atomically
from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id
from kdcore.store.schema import runs as run_table

TINY = {"labels": 20, "epochs": 1, "seeds": 2, "student": "mlp-8", "device": "cpu"}


def made(store: Store, status: str, days_ago: float = 0.0, **values: object) -> Path:
    """Add a run that ended so many days ago, with every kind of file that its folder can hold; return the folder."""
    run_id = jobs.submit(store, make_run_config("digits", **TINY), "a", limit=jobs.MAX_QUEUED)
    ended = time.time() - days_ago * DAY
    with store.write() as connection:
        changed = sa.update(run_table).where(run_table.c.id == run_id)
        connection.execute(changed.values(status=status, finished=ended, **values))
    return filled(jobs.runs_dir(run_id))


def filled(folder: Path) -> Path:
    for name in ("checkpoints/abc.safetensors", "checkpoint.json", "models/distilled.safetensors", LOG):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def kept(folder: Path) -> set[str]:
    names = {"checkpoints": "checkpoints", "checkpoint.json": "pointer", "models/distilled.safetensors": "models"}
    return {word for name, word in {**names, LOG: "log"}.items() if (folder / name).exists()}


EVERYTHING = {"checkpoints", "pointer", "models", "log"}


@pytest.mark.parametrize(
    ("status", "days_ago", "left"),
    [
        ("finished", 0.0, {"models", "log"}),
        ("finished", 29.9, {"models", "log"}),
        ("finished", 30.1, {"models"}),
        ("cancelled", 6.9, EVERYTHING),
        ("cancelled", 7.1, {"models", "log"}),
        ("failed", 6.9, EVERYTHING),
        ("failed", 31, {"models"}),
        ("interrupted", 6.9, EVERYTHING),
        ("interrupted", 7.1, {"models", "log"}),
        ("cancelled", -400, EVERYTHING),  # the clock was set back after the run ended
        ("running", 400, EVERYTHING),
        ("queued", 400, EVERYTHING),  # as after it was resumed
    ],
)
def test_what_stays_of_a_run(store: Store, status: str, days_ago: float, left: set[str]) -> None:
    folder = made(store, status, days_ago)
    clean(store)
    assert kept(folder) == left
    assert clean(store) == Cleaned()
    assert store.run(folder.name).status == status


def test_the_same_by_the_time_that_is_given(store: Store) -> None:
    folder = made(store, "cancelled")
    assert clean(store, now=time.time() + 6.9 * DAY) == Cleaned()
    assert clean(store, now=time.time() + 7.1 * DAY) == Cleaned(checkpoints=1)
    assert kept(folder) == {"models", "log"}


def test_a_deleted_run_is_gone_after_a_week_and_not_before(store: Store) -> None:
    folder, other = made(store, "finished"), made(store, "finished")
    store.delete(folder.name)
    clean(store, now=time.time() + 6.9 * DAY)
    assert "models" in kept(folder)
    store.undelete(folder.name)
    clean(store, now=time.time() + 7.1 * DAY)
    assert "models" in kept(folder)
    store.delete(folder.name)
    found = clean(store, now=time.time() + 7.1 * DAY)
    assert (found.runs, found.folders) == (1, 1) and not folder.exists() and other.exists()
    with pytest.raises(RunNotFound):
        store.undelete(folder.name)
    assert store.events(folder.name) == []


def test_a_folder_without_a_run_waits_a_week_from_when_it_was_found(store: Store) -> None:
    folder, now = filled(jobs.runs_dir(new_id())), time.time()
    os.utime(folder, (now - 400 * DAY,) * 2)  # as if another database had known it for a year
    assert clean(store, now) == Cleaned() and kept(folder) == EVERYTHING
    assert clean(store, now + 6.9 * DAY) == Cleaned() and kept(folder) == EVERYTHING
    strange = filled(store.home / "runs" / "not of ours")
    assert clean(store, now + 7.1 * DAY) == Cleaned(folders=1)
    assert not folder.exists() and kept(strange) == EVERYTHING


def test_a_run_that_is_known_again_is_left_alone(store: Store) -> None:
    folder = made(store, "cancelled")
    (folder / housekeeping.NO_RUN_NOTE).write_text("0\n")  # as noted while another store was in use
    assert clean(store) == Cleaned() and kept(folder) == EVERYTHING
    assert not (folder / housekeeping.NO_RUN_NOTE).exists()


def test_what_a_killed_writer_left_goes_after_a_day(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(store, "cancelled")
    places = [folder, folder / "checkpoints", folder / "models", store.home / "teacher_logits"]

    def killed(handle: int) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:  # so that temporary files get the names that are really used
        patch.setattr(os, "fsync", killed)
        patch.setattr(Path, "unlink", lambda self: None)
        for place in places:
            with pytest.raises(SystemExit):
                write_atomically(place / "it.safetensors", b"half")
    left = [path for place in places for path in place.iterdir() if path.name.startswith(".it.safetensors.")]
    assert len(left) == 4
    assert clean(store) == Cleaned()
    assert clean(store, now=time.time() + 1.1 * DAY) == Cleaned(temporary=4)
    assert kept(folder) == EVERYTHING and not any(path.exists() for path in left)


def test_a_run_that_is_resumed_meanwhile_keeps_its_checkpoint(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(store, "cancelled", 8)
    real = housekeeping._remove_checkpoints

    def resumed_first(store: Store, folder: Path) -> bool:
        jobs.resume(store, folder.name)
        return real(store, folder)

    monkeypatch.setattr(housekeeping, "_remove_checkpoints", resumed_first)
    assert clean(store) == Cleaned() and kept(folder) == EVERYTHING


def test_many_at_once_are_harmless(store: Store) -> None:
    folders = [made(store, "finished", 40) for _ in range(6)]
    store.delete(folders[0].name)
    start, wrong = threading.Barrier(4), []

    def sweep() -> None:
        with Store() as own_store:
            start.wait()
            try:
                clean(own_store, now=time.time() + 8 * DAY)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and not folders[0].exists()
    assert [kept(folder) for folder in folders[1:]] == [{"models"}] * 5


def test_a_removal_that_was_broken_off_is_completed(store: Store) -> None:
    folder = made(store, "finished")
    (folder / "checkpoints").rename(folder / housekeeping.REMOVED_CHECKPOINTS)
    half = filled(folder.with_name(housekeeping.REMOVING_PREFIX + new_id()))
    clean(store)
    assert not (folder / housekeeping.REMOVED_CHECKPOINTS).exists() and not half.exists() and folder.exists()


def test_no_home_and_no_store_are_no_error(store: Store) -> None:
    assert clean(store) == Cleaned()
    (store.home / "runs.sqlite").write_bytes(b"not a database at all" * 100)
    store.close()
    assert clean(store) == Cleaned()
