"""The runs database: what was written is read back, a repeated event is stored once, each fault is one sentence."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from kdcore.errors import ConfigError, RunNotFound, StoreError
from kdcore.events import (
    CheckpointSaved,
    EpochEnded,
    RunFailed,
    RunFinished,
    RunStarted,
    TeacherCached,
    TeacherEpochEnded,
)
from kdcore.store import SCHEMA_VERSION, RunActive, RunDeleted, Store, add_event, new_id, schema, to_text
from kdcore.store.schema import events as event_table
from kdcore.store.schema import metadata
from kdcore.store.schema import runs as run_table


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


def test_a_short_list_leaves_out_the_figures_of_classes(store: Store) -> None:
    waiting, run_id, failed = add_run(store), add_run(store), end(store, add_run(store), "failed")
    figures = {"accuracy": {"mean": 0.5}, "confusion": [[1, 2], [3, 4]], "per_class": [{"n": 1}]}
    result = {"seconds": 2.0, "arms": {"baseline": figures}}
    assert [row.result for row in store.list_runs(with_per_class=False)] == [None, None, None]
    with store.write() as connection:  # as a worker in another process would
        ended = {"status": "finished", "result": to_text(result)}
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(**ended))
    for _time in range(2):
        rows = store.list_runs(with_per_class=False)
        assert [row.id for row in rows] == [failed, run_id, waiting]
        assert rows[1].result == {"seconds": 2.0, "arms": {"baseline": {"accuracy": {"mean": 0.5}}}}
    assert store.run(run_id).result == store.list_runs()[1].result == result


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


def test_the_file_is_in_wal_mode_and_survives_its_process(tmp_path: Path) -> None:
    with Store(home=tmp_path) as store:
        run_id = add_run(store)
    file = sqlite3.connect(tmp_path / "runs.sqlite")
    assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()
    with Store(home=tmp_path) as store:
        assert store.run(run_id).status == "queued"


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with Store(home=tmp_path) as writer, Store(home=tmp_path) as reader:
        run_id = add_run(writer)
        with writer.write() as connection:
            add_event(connection, run_id, epoch(1))
            start = time.perf_counter()
            assert reader.events(run_id) == []
            assert time.perf_counter() - start < 1.0
        assert len(reader.events(run_id)) == 1


def test_processes_that_create_the_store_at_once_share_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_at_once(home)
    with Store(home=home) as store:
        assert store.list_runs() == []


def open_at_once(home: Path) -> None:
    """Open the store of this home in four processes at the same moment; check that none fails."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from kdcore.store import Store\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "Store(home=Path(sys.argv[1])).list_runs()"
    )
    root = str(Path(__file__).resolve().parents[3])
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, str(home), root]
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:  # all have done their imports and wait at the same line
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert (process.returncode, out, errors) == (0, "", "")


# --- tags, deletion ---


def end(store: Store, run_id: str, status: str = "finished") -> str:
    with store.write() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(status=status))
    return run_id


def test_tags_are_tidied_and_kept(store: Store) -> None:
    run_id = add_run(store)
    assert store.run(run_id).tags == ()
    kept = store.tag(run_id, ["  class  7b ", "T-8", "CLASS 7B", "пример", "e\u0301te\u0301", "हिन्दी", "実験_2"])
    assert kept == ("class 7b", "T-8", "пример", "\u00e9t\u00e9", "हिन्दी", "実験_2")
    assert store.run(run_id).tags == kept == store.list_runs()[0].tags
    assert store.change_tags(run_id, lambda before: [*before[1:3], "new"]) == ("T-8", "пример", "new")
    assert store.tag(run_id, []) == store.run(run_id).tags == ()


@pytest.mark.parametrize(
    "word", ["", "   ", "-_", "x" * 25, "<b>bold</b>", "a,b", "a\0b", "a\u202eb", "🙂", 'x"', "a/b"]
)
def test_what_is_no_tag_is_one_sentence_and_changes_nothing(store: Store, word: str) -> None:
    run_id = add_run(store)
    store.tag(run_id, ["before"])
    with pytest.raises(ConfigError) as error:
        store.tag(run_id, ["fine", word])
    assert "1 to 24 letters" in str(error.value) and not set("<>\0\u202e") & set(str(error.value))
    assert store.run(run_id).tags == ("before",)


