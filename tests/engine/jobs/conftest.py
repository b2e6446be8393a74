"""What the tests of the queue share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kdcore import jobs
from kdcore.store import Store
from tests.engine.jobs.short_runs import trains_elsewhere, wait_for


@pytest.fixture
def store(store: Store) -> Iterator[Store]:
    yield store
    for row in store.list_runs():  # so that a failed test leaves no worker behind
        jobs.cancel(store, row.id)
    wait_for(lambda: not any(map(trains_elsewhere, store.list_runs())), 60)
