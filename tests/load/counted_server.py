"""The app's server with one addition for tests: it prints when a session of Streamlit begins, and when it is freed.

    python -m tests.load.counted_server run app.py

Streamlit's own counters know which sessions are connected, but not whether the memory of an ended one was freed. The
app collects its garbage more often here, so that a test need not wait for it.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any

from streamlit.runtime.app_session import AppSession
from streamlit.web import cli

from pages.ui.frame import collector

PERIOD = 2.0  # seconds between two full collections
BEGAN, FREED = "session began", "session freed"


def living(printed: str) -> int:
    """Return how many sessions of a server are in its memory, from all that it printed."""
    lines = printed.splitlines()
    return lines.count(BEGAN) - lines.count(FREED)


def _print(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # unbuffered, because the collector may interrupt a print


def main() -> None:
    """Count the sessions, and start Streamlit with this command's arguments."""
    begin = AppSession.__init__

    def counted(session: AppSession, *arguments: Any, **named: Any) -> None:
        begin(session, *arguments, **named)
        _print(BEGAN)
        weakref.finalize(session, _print, FREED).atexit = False

    AppSession.__init__ = counted  # type: ignore[method-assign]
    collector.PERIOD = PERIOD
    cli.main(sys.argv[1:], prog_name="streamlit")


if __name__ == "__main__":
    main()
