"""`kdcore datasets`."""

from __future__ import annotations

import pytest

from tests.engine.cli.commands import Said


def test_datasets(said: Said) -> None:
    data = said.data("datasets")
    ready = {row["name"]: row["ready"] for row in data["datasets"]}
    assert ready["creatures"] and ready["digits"]
    text = said.text("datasets")
    assert all(name in text for name in ready)
    assert said.data("datasets", "get", "digits")["ready"] is True


def test_a_dataset_that_is_not_here(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDCORE_DATA", raising=False)
    assert "animals64" in said.refusal("datasets", "get", "animals64")
    assert "put train.parquet" in said.text("datasets")
