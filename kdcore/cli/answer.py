"""The answer that every command returns, and the progress line that is shown while it works."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdcore.errors import KdError
from kdcore.store import finite

if TYPE_CHECKING:
    from kdcore.machine.download import FetchProgress


@dataclass(frozen=True)
class Answer:
    """The answer of a command: `data` for programs (printed with `--json`) and `text` for people."""

    data: dict[str, Any]
    text: str

    def to_json(self) -> str:
        return json.dumps(finite(self.data), allow_nan=False)


class Interrupted(KdError):
    """A long command was stopped with Ctrl-C. The message says what is kept and how to continue."""


def file_error_reason(error: OSError | ValueError) -> str:
    """Return why a file given by name could not be opened, in words."""
    return getattr(error, "strerror", None) or "not a file name"


class ProgressLine:
    """A progress line on standard error; each call replaces the line shown before.

    Nothing is written if standard error is not a terminal.
    """

    def __init__(self) -> None:
        self.shown = ""
        self.is_terminal = sys.stderr.isatty()

    def __call__(self, line: str) -> None:
        if self.is_terminal and line != self.shown:
            sys.stderr.write(f"\r{line.ljust(len(self.shown))}")
            sys.stderr.flush()
            self.shown = line


@contextlib.contextmanager
def progress() -> Iterator[ProgressLine]:
    """Yield a progress line for the duration of a block, and erase it at the end."""
    line = ProgressLine()
    try:
        yield line
    finally:
        line("")
        if line.is_terminal:
            sys.stderr.write("\r")
            sys.stderr.flush()


def follow_download(steps: Iterable[FetchProgress]) -> None:
    """Run a download to its end and show its progress and the estimated seconds left."""
    started, bytes_before = time.monotonic(), None
    with progress() as line:
        for step in steps:
            if bytes_before is None:
                bytes_before = step.done_bytes  # of an earlier download that this one continues
            rate = (step.done_bytes - bytes_before) / max(time.monotonic() - started, 1e-3)
            left = f", {(step.total_bytes - step.done_bytes) / rate:.0f} s left" if rate > 0 else ""
            line(f"{step.file}: {step.done_bytes / 1e6:.0f} of {step.total_bytes / 1e6:.0f} MB{left}")
