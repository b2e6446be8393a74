"""A download that runs within the page's script: its state in the session, and its progress on a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import streamlit as st

from kdcore.errors import KdError
from pages.ui.kit import formats
from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from kdcore.machine.download import FetchProgress

REDRAW_SECONDS = 0.2
RATE_SECONDS = 1.0  # no rate is shown before this time, because it would be too inaccurate


@dataclass(frozen=True)
class Downloads:
    """Downloads of one kind, such as teachers; a session runs at most one of a kind at a time.

    Attributes:
        kind: "teacher" or "dataset"; the first part of the session's slots and of the Stop button's key.
    """

    kind: str

    @property
    def running(self) -> object:
        """The name of what is being downloaded; None if nothing is."""
        return state.kept(f"{self.kind}_fetched")

    @property
    def problem(self) -> tuple[str, str] | None:
        """The name and the error message of the last action that failed; None if there is none."""
        return cast("tuple[str, str] | None", state.kept(f"{self.kind}_problem"))

    def start(self, name: str) -> None:
        """Start a download at the next drawing of the page; the callback of a button."""
        state.keep(f"{self.kind}_problem", None)
        state.keep(f"{self.kind}_fetched", name)

    def stop(self) -> None:
        """Count nothing as running; a download ends as soon as its page is drawn again."""
        state.keep(f"{self.kind}_fetched", None)

    def report(self, name: str, error: KdError) -> None:
        """Keep an error for the page to show it."""
        state.keep(f"{self.kind}_problem", (name, str(error)))

    def stop_button(self, width: Literal["content", "stretch"] = "content") -> None:
        """Draw the button that stops the download."""
        st.button(
            _("Stop"), key=f"{self.kind}_stop", icon=":material/stop_circle:", on_click=self.stop, width=width,
        )  # fmt: skip

    def run(
        self, name: str, fetch: Callable[[str], Iterator[FetchProgress]], bar: DeltaGenerator, final_text: str = ""
    ) -> bool:
        """Download to the end, and show the progress on `bar` (see `show_progress`).

        A rerun of the page interrupts this: the download then continues at the next drawing, unless `stop` was called.

        Returns:
            Whether everything arrived; otherwise `problem` says why not.
        """
        try:
            show_progress(fetch(name), bar, final_text)
            arrived = True
        except KdError as error:
            self.report(name, error)
            arrived = False
        self.stop()
        return arrived


def show_progress(steps: Iterator[FetchProgress], bar: DeltaGenerator, final_text: str = "") -> None:
    """Run the download `steps` to its end and show its progress on a bar.

    A rerun of the page stops the download at its next step; the bytes that have arrived are kept, and the next
    download continues from them. Errors of the download are passed on.

    Args:
        steps: the download; iterating over it fetches the data.
        final_text: the text on the bar once everything has arrived, where the data is still processed afterwards.
    """
    drawn_at, started_at, first_bytes = 0.0, 0.0, 0  # times in seconds, of `time.monotonic`
    with closing(cast("Generator[FetchProgress]", steps)):
        for progress in steps:
            now = time.monotonic()
            if not started_at:
                started_at, first_bytes = now, progress.done_bytes
            is_final = bool(final_text) and progress.done_bytes >= progress.total_bytes
            if now - drawn_at < REDRAW_SECONDS and not is_final:
                continue
            drawn_at, elapsed = now, now - started_at
            rate = (progress.done_bytes - first_bytes) / elapsed if elapsed > RATE_SECONDS else None
            share = min(1.0, progress.done_bytes / max(1, progress.total_bytes))
            bar.progress(share, text=final_text if is_final else fetch_sentence(progress, rate))


def stay_on_page_sentence() -> str:
    """Return the sentence that tells the visitor that leaving the page stops the download."""
    return _("Stay on this page: leaving it stops the download. What has arrived is kept, and continued next time.")


def fetch_sentence(progress: FetchProgress, rate: float | None) -> str:
    """Return the progress of a download in words; `rate` is in bytes a second, None before it is known."""
    done = _("{file}: {done} of {total}").format(
        file=progress.file,
        done=formats.format_size(progress.done_bytes),
        total=formats.format_size(progress.total_bytes),
    )
    if not rate:
        return done
    left = formats.format_duration(max(0, progress.total_bytes - progress.done_bytes) / rate)
    return f"{done} · {_('{rate} a second, about {left} left').format(rate=formats.format_size(rate), left=left)}"
