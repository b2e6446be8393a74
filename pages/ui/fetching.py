"""Following a download while the page's script runs: a bar, the rate, and about how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from pages.ui import dataset_views
from pages.ui.i18n import _

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from kdcore.download import FetchProgress

REDRAW_SECONDS = 0.2
RATE_SECONDS = 1.0  # before a rate is believed


def follow(steps: Iterator[FetchProgress], shown: DeltaGenerator, last: str = "") -> None:
    """Draw every step on the bar `shown`; raises what the download raises.

    Any rerun ends it at the next step: what arrived is kept, and continued by the next download.

    Args:
        last: what the bar says once everything has arrived, where something is still done with it.
    """
    drawn, began, first = 0.0, 0.0, 0
    with closing(cast("Generator[FetchProgress]", steps)):
        for now in steps:
            moment = time.monotonic()
            if not began:
                began, first = moment, now.done_bytes
            whole = bool(last) and now.done_bytes >= now.total_bytes
            if moment - drawn < REDRAW_SECONDS and not whole:
                continue
            drawn, passed = moment, moment - began
            rate = (now.done_bytes - first) / passed if passed > RATE_SECONDS else None
            share = min(1.0, now.done_bytes / max(1, now.total_bytes))
            shown.progress(share, text=last if whole else dataset_views.fetch_sentence(now, rate))


def stay_sentence() -> str:
    """What ends a download."""
    return _("Stay on this page: leaving it stops the download. What has arrived is kept, and continued next time.")
