"""What the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kdcore.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's own, in a home of its own."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    with Store() as store:
        yield store
