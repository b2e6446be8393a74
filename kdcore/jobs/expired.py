"""Removing temporary datasets, with the teachers that learned from them, once their time is over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kdcore.errors import KdError
from kdcore.store import UNFINISHED, Store
from kdcore.store.schema import runs


def remove_expired_datasets(store: Store, now: float) -> int:
    """Remove the temporary datasets whose time is over, unless a run that waits or trains needs one; return how many.

    Args:
        now: seconds since 1970.
    """
    expired = list(_expired(store.home / "datasets" / "own", now))
    if not expired:
        return 0
    from kdcore.datasets import remove_dataset  # loads torch, which takes seconds

    removed = 0
    for name in expired:
        with store.write() as connection, contextlib.suppress(KdError):  # so that no run on it is submitted meanwhile
            query = sa.select(runs.c.config).where(runs.c.status.in_(UNFINISHED))
            if not any(_uses(json.loads(config), name) for config in connection.execute(query).scalars()):
                remove_dataset(name)
                removed += 1
    return removed


def _uses(config: Mapping[str, Any], dataset: str) -> bool:
    """Whether the run with this configuration, as JSON, needs the dataset."""
    return dataset in (config.get("dataset"), config.get("extra_pictures"))


def _expired(folder: Path, now: float) -> Iterator[str]:
    """Yield the name of each dataset whose sheet says that its time is over; sheets that cannot be read are skipped."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
                expires = json.loads(path.read_text(encoding="utf-8")).get("expires")
                if expires is not None and expires < now:
                    yield path.stem
