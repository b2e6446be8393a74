"""What a command gives back, and the one line that says how far it is meanwhile."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdcore.store import finite

if TYPE_CHECKING:
    from kdcore.download import FetchProgress

VISITOR = "local"  # the person at the machine


@dataclass(frozen=True)
class Answer:
    """What a command found: `data` for programs, `text` for people."""

    data: dict[str, Any]
    text: str

    def to_json(self) -> str:
        return json.dumps(finite(self.data), allow_nan=False)


class Line:
    """One line on standard error that is written over; nothing at all where nobody watches."""

    def __init__(self) -> None:
        self.shown = ""
        self.watched = sys.stderr.isatty()

    def __call__(self, line: str) -> None:
        if self.watched and line != self.shown:
            sys.stderr.write(f"\r{line.ljust(len(self.shown))}")
            sys.stderr.flush()
            self.shown = line


@contextlib.contextmanager
def progress() -> Iterator[Line]:
    """A line for as long as something takes, gone when it is over."""
    line = Line()
    try:
        yield line
    finally:
        line("")
        if line.watched:
            sys.stderr.write("\r")
            sys.stderr.flush()


def follow_download(steps: Iterable[FetchProgress]) -> None:
    """Take every step of a download, with its rate and the time left on that line."""
    began, first = time.monotonic(), None
    with progress() as line:
        for step in steps:
            first = step.done_bytes if first is None else first
            rate = (step.done_bytes - first) / max(time.monotonic() - began, 1e-3)
            left = f", {(step.total_bytes - step.done_bytes) / rate:.0f} s left" if rate > 0 else ""
            line(f"{step.file}: {step.done_bytes / 1e6:.0f} of {step.total_bytes / 1e6:.0f} MB{left}")
