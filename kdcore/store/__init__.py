"""The runs database."""

from kdcore.store.rows import (
    ENDED,
    UNFINISHED,
    RunActive,
    RunDeleted,
    RunRow,
    StoredEvent,
    add_event,
    finite,
    new_id,
    to_run,
    to_text,
)
from kdcore.store.schema import SCHEMA_VERSION
from kdcore.store.store import Store

__all__ = [
    "ENDED",
    "SCHEMA_VERSION",
    "UNFINISHED",
    "RunActive",
    "RunDeleted",
    "RunRow",
    "Store",
    "StoredEvent",
    "add_event",
    "finite",
    "new_id",
    "to_run",
    "to_text",
]
