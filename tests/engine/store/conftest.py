"""What the tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kdcore.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(home=tmp_path) as store:
        yield store
