"""What a run needs on the disk, and what is removed from it: each rule with a case on both sides of it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.errors import RunNotFound
from kdcore.events import CheckpointSaved, RunFinished
from kdcore.jobs import housekeeping
from kdcore.jobs.housekeeping import DAY, Cleaned, clean
from kdcore.jobs.space import MARGIN, NoSpace, check_space, space_needed
from kdcore.jobs.spawn import LOG
from kdcore.machine import disk
from kdcore.machine.disk import free_space, retry_while_full, write_failure_reason
from kdcore.machine.tensor_files import write_atomically
from kdcore.networks.registry import build_model, count_params
from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id
from kdcore.store.schema import runs as run_table
from kdcore.teachers.load import load_teacher
from kdcore.training.arms import objective_of
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.trainer import train

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


# --- room ---


SEVERAL = {"method": "teacher-assistant", "parameters": {"assistants": "mlp-800-801,mlp-800-802,mlp-800-803"}}


@pytest.mark.parametrize(("student", "more"), [("mlp-8", {}), ("mlp-800-800", {}), ("mlp-8", SEVERAL)])
def test_the_estimate_covers_what_a_run_really_writes(store: Store, student: str, more: dict[str, Any]) -> None:
    config = make_run_config("digits", **{**TINY, "student": student, "seeds": 1, **more})
    folder, largest = store.home / "runs" / new_id(), 0
    for event in train(config, run_dir=folder):
        if isinstance(event, CheckpointSaved | RunFinished):
            files = [path.stat().st_size for path in store.home.rglob("*") if path.is_file()]
            checkpoint = (folder / "checkpoints").glob("*.safetensors")
            # A new checkpoint is written before the old one is removed.
            largest = max(largest, sum(files) + max(path.stat().st_size for path in checkpoint))
    needed = space_needed(config) - MARGIN
    assert needed + MARGIN > largest
    if student == "mlp-800-800" or more:  # only where the students take more space than everything else
        assert needed / 2 < largest < needed


def test_peers_and_the_regressors_of_hints_are_counted() -> None:
    settings = {**TINY, "student": "convnet-4", "seeds": 3}
    plain, hints, pairs = (
        make_run_config("digits", **settings, method=method) for method in ("kd", "fitnets", "mutual")
    )
    teacher, student = load_teacher("digits"), build_model("convnet-4", (1, 8, 8), 10)
    feature_loss = FeatureLoss(objective_of(hints), student, teacher, (1, 8, 8), 0)
    assert space_needed(hints) - space_needed(plain) == 2 * 3 * 3 * 4 * count_params(feature_loss.adapter) > 0
    assert space_needed(pairs) - space_needed(plain) == 2 * 3 * 3 * 4 * count_params(student)


def test_more_seeds_and_larger_students_need_more() -> None:
    small, seeds, large = (
        space_needed(make_run_config("digits", **{**TINY, **change}))
        for change in ({}, {"seeds": 20}, {"student": "mlp-800-800"})
    )
    assert MARGIN < small < seeds < large


def test_free_space_is_that_of_the_disk_where_the_folder_will_be(tmp_path: Path) -> None:
    found = free_space(tmp_path / "not" / "yet")
    assert found is not None and found > 0
    (tmp_path / "file").write_text("")
    assert free_space(tmp_path / "file" / "below") is not None


def test_a_run_is_refused_below_its_need_and_not_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_run_config("digits", **TINY)
    needed = space_needed(config)
    monkeypatch.setattr(disk, "free_space", lambda folder: needed)
    check_space(config, tmp_path)
    monkeypatch.setattr(disk, "free_space", lambda folder: needed - 1)
    with pytest.raises(NoSpace) as refused:
        check_space(config, tmp_path)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)


def test_only_a_full_disk_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RETRY_PAUSE_SECONDS", 0.001)
    answers = [OSError(code, "no") for code in disk.DISK_FULL_ERRORS]

    def write() -> None:
        if answers:
            raise answers.pop()

    retry_while_full(write)
    assert answers == []
    answers = [OSError(30, "never reached"), OSError(30, "Read-only file system")]
    with pytest.raises(OSError, match="Read-only"):
        retry_while_full(write)
    assert len(answers) == 1
    assert "(no); set KDCORE_HOME" in write_failure_reason(OSError(30, "no"))
    assert write_failure_reason(OSError(disk.DISK_FULL_ERRORS[0], "no")).startswith("because the disk is full")
