"""What the store makes of results without a figure, and of a run that another process removes while it is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id
from kdcore.store.schema import runs


def add_run(store: Store, result: dict[str, Any]) -> str:
    """A finished run with this result."""
    run_id, config = new_id(), json.dumps(make_run_config("digits").to_json())
    values = {"id": run_id, "visitor": "local", "kind": "run", "status": "finished", "created": 1.0, "config": config}
    with store.write() as connection:
        connection.execute(sa.insert(runs).values(**values, result=json.dumps(result)))
    return run_id


def test_an_interval_without_ends_is_read_as_none(store: Store) -> None:
    """Older versions wrote such intervals for students that diverged."""
    run_id = add_run(
        store, {"arms": {"baseline": {"accuracy": {"mean": None, "ci95": [None, None], "per_seed": [None]}}}}
    )
    rows = [store.run(run_id), *store.list_runs(), *store.list_runs(whole_results=False)]
    for row in rows:
        assert row.result is not None and row.result["arms"]["baseline"]["accuracy"]["ci95"] is None
    assert len(rows) == 3


def test_a_run_that_is_removed_while_the_list_is_read_is_left_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = add_run(store, {"arms": {}}), add_run(store, {"arms": {}})
    read = Store._outcomes

    def remove_first(self: Store, connection: sa.Connection, run_ids: Sequence[str]) -> Any:
        connection.execute(sa.delete(runs).where(runs.c.id == gone))
        return read(self, connection, run_ids)

    monkeypatch.setattr(Store, "_outcomes", remove_first)
    listed = store.list_runs(whole_results=False)
    assert [(row.id, row.result) for row in listed] == [(kept, {"arms": {}})]
