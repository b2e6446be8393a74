"""A run that was stopped anywhere goes on from its checkpoint to the result of an undisturbed one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import sqlalchemy as sa

from kdcore import jobs
from kdcore.events import CheckpointSaved, EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherEpochEnded
from kdcore.jobs.lease import Lease
from kdcore.settings.config import RunConfig
from kdcore.store import Store
from kdcore.store.schema import runs
from kdcore.training.checkpoint import RunCheckpoint
from kdcore.training.trainer import train
from tests.engine.shared_settings import VARY, sweep
from tests.engine.training.run_events import curves, figures


def test_a_stopped_run_goes_on_to_the_result_of_an_undisturbed_one(config: RunConfig, tmp_path: Path) -> None:
    whole = list(train(config, run_dir=tmp_path / "whole", home=tmp_path))
    asked = iter(range(10_000))
    steps_an_epoch = 3  # batches; all students of both seeds take each step together
    stop = 3 * steps_an_epoch + 2
    first = list(train(config, run_dir=tmp_path / "cut", home=tmp_path, should_stop=lambda: next(asked) >= stop))
    assert isinstance(first[-1], RunFailed)
    assert first[-1].kind == "cancelled"
    assert max(curves(first)) == 3
    rest = list(train(config, run_dir=tmp_path / "cut", home=tmp_path))
    assert isinstance(rest[0], RunStarted)
    assert rest[0].epochs_done == 3
    assert min(curves(rest)) == 3  # its last finished epoch is told again, in case nobody heard it
    assert {**curves(first), **curves(rest)} == curves(whole)
    assert figures(rest) == figures(whole)
    assert len(list((tmp_path / "cut" / "checkpoints").iterdir())) == 1


def test_a_damaged_checkpoint_is_not_continued(config: RunConfig, tmp_path: Path) -> None:
    list(train(config, run_dir=tmp_path / "run", home=tmp_path))
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    saved.write_bytes(saved.read_bytes()[:-100])
    started = next(train(config, run_dir=tmp_path / "run", home=tmp_path))
    assert isinstance(started, RunStarted)
    assert started.epochs_done == 0


def test_a_sweep_that_was_stopped_goes_on_to_the_same_table(untimed: None, tmp_path: Path, own_home: Path) -> None:
    """It is stopped in its second group. The first group is not trained again, and the second one continues from its
    checkpoint."""
    config = sweep(epochs=3, vary={**VARY, "labels": (40, 20)})
    whole = list(train(config, run_dir=tmp_path / "whole", home=own_home))
    asked = Counter[str]()

    def stop_in_the_second() -> bool:  # 3 epochs of 4 batches, then 3 of 2
        asked["first"] += 1
        return asked["first"] > 12 + 2 + 1

    first = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=stop_in_the_second))
    assert isinstance(first[-1], RunFailed) and max(curves(first)) == 4

    def count() -> bool:
        asked["rest"] += 1
        return False

    rest = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=count))
    assert isinstance(rest[0], RunStarted) and (rest[0].epochs_done, rest[0].epochs) == (4, 6)
    assert asked["rest"] == 1 + 4  # before it starts, and the two epochs of two batches that were left
    assert {**curves(first), **curves(rest)} == curves(whole)
    assert [event.epoch for event in (*first, *rest) if isinstance(event, CheckpointSaved)] == [1, 2, 3, 4, 5, 6]
    results = [dict(events[-1].result) for events in (whole, rest)]  # type: ignore[attr-defined]
    assert results[0]["sweep"] == results[1]["sweep"] and results[0]["sweep"]["rows"]
    assert results[0]["paired_difference"] == results[1]["paired_difference"]


def test_stages_that_were_trained_are_not_trained_again_and_their_time_counts(
    untimed: None, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sweep(epochs=2, method="born-again", parameters={"generations": 2}, vary={"temperature": (1.0, 4.0)})
    whole = list(train(config, run_dir=tmp_path / "whole", home=own_home))
    save = RunCheckpoint.save
    asked = Counter[str]()

    def stop_in_the_fourth_stage() -> bool:  # two points of two generations of two epochs of four batches
        asked["first"] += 1
        return asked["first"] > 3 * 8 + 4 + 1

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "save", lambda self, *parts: save(self, *parts[:-1], parts[-1] + 1000))
        first = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=stop_in_the_fourth_stage))
    assert isinstance(first[-1], RunFailed) and not curves(first)

    def count() -> bool:
        asked["rest"] += 1
        return False

    rest = list(train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=count))
    assert asked["rest"] == 1 + 4 + 8  # what was left of the fourth stage, and the students
    names = [f"generation {one} (temperature={t})" for t in (4, 1) for one in (1, 2)]  # of the run's own point first
    assert isinstance(rest[0], RunStarted) and rest[0].stages == dict(zip(names, (2, 2, 2, 1), strict=True))
    assert stages_told(rest) == [*((name, 2) for name in names[:3]), (names[3], 1), (names[3], 2)]
    assert curves(rest) == curves(whole)
    results = [dict(events[-1].result) for events in (whole, rest)]  # type: ignore[attr-defined]
    assert results[0]["sweep"] == results[1]["sweep"]
    assert results[1]["seconds"] > 1000 > results[0]["seconds"]


def stages_told(events: Iterable[Event]) -> list[tuple[str, int]]:
    return [(event.teacher, event.epoch) for event in events if isinstance(event, TeacherEpochEnded)]


def test_the_store_hears_every_stage_of_every_point_and_again_after_its_checkpoint_is_gone(
    untimed: None, store: Store
) -> None:
    """A reported epoch also shows that the worker makes progress, so its failed attempts no longer count."""
    config = sweep(epochs=2, seeds=1, method="born-again", vary={"temperature": (1.0, 4.0), "labels": (20, 40)})
    run_id = jobs.submit(store, config, "someone")
    folder = jobs.runs_dir(run_id, store.home)
    own = [(4, 20), (1, 20), (1, 40), (4, 40)]  # group by group, the run's own first
    names = [f"generation 1 (temperature={t}, labels={n})" for t, n in own]
    first: list[Event] = []

    def work(events: Iterable[Event]) -> None:
        row = jobs.claim(store)
        assert row is not None
        lease = Lease(store, run_id, row.attempts)
        for event in events:
            first.append(event)
            if isinstance(event, RunFailed | RunFinished):
                return
            with store.write() as connection:
                connection.execute(sa.update(runs).where(runs.c.id == run_id).values(setbacks=2))
            lease.record(event)
            new = isinstance(event, EpochEnded | TeacherEpochEnded)
            assert store.run(run_id).setbacks == (0 if new else 2), event
            assert not new or store.events(run_id)[-1].event == event

    stop = (names[2], 1)  # half-way through the first stage of the second group
    work(train(config, run_dir=folder, home=store.home, should_stop=lambda: stop in stages_told(first)))
    heard = [one.event for one in store.events(run_id)]
    both = [(name, epoch) for name in names for epoch in (1, 2)]
    assert stages_told(heard) == both[:5] and isinstance(heard[-1], TeacherEpochEnded)
    shutil.rmtree(folder / "checkpoints")  # as housekeeping does after some days
    with store.write() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(status="queued"))
    work(train(config, run_dir=folder, home=store.home))
    heard = [one.event for one in store.events(run_id)]
    assert stages_told(heard) == both and sorted(curves(heard)) == [1, 2, 3, 4]


def test_hints_go_on_where_they_were_cut_off(untimed: None, tmp_path: Path, own_home: Path) -> None:
    """It is interrupted between imitation and soft labels. The adapter, and the layers that had no gradient until then,
    are restored too."""
    config = sweep(student="convnet-4", seeds=1, epochs=3, method="fitnets", parameters={"hint_share": 0.5})
    whole = list(train(config, run_dir=tmp_path / "whole", home=own_home))
    first: list[Event] = []
    for event in train(config, run_dir=tmp_path / "cut", home=own_home, should_stop=lambda: bool(curves(first))):
        first.append(event)
    assert isinstance(first[-1], RunFailed) and max(curves(first)) == 1
    rest = list(train(config, run_dir=tmp_path / "cut", home=own_home))
    assert {**curves(first), **curves(rest)} == curves(whole)
