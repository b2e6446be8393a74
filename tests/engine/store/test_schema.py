"""The file of the store: shared by processes, brought up from an older version, and each fault in one sentence."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from kdcore.errors import StoreError
from kdcore.store import SCHEMA_VERSION, Store, add_event, schema
from kdcore.store.schema import events as event_table
from kdcore.store.schema import metadata
from kdcore.store.schema import runs as run_table
from tests.engine.store.stored_runs import add_run, epoch, sentence, tell


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


def test_runs_that_finished_before_lists_had_outcomes_get_them(tmp_path: Path) -> None:
    accuracy = {"mean": 0.5, "ci95": None, "per_seed": [0.5]}
    result = {"seconds": 2.5, "arms": {"baseline": {"accuracy": accuracy, "confusion": [[1, 2], [3, 4]]}}}
    version_1(tmp_path)
    file = sqlite3.connect(tmp_path / "runs.sqlite")
    file.execute("UPDATE runs SET result = ?", (json.dumps(result),))
    file.commit()
    file.close()
    Store(home=tmp_path).close()
    file = sqlite3.connect(tmp_path / "runs.sqlite")
    ((outcome,),) = file.execute("SELECT outcome FROM runs").fetchall()
    file.close()
    assert json.loads(outcome) == {"seconds": 2.5, "arms": {"baseline": {"accuracy": accuracy}}}


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
