"""The runs database: what is written is read, twice told is once kept, and every fault is one sentence."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kdcore.database import events as event_table
from kdcore.database import metadata
from kdcore.database import runs as run_table
from kdcore.errors import RunNotFound, StoreError
from kdcore.events import CheckpointSaved, EpochEnded, RunFailed, RunFinished, RunStarted, TeacherCached
from kdcore.store import SCHEMA_VERSION, Store, add_event, new_id, to_text


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(home=tmp_path) as store:
        yield store


def add_run(store: Store, visitor: str = "someone") -> str:
    run_id = new_id()
    with store.write() as connection:
        values = {"id": run_id, "visitor": visitor, "kind": "run", "status": "queued", "created": time.time()}
        connection.execute(sa.insert(run_table).values(**values, config=to_text({"dataset": "digits"})))
    return run_id


def tell(store: Store, run_id: str, *events: object) -> list[bool]:
    with store.write() as connection:
        return [add_event(connection, run_id, event) for event in events]  # type: ignore[arg-type]


def started(epochs_done: int = 0) -> RunStarted:
    return RunStarted({"dataset": "digits"}, ("teacher", "baseline"), 9, "cpu", "fp32", 60, 2, epochs_done)


def epoch(number: int, loss: float = 1.5) -> EpochEnded:
    return EpochEnded(number, 9, 0.25, {"baseline": {"train_loss": [loss, 1.0], "validation_accuracy": [0.5, 0.25]}})


def sentence(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 300
    assert "sqlalche" not in text and "sqlite3" not in text and "(Background" not in text
    return text


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
    assert 14 * math.log2(31) > 64  # bits that a guess would have to hit


def test_every_event_comes_back_equal_and_in_order(store: Store) -> None:
    run_id, other = add_run(store), add_run(store)
    told = [started(), TeacherCached("digits", 1, 0.5, False), epoch(1), CheckpointSaved(1, "ab", "checkpoints/ab")]
    told += [RunFinished({"accuracy": 0.5, "arms": {"baseline": [1, 2]}}), RunFailed("No more.", "error")]
    for event in told:
        tell(store, run_id, event)
        tell(store, other, epoch(7))
    stored = store.events(run_id)
    assert [one.event for one in stored] == told
    assert [one.seq for one in stored] == sorted({one.seq for one in stored})
    assert [one.event for one in store.events(run_id, after=stored[2].seq)] == told[3:]
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
    assert [one.event for one in store.events(run_id, after=seen)] == again  # a reader misses nothing


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


def test_the_file_is_in_wal_mode_and_survives_its_process(tmp_path: Path) -> None:
    with Store(home=tmp_path) as store:
        run_id = add_run(store)
    database = sqlite3.connect(tmp_path / "runs.sqlite")
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    with Store(home=tmp_path) as store:
        assert store.run(run_id).status == "queued"


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with Store(home=tmp_path) as writer, Store(home=tmp_path) as reader:
        run_id = add_run(writer)
        with writer.write() as connection:
            add_event(connection, run_id, epoch(1))
            began = time.perf_counter()
            assert reader.events(run_id) == []
            assert time.perf_counter() - began < 1.0
        assert len(reader.events(run_id)) == 1


def test_processes_that_create_the_store_at_once_share_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from kdcore.store import Store\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "Store(home=Path(sys.argv[1])).list_runs()"
    )
    root = str(Path(__file__).resolve().parents[2])
    home, pipe = tmp_path / "home", subprocess.PIPE
    command = [sys.executable, "-c", code, str(home), root]
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:  # all have imported and wait at the same line
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, said = process.communicate(timeout=60)
        assert (process.returncode, out, said) == (0, "", "")
    with Store(home=home) as store:
        assert store.list_runs() == []


# --- faults ---


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").write_bytes(b"this is not a database at all, " * 200)
    with pytest.raises(StoreError) as error:
        Store(home=tmp_path)
    assert "is damaged" in sentence(error) and "runs.sqlite" in str(error.value)


def test_a_database_with_damaged_pages(tmp_path: Path) -> None:
    with Store(home=tmp_path) as store:
        run_id = add_run(store)
        for number in range(1, 200):
            tell(store, run_id, epoch(number))
    file = tmp_path / "runs.sqlite"
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)  # the header stays, so that it still opens as a database
    file.write_bytes(data)
    with pytest.raises(StoreError) as error, Store(home=tmp_path) as store:
        store.events(run_id)
    assert "is damaged" in sentence(error)


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as error:
        Store(home=tmp_path / "file" / "home")
    assert "KDCORE_HOME" in sentence(error)


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").mkdir()
    with pytest.raises(StoreError) as error:
        Store(home=tmp_path)
    assert "cannot be written" in sentence(error)


def test_a_store_that_may_only_be_read(tmp_path: Path) -> None:
    with Store(home=tmp_path) as store:
        run_id = add_run(store)
    url = f"sqlite:///file:{(tmp_path / 'runs.sqlite').as_posix()}?mode=ro&uri=true"
    with Store(url, home=tmp_path) as store:
        assert store.run(run_id).id == run_id
        with pytest.raises(StoreError) as error:
            tell(store, run_id, epoch(1))
    assert "cannot be written" in sentence(error)


def test_a_full_disk_is_said_and_damages_nothing(tmp_path: Path) -> None:
    with Store(home=tmp_path) as store:
        run_id = add_run(store)

        def limit(connection: sqlite3.Connection, record: object) -> None:
            connection.execute("PRAGMA max_page_count=20")  # SQLite's own way to say that there is no more space

        store.close()
        sa.event.listen(store._engine, "connect", limit)
        with pytest.raises(StoreError) as error:
            for number in range(1, 10_000):
                tell(store, run_id, epoch(number))
        assert "disk is full" in sentence(error)
        kept = len(store.events(run_id))
        assert 0 < kept < 9_999
    with Store(home=tmp_path) as store:
        assert len(store.events(run_id)) == kept
        assert tell(store, run_id, epoch(9_999)) == [True]


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with Store(home=tmp_path):
        pass
    database = sqlite3.connect(tmp_path / "runs.sqlite")
    database.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (SCHEMA_VERSION + 1,))
    database.commit()
    database.close()
    with pytest.raises(StoreError) as error:
        Store(home=tmp_path)
    assert f"version {SCHEMA_VERSION + 1}" in sentence(error)


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuchdatabase://host/name", "postgresql+nosuchdriver://host/name", "://"]
)
def test_a_database_address_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KDCORE_DATABASE", url)
    with pytest.raises(StoreError) as error:
        Store(home=tmp_path)
    assert "KDCORE_DATABASE" in sentence(error)


def test_the_tables_are_legal_in_postgresql() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    assert set(metadata.tables) == {"meta", "runs", "events"}
    for table in metadata.tables.values():
        statement = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "AUTOINCREMENT" not in statement
    assert "SERIAL" in str(CreateTable(event_table).compile(dialect=postgresql.dialect()))
    assert "DOUBLE PRECISION" in str(CreateTable(run_table).compile(dialect=postgresql.dialect()))
