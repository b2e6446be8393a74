"""The runs database: what was written is read back, and a repeated event is stored once."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from kdcore.errors import RunNotFound
from kdcore.events import CheckpointSaved, RunFailed, RunFinished, TeacherCached, TeacherEpochEnded
from kdcore.store import RunActive, RunDeleted, Store, add_event, new_id, to_text
from kdcore.store.schema import runs as run_table
from tests.engine.store.stored_runs import add_run, end, epoch, sentence, started, tell


def test_a_run_is_read_as_it_was_written(store: Store) -> None:
    before = time.time()
    run_id = add_run(store)
    row = store.run(run_id)
    assert (row.id, row.visitor, row.kind, row.status, row.done) == (run_id, "someone", "run", "queued", False)
    assert row.config == {"dataset": "digits"} and row.result is None and row.error is None
    assert before <= row.created <= time.time() and row.started is None
    assert (row.attempts, row.setbacks, row.cancel_requested) == (0, 0, False)


def test_runs_are_listed_newest_first_and_by_visitor(store: Store) -> None:
    first, other, last = add_run(store), add_run(store, "another"), add_run(store)
    assert [row.id for row in store.list_runs()] == [last, other, first]
    assert [row.id for row in store.list_runs("someone")] == [last, first]
    assert [row.id for row in store.list_runs(limit=1)] == [last]
    assert store.list_runs("nobody") == []


def test_a_short_list_has_the_outcomes_of_runs_alone(store: Store) -> None:
    waiting, run_id, failed = add_run(store), add_run(store), end(store, add_run(store), "failed")
    figures = {"accuracy": {"mean": 0.5}, "confusion": [[1, 2], [3, 4]], "per_class": [{"n": 1}]}
    result = {"seconds": 2.0, "arms": {"baseline": figures}}
    assert [row.result for row in store.list_runs(whole_results=False)] == [None, None, None]
    with store.write() as connection:  # as a worker of an older version would, which knows no outcomes
        ended = {"status": "finished", "result": to_text(result)}
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(**ended))
    for _time in range(2):
        rows = store.list_runs(whole_results=False)
        assert [row.id for row in rows] == [failed, run_id, waiting]
        assert rows[1].result == {"seconds": 2.0, "arms": {"baseline": {"accuracy": {"mean": 0.5}}}}
    assert store.run(run_id).result == store.list_runs()[1].result == result


def test_a_short_list_does_not_read_the_results(store: Store) -> None:
    ids = [add_run(store) for _ in range(3)]
    with store.write() as connection:  # if it were read, a result that is no JSON would raise
        ended = {"status": "finished", "result": "no JSON", "outcome": to_text({"seconds": 2.0})}
        connection.execute(sa.update(run_table).values(**ended))
    assert [(row.id, row.result) for row in store.list_runs(limit=None, whole_results=False)] == [
        (run_id, {"seconds": 2.0}) for run_id in reversed(ids)
    ]


@pytest.mark.parametrize(
    "run_id", ["", "../../etc/passwd", "x" * 300, "<b>", "abcdefghjkmnpq", "ABCDEFGHJKMNPQ", "a\0b"]
)
def test_an_unknown_id_is_one_sentence(store: Store, run_id: str) -> None:
    with pytest.raises(RunNotFound) as error:
        store.run(run_id)
    assert not set("<>/\0") & set(sentence(error))


def test_ids_cannot_be_guessed_and_are_safe_everywhere() -> None:
    ids = {new_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(one) == 14 and one.isalnum() and one == one.lower() for one in ids)
    assert 14 * math.log2(31) > 64  # bits of randomness


def test_epochs_of_several_teachers_are_told_apart(store: Store) -> None:
    run_id = add_run(store)
    first, second = TeacherEpochEnded('a "100%"', 1, 3, 0.5, 1.0), TeacherEpochEnded("a", 1, 3, 0.5, 1.0)
    assert tell(store, run_id, first, second, first, replace(second, seconds=2.0)) == [True, True, False, False]
    assert [stored.event for stored in store.events(run_id)] == [first, second]


def test_stages_that_no_checkpoint_covers_are_told_again_and_teachers_are_not(store: Store) -> None:
    run_id = add_run(store)
    teacher = TeacherEpochEnded("digits", 2, 2, None, 1.0)
    kept = [TeacherEpochEnded("generation 1", number, 3, 0.5, 1.0) for number in (1, 2)]
    lost = [TeacherEpochEnded(f"generation {stage}", 3 - stage // 2, 3, None, 1.0) for stage in (1, 2)]
    tell(store, run_id, teacher, started(), *kept, *lost)
    again = replace(started(), stages={"generation 1": 2, "generation 2": 0})
    assert tell(store, run_id, again, kept[1], *lost) == [False, False, True, True]
    assert [one.event for one in store.events(run_id)] == [teacher, started(), *kept, *lost]
    assert tell(store, run_id, again) == [False]
    assert [one.event for one in store.events(run_id)] == [teacher, started(), *kept]


def test_every_event_comes_back_equal_and_in_order(store: Store) -> None:
    run_id, other = add_run(store), add_run(store)
    reported = [started(), TeacherCached("digits", 1, 0.5, False), epoch(1), CheckpointSaved(1, "ab", "checkpoints/ab")]
    reported += [RunFinished({"accuracy": 0.5, "arms": {"baseline": [1, 2]}}), RunFailed("No more.", "error")]
    for event in reported:
        tell(store, run_id, event)
        tell(store, other, epoch(7))
    stored = store.events(run_id)
    assert [one.event for one in stored] == reported
    assert [one.seq for one in stored] == sorted({one.seq for one in stored})
    assert [one.event for one in store.events(run_id, after=stored[2].seq)] == reported[3:]
    assert store.events(run_id, after=stored[-1].seq) == []


def test_what_is_told_twice_is_kept_once(store: Store) -> None:
    run_id = add_run(store)
    assert tell(store, run_id, started(), epoch(1), epoch(2)) == [True, True, True]
    assert tell(store, run_id, started(2), epoch(2, loss=9.0), epoch(3)) == [False, False, True]
    assert [one.event for one in store.events(run_id)] == [started(), epoch(1), epoch(2), epoch(3)]


def test_a_run_that_goes_back_is_told_from_there(store: Store) -> None:
    run_id = add_run(store)
    tell(store, run_id, started(), epoch(1), CheckpointSaved(1, "a", "a"), epoch(2), CheckpointSaved(2, "b", "b"))
    seen = store.events(run_id)[-1].seq
    tell(store, run_id, started(1), epoch(1), epoch(2, loss=0.5), CheckpointSaved(2, "c", "c"))
    again = [epoch(2, loss=0.5), CheckpointSaved(2, "c", "c")]
    assert [one.event for one in store.events(run_id)] == [started(), epoch(1), CheckpointSaved(1, "a", "a"), *again]
    assert [one.event for one in store.events(run_id, after=seen)] == again  # so a reader misses nothing


def test_numbers_that_json_does_not_know_become_null(store: Store) -> None:
    run_id = add_run(store)
    tell(store, run_id, epoch(1, loss=math.nan), epoch(2, loss=math.inf))
    losses = [one.event.curves["baseline"]["train_loss"] for one in store.events(run_id)]  # type: ignore[attr-defined]
    assert losses == [[None, 1.0], [None, 1.0]]


def test_a_transaction_is_whole_or_nothing(store: Store) -> None:
    run_id = add_run(store)
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        add_event(connection, run_id, epoch(1))
        _ = 1 / 0
    assert store.events(run_id) == []


def test_a_deleted_run_is_hidden_everywhere_until_it_is_restored(store: Store) -> None:
    kept, run_id = add_run(store), end(store, add_run(store))
    store.tag(run_id, ["mine"])
    tell(store, run_id, started(), epoch(1))
    row = store.run(run_id)
    store.delete(run_id)
    assert [row.id for row in store.list_runs()] == [kept]
    assert [row.id for row in store.list_runs(deleted=True)] == [run_id]
    assert store.list_runs("another", deleted=True) == []
    for hidden in (lambda: store.run(run_id), lambda: store.tag(run_id, ["x"])):
        with pytest.raises(RunDeleted) as error:
            hidden()
        assert "restore" in sentence(error)
    when = store.run(run_id, deleted=True).deleted
    assert when is not None and abs(when - time.time()) < 60
    store.delete(run_id)  # as from a second browser tab
    assert store.run(run_id, deleted=True).deleted == when
    store.undelete(run_id)
    store.undelete(run_id)
    assert store.run(run_id) == row and len(store.events(run_id)) == 2


@pytest.mark.parametrize(("status", "doing"), [("queued", "waits in the queue"), ("running", "is training")])
def test_a_run_that_is_not_over_is_not_deleted(store: Store, status: str, doing: str) -> None:
    run_id = end(store, add_run(store), status)
    with pytest.raises(RunActive) as error:
        store.delete(run_id)
    assert doing in sentence(error) and "stop it first" in str(error.value)
    assert store.run(run_id).deleted is None


def test_only_deleted_runs_are_purged(store: Store) -> None:
    kept, run_id = end(store, add_run(store)), end(store, add_run(store))
    for one in (kept, run_id):
        tell(store, one, epoch(1))
    assert not store.purge(run_id)
    store.delete(run_id)
    assert store.purge(run_id) and not store.purge(run_id)
    assert [row.id for row in store.list_runs()] == [kept] and store.events(run_id) == []
    assert len(store.events(kept)) == 1
    for gone in (store.run, store.delete, store.undelete):
        with pytest.raises(RunNotFound) as error:
            gone(run_id)
        assert not isinstance(error.value, RunDeleted)


# --- who closes the connections ---


def open_files(folder: Path) -> list[str]:
    """The names of the files below this folder that this process has open, as the operating system counts them."""
    paths = [Path(file.path) for file in psutil.Process().open_files()]
    return [path.name for path in paths if path.is_relative_to(folder)]


def test_a_closed_store_has_no_file_open_and_can_be_used_again(tmp_path: Path) -> None:
    store = Store(home=tmp_path)
    assert "runs.sqlite" in open_files(tmp_path)
    for _ in range(2):
        run_id = add_run(store)
        store.close()
        assert open_files(tmp_path) == []
    assert store.run(run_id).id == run_id
    store.close()


def test_a_store_that_nobody_closes_closes_itself(tmp_path: Path) -> None:
    store = Store(home=tmp_path)
    add_run(store)
    del store
    assert open_files(tmp_path) == []


def test_a_store_that_is_closed_while_threads_use_it_leaves_nothing_open(tmp_path: Path) -> None:
    """As when a visitor clears the app's caches while the pages of others are being built."""
    store = Store(home=tmp_path)
    run_id = add_run(store)
    reading, closed, found = threading.Barrier(4), threading.Event(), []

    def read(store: Store) -> None:
        with store.read() as connection:
            reading.wait(30)
            closed.wait(30)
            found.append(connection.execute(sa.select(run_table.c.id)).scalar())

    threads = [threading.Thread(target=read, args=(store,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    reading.wait(30)
    store.close()
    closed.set()
    for thread in threads:
        thread.join()
    assert found == [run_id] * 3, "closing must not take a connection from a thread that uses it"
    del store, threads, thread
    assert open_files(tmp_path) == []


def test_many_threads_one_after_another_keep_few_connections(tmp_path: Path) -> None:
    with Store(home=tmp_path) as store:
        run_id = add_run(store)
        for _ in range(5):
            threads = [threading.Thread(target=store.run, args=(run_id,)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        # Fifteen at a time; SQLite keeps the file of a closed connection for the next one while others are open.
        assert 1 <= open_files(tmp_path).count("runs.sqlite") <= 15
    assert open_files(tmp_path) == []


def test_a_process_that_ends_without_closing_its_store_warns_of_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from kdcore.store import Store\n"
        "store = Store(home=Path(sys.argv[1])); store.list_runs()"
    )
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", code, str(tmp_path), root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [file.name for file in tmp_path.iterdir()] == ["runs.sqlite"], "SQLite's side files stayed"