def test_a_run_carries_eight_tags(store: Store) -> None:
    run_id = add_run(store)
    assert len(store.tag(run_id, [*"abcdefgh", "A"])) == 8
    with pytest.raises(ConfigError, match="at most 8 tags, not 9"):
        store.tag(run_id, "abcdefghi")
    with pytest.raises(RunNotFound):
        store.tag(new_id(), ["a"])


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


# --- the file of an older version ---

VERSION_1 = """
CREATE TABLE meta ("key" VARCHAR(40) NOT NULL, value INTEGER NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE runs (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR(40) NOT NULL,
 visitor VARCHAR(80) NOT NULL, kind VARCHAR(16) NOT NULL, status VARCHAR(16) NOT NULL, config TEXT NOT NULL,
 result TEXT, error TEXT, created DOUBLE NOT NULL, started DOUBLE, finished DOUBLE, heartbeat DOUBLE,
 host VARCHAR(255), worker_pid INTEGER, worker_started DOUBLE, attempts INTEGER NOT NULL, setbacks INTEGER NOT NULL,
 cancel_requested BOOLEAN NOT NULL, UNIQUE (id));
CREATE TABLE events (seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run_id VARCHAR(40) NOT NULL,
 type VARCHAR(40) NOT NULL, epoch INTEGER NOT NULL, time DOUBLE NOT NULL, payload TEXT NOT NULL,
 UNIQUE (run_id, type, epoch));
INSERT INTO meta VALUES ('schema_version', 1), ('queue', 0);
INSERT INTO runs (id, visitor, kind, status, config, result, created, attempts, setbacks, cancel_requested)
 VALUES ('abcdefghjkmnpq', 'someone', 'run', 'finished', '{"dataset": "digits"}', '{"run_id": 1}', 5.5, 1, 0, 0);
"""


def version_1(home: Path) -> Path:
    home.mkdir(exist_ok=True)
    file = sqlite3.connect(home / "runs.sqlite")
    file.executescript(VERSION_1)
    file.close()
    return home


def test_a_file_of_version_1_is_brought_up_in_place(tmp_path: Path) -> None:
    with Store(home=version_1(tmp_path)) as store:
        row = store.run("abcdefghjkmnpq")
        assert (row.config, row.result, row.created) == ({"dataset": "digits"}, {"run_id": 1}, 5.5)
        assert (row.tags, row.deleted, row.parent) == ((), None, None)
        assert store.tag(row.id, ["old"]) == ("old",)
        old = "INSERT INTO runs (id, visitor, kind, status, config, created, attempts, setbacks, cancel_requested)"
        with store.write() as connection:  # as a process of version 1 that opened the file before does
            connection.execute(sa.text(f"{old} VALUES ('qpnmkjhgfedcba', 'x', 'run', 'queued', '{{}}', 6, 0, 0, 0)"))
        assert store.run("qpnmkjhgfedcba").tags == ()
    with Store(home=tmp_path) as store:
        assert store.run("abcdefghjkmnpq").tags == ("old",)
    file = sqlite3.connect(tmp_path / "runs.sqlite")
    assert file.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == (SCHEMA_VERSION,)
    file.close()


def test_processes_that_bring_it_up_at_once_do_it_once(tmp_path: Path) -> None:
    open_at_once(version_1(tmp_path / "home"))
    with Store(home=tmp_path / "home") as store:
        assert [row.tags for row in store.list_runs()] == [()]


def test_a_failed_step_up_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = version_1(tmp_path)
    with monkeypatch.context() as patch:
        # The last column exists already, so adding it fails.
        patch.setattr(schema, "_COLUMNS_ADDED", {2: ("tags", "deleted", "id")})
        with pytest.raises(StoreError):
            Store(home=home)
    with Store(home=home) as store:
        assert [row.tags for row in store.list_runs()] == [()]


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
    data[4096:] = b"\xff" * (len(data) - 4096)  # the header stays intact, so that the file still opens as a database
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
            connection.execute("PRAGMA max_page_count=20")  # makes SQLite report a full disk

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
    file = sqlite3.connect(tmp_path / "runs.sqlite")
    file.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (SCHEMA_VERSION + 1,))
    file.commit()
    file.close()
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
