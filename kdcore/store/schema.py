"""The runs database: how it is opened and upgraded, its tables, and what its errors mean in words."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from kdcore.errors import StoreError
from kdcore.store.results import outcome_of, read_result

SCHEMA_VERSION = 3
BUSY_SECONDS = 20  # how long a connection waits while another one has the file locked

metadata = sa.MetaData()
meta = sa.Table(
    "meta", metadata, sa.Column("key", sa.String(40), primary_key=True), sa.Column("value", sa.Integer, nullable=False)
)
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),  # order of arrival, independent of clocks
    sa.Column("id", sa.String(40), nullable=False, unique=True),
    sa.Column("visitor", sa.String(80), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("started", sa.Double),
    sa.Column("finished", sa.Double),
    sa.Column("heartbeat", sa.Double),
    sa.Column("host", sa.String(255)),
    sa.Column("worker_pid", sa.Integer),
    sa.Column("worker_started", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),  # only the worker of the latest attempt may write
    sa.Column("setbacks", sa.Integer, nullable=False, default=0),  # attempts since an epoch was last finished
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    # Added in version 2. They may be null, so that rows remain valid that version 1 of the software wrote, or still
    # writes in another process.
    sa.Column("tags", sa.Text),  # a JSON list of texts
    sa.Column("deleted", sa.Double),  # when the run was deleted, which hides it until it is restored or purged
    sa.Column("parent", sa.String(40)),  # the id of the run that it repeats with a change
    # Added in version 3, and empty until a run has finished. What a list shows stands apart from the whole result, so
    # that a list of thousands of runs does not read all of their results.
    sa.Column("outcome", sa.Text),  # JSON of `outcome_of` the result
    sqlite_autoincrement=True,
)
events = sa.Table(
    "events",
    metadata,
    # A number is never used again, so a reader that asks for the events after it misses none.
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(40), nullable=False),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),  # 0 for events of no epoch; consecutive for TeacherEpochEnded
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.UniqueConstraint("run_id", "type", "epoch"),
    sqlite_autoincrement=True,
)


# Version of the schema -> columns that it added to `runs`.
_COLUMNS_ADDED = {2: ("tags", "deleted", "parent"), 3: ("outcome",)}


def upgrade(connection: sa.Connection) -> None:
    """Upgrade the tables of an older version to the current one, in place. Tables of a newer version are left alone.

    Call inside `Store.write()`: if two processes upgrade at once, the second one finds the work done.
    """
    of_version = meta.c.key == "schema_version"
    version = connection.execute(sa.select(meta.c.value).where(of_version)).scalar()
    if version is None or not 1 <= version < SCHEMA_VERSION:
        return
    for next_version in range(version + 1, SCHEMA_VERSION + 1):
        for name in _COLUMNS_ADDED[next_version]:
            column_type = runs.c[name].type.compile(dialect=connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {runs.name} ADD COLUMN {name} {column_type}"))
    _fill_outcomes(connection)
    connection.execute(sa.update(meta).where(of_version).values(value=SCHEMA_VERSION))


def _fill_outcomes(connection: sa.Connection) -> None:
    """Write the outcome of every run that finished before there was a column for it."""
    missing = (runs.c.result.is_not(None), runs.c.outcome.is_(None))
    ids = connection.execute(sa.select(runs.c.id).where(*missing)).scalars().all()
    for run_id in ids:  # one at a time, because all results together may not fit in memory
        result = read_result(connection.execute(sa.select(runs.c.result).where(runs.c.id == run_id)).scalar())
        outcome = None if result is None else json.dumps(outcome_of(result))
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(outcome=outcome))


def writer(engine: sa.Engine) -> sa.Engine:
    """Return a variant of the engine, with the same connections, whose transactions take SQLite's write lock when they
    begin."""
    return engine.execution_options(kdcore_write=True)


def open_engine(url: str | sa.URL) -> sa.Engine:
    """Return an engine for the database at `url`. Its SQLite connections use WAL mode, wait for each other, and begin
    a transaction only when SQLAlchemy does.

    Raises:
        sqlalchemy.exc.ArgumentError, ImportError: an address or a driver that cannot be used.
    """
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: DBAPIConnection, record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions: `_on_begin` does
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode")
        if str((cursor.fetchone() or ("",))[0]).lower() != "wal":
            _to_wal(cursor)
    finally:
        cursor.close()


def _to_wal(cursor: Any) -> None:
    """Switch a new SQLite file to WAL mode. While another process has the file locked, this is tried again, because
    SQLite itself does not wait here."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except Exception as error:
            if not message_contains(error, "locked") or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("kdcore_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def message_contains(error: BaseException | None, *words: str) -> bool:
    """Whether the message of the database driver's error contains one of these words."""
    text = str(getattr(error, "orig", None) or error).lower()
    return any(word in text for word in words)


def to_store_error(error: BaseException, file: Path | None) -> StoreError:
    """Return an error that says in one sentence what is wrong with the database and what to do. Raise it `from error`,
    which keeps the driver's own message as its cause.

    Args:
        file: the SQLite file; None for another database.
    """
    where = f"The runs database {file}" if file else "The runs database"
    if message_contains(error, "malformed", "not a database", "file is encrypted"):
        what = "is damaged; move this file away and start again, which begins a new one"
    elif message_contains(error, "no space", "disk is full", "database or disk is full"):
        what = "cannot be written because the disk is full; free some space and try again"
    elif message_contains(error, "locked", "queuepool limit"):
        what = "is busy with other processes and did not answer in time; try again"
    elif message_contains(
        error, "readonly", "read-only", "permission", "unable to open", "not a directory", "file exists"
    ):
        what = "cannot be written; set KDCORE_HOME to a folder that may be written"
    elif file is None:
        what = "does not answer; check KDCORE_DATABASE and that its server runs"
    else:
        what = "cannot be used (the disk reports an error); check the disk, or set KDCORE_HOME to another folder"
    return StoreError(f"{where} {what}.")
