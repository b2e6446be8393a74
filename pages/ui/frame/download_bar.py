"""Progress of a download while the page's script runs: a bar, the rate and the time left."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from pages.ui.kit import formats
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from kdcore.machine.download import FetchProgress

REDRAW_SECONDS = 0.2
RATE_SECONDS = 1.0  # no rate is shown before this time, because it would be too inaccurate


def show_progress(steps: Iterator[FetchProgress], shown: DeltaGenerator, last: str = "") -> None:
    """Run the download `steps` to its end and show its progress on the bar `shown`.

    A rerun of the page stops the download at its next step; the bytes that have arrived are kept, and the next
    download continues from them. Errors of the download are passed on.

    Args:
        steps: the download; iterating over it fetches the data.
        last: the text on the bar once everything has arrived, where the data is still processed afterwards.
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
            shown.progress(share, text=last if whole else fetch_sentence(now, rate))


def stay_on_page_sentence() -> str:
    """Return the sentence that tells the visitor that leaving the page stops the download."""
    return _("Stay on this page: leaving it stops the download. What has arrived is kept, and continued next time.")


def fetch_sentence(now: FetchProgress, rate: float | None) -> str:
    """Return the progress of a download in words; `rate` is in bytes a second, None before it is known."""
    done = _("{file}: {done} of {total}").format(
        file=now.file, done=formats.format_size(now.done_bytes), total=formats.format_size(now.total_bytes)
    )
    if not rate:
        return done
    left = formats.format_duration(max(0, now.total_bytes - now.done_bytes) / rate)
    return f"{done} · {_('{rate} a second, about {left} left').format(rate=formats.format_size(rate), left=left)}"
