"""Rows and events for the tests of the store, and what each of its errors must be like."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from kdcore.errors import StoreError
from kdcore.events import EpochEnded, RunStarted
from kdcore.store import Store, add_event, new_id, to_text
from kdcore.store.schema import runs as run_table


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


def end(store: Store, run_id: str, status: str = "finished") -> str:
    with store.write() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(status=status))
    return run_id
