"""The runs database, which stores every run and every event of a run as a row.

It is a SQLite file in WAL mode under `paths.home()`, or the database at a given URL. Every process opens the store for
itself. Transactions are short, and a writing one takes the write lock when it begins, so that what it has read is still
true when it writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from kdcore.errors import StoreError
from kdcore.events import event_from_json
from kdcore.machine import paths
from kdcore.store.results import outcome_of, read_result
from kdcore.store.rows import (
    RunActive,
    RunRow,
    StoredEvent,
    is_id,
    locked_row,
    not_found,
    to_run,
    to_text,
    unless_deleted,
)
from kdcore.store.schema import (
    SCHEMA_VERSION,
    events,
    message_contains,
    meta,
    metadata,
    open_engine,
    runs,
    to_store_error,
    upgrade,
    writer,
)
from kdcore.store.tags import clean_tags


class Store:
    """Access to the runs database; every process has its own.

    Args:
        url: a database URL of SQLAlchemy; by default the one in the environment variable `KDCORE_DATABASE`, or else the
            SQLite file `runs.sqlite` under `home`.
        home: folder that holds the runs' folders and the SQLite file; `paths.home()` by default.

    Raises:
        StoreError: the database cannot be opened, is damaged, or is of a newer version.
    """

    def __init__(self, url: str | None = None, home: Path | None = None) -> None:
        self.home = home or paths.home()
        self.url = url or os.environ.get("KDCORE_DATABASE", "").strip() or None
        self._file = None if self.url else self.home / "runs.sqlite"
        try:
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            self._engine = open_engine(self.url or sa.URL.create("sqlite", database=str(self._file)))
        except OSError as error:
            raise to_store_error(error, self._file) from error
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StoreError(
                "KDCORE_DATABASE is not a database address that can be used here; unset it for SQLite, or give one "
                "such as postgresql+psycopg://user@host/name and install its driver."
            ) from error
        self._writer = writer(self._engine)
        # Engine.dispose would begin a new pool, and a connection that is in use would stay open in the old one.
        self._pool = self._engine.pool
        weakref.finalize(self, self._pool.dispose)  # for a store that nobody closes, and at the end of the process
        try:
            self._prepare()
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections that are not in use; the store opens new ones when it is used again.

        A connection that another thread uses is closed by the next call. The last call is made for the store: when
        nobody refers to it any more, or when the process ends.
        """
        self._pool.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Return a context with a transaction that only reads, and sees the store as it is at one moment.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._transaction(self._engine) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Return a context with a transaction that writes all of its changes or none. Other writers wait for its end.

        Raises:
            StoreError: the store cannot be written.
        """
        with self._transaction(self._writer) as connection:
            # SQLite has locked the file by now; on other databases, writing this row locks out other writers.
            connection.execute(sa.update(meta).where(meta.c.key == "queue").values(value=meta.c.value))
            yield connection

    def run(self, run_id: str, deleted: bool = False) -> RunRow:
        """Return the run with this id.

        Args:
            deleted: whether to return a deleted run too.

        Raises:
            RunNotFound: no run has this id.
            RunDeleted: the run was deleted and can be restored, and `deleted` is False.
        """
        if is_id(run_id):
            with self.read() as connection:
                row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
            if row is not None:
                return unless_deleted(to_run(row), deleted)
        raise not_found(run_id)

    def list_runs(
        self, visitor: str | None = None, limit: int | None = 200, deleted: bool = False, whole_results: bool = True
    ) -> list[RunRow]:
        """Return runs, the newest first.

        Args:
            visitor: return only the runs of this visitor; None for the runs of all visitors.
            limit: the largest number of runs to return; None for no limit.
            deleted: whether to return the deleted runs instead of the others.
            whole_results: whether to read the results, which are most of a store's size. Without them, each finished
                run has the part of its result that a list shows, which `outcome_of` returns.
        """
        hidden = runs.c.deleted.is_not(None) if deleted else runs.c.deleted.is_(None)
        columns = [column for column in runs.c if whole_results or column is not runs.c.result]
        query = sa.select(*columns).where(runs.c.kind == "run", hidden).order_by(runs.c.number.desc()).limit(limit)
        if visitor is not None:
            query = query.where(runs.c.visitor == visitor)
        with self.read() as connection:
            rows = connection.execute(query).all()
            if whole_results:
                return [to_run(row) for row in rows]
            unknown = [row.id for row in rows if row.status == "finished" and row.outcome is None]
            outcomes = self._outcomes(connection, unknown)
        # One of these that is gone by now was removed by another process since its row was read.
        gone = set(unknown) - set(outcomes)
        return [to_run(row, outcomes.get(row.id)) for row in rows if row.id not in gone]

    def _outcomes(self, connection: sa.Connection, run_ids: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        """Return the outcomes of these finished runs, by id, from their results; none for a run that is gone.

        Only runs that a process of an older version finished lack the column `outcome`.
        """
        outcomes = {}
        for start in range(0, len(run_ids), 100):
            wanted = runs.c.id.in_(run_ids[start : start + 100])
            for run_id, text in connection.execute(sa.select(runs.c.id, runs.c.result).where(wanted)):
                outcomes[run_id] = outcome_of(result) if (result := read_result(text)) is not None else None
        return outcomes

    def tag(self, run_id: str, tags: Iterable[str]) -> tuple[str, ...]:
        """Replace the tags of a run; return them in the form in which they are stored.

        Raises:
            ConfigError: a text is not a legal tag, or there are too many.
            RunNotFound, RunDeleted: no run has this id, or it was deleted.
        """
        return self.change_tags(run_id, lambda before: tags)

    def change_tags(self, run_id: str, change: Callable[[tuple[str, ...]], Iterable[str]]) -> tuple[str, ...]:
        """Replace the tags of a run by what `change` returns for them, in one transaction, so that nobody else can
        change them in between. Return the new tags as `tag` does.

        Raises:
            ConfigError, RunNotFound, RunDeleted: as `tag`.
        """
        with self.write() as connection:
            row = locked_row(connection, run_id)
            tags = clean_tags(change(unless_deleted(row).tags))
            connection.execute(sa.update(runs).where(runs.c.id == row.id).values(tags=to_text(tags)))
        return tags

    def delete(self, run_id: str) -> None:
        """Hide a run everywhere; it can be restored until it is purged. A run that is deleted already stays so.

        Raises:
            RunActive: the run still waits or trains.
            RunNotFound: no run has this id.
        """
        with self.write() as connection:
            row = locked_row(connection, run_id)
            if not row.done:
                doing = "waits in the queue" if row.status == "queued" else "is training"
                raise RunActive(f"Run {row.id} {doing}; stop it first, then it can be deleted.")
            if row.deleted is None:
                connection.execute(sa.update(runs).where(runs.c.id == row.id).values(deleted=time.time()))

    def undelete(self, run_id: str) -> None:
        """Restore a deleted run; a run that is not deleted stays as it is.

        Raises:
            RunNotFound: no run has this id; it may have been purged.
        """
        with self.write() as connection:
            row = locked_row(connection, run_id)
            connection.execute(sa.update(runs).where(runs.c.id == row.id).values(deleted=None))

    def purge(self, run_id: str) -> bool:
        """Remove the row and the events of a deleted run for good; the caller has to remove its folder.

        Returns False if there is no deleted run with this id.
        """
        with self.write() as connection:
            remove = sa.delete(runs).where(runs.c.id == run_id, runs.c.deleted.is_not(None))
            if connection.execute(remove).rowcount != 1:
                return False
            connection.execute(sa.delete(events).where(events.c.run_id == run_id))
        return True

    def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
        """Return the events of a run whose `seq` is above `after`, in order."""
        query = sa.select(events).where(events.c.run_id == run_id, events.c.seq > after).order_by(events.c.seq)
        with self.read() as connection:
            rows = connection.execute(query).all()
        return [StoredEvent(row.seq, row.time, event_from_json(json.loads(row.payload))) for row in rows]

    @contextlib.contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        try:
            with engine.begin() as connection:
                yield connection
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise to_store_error(error, self._file) from error

    def _prepare(self) -> None:
        """Create the tables if there are none, upgrade those of an older version, and refuse those of a newer one."""
        for attempt in range(3):  # if two processes create the tables at once, one fails and tries again
            try:
                with self._transaction(self._engine) as connection:
                    has_tables = sa.inspect(connection).has_table(meta.name)
                if not has_tables:
                    with self._transaction(self._writer) as connection:
                        metadata.create_all(connection)
                        rows = [{"key": "schema_version", "value": SCHEMA_VERSION}, {"key": "queue", "value": 0}]
                        connection.execute(sa.insert(meta), rows)
                break
            except StoreError as error:
                if attempt == 2 or not message_contains(error.__cause__, "already exists", "unique"):
                    raise
        version = self._version()
        if version is not None and 1 <= version < SCHEMA_VERSION:
            with self.write() as connection:
                upgrade(connection)
            version = self._version()
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"The runs database is of version {version} and this software reads version {SCHEMA_VERSION}; "
                "update the software, or set KDCORE_HOME to another folder to begin a new one."
            )

    def _version(self) -> int | None:
        with self._transaction(self._engine) as connection:
            return connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
