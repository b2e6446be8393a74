"""What many visitors at once wait for each page, and what that takes of memory.

    python -m tests.load --visitors 1 10 40 100 --seconds 60

starts the app, lets so many visitors change pages at once, each with about 4 seconds of thought between pages, and
prints one JSON object: for each number of visitors p50 and p95 in seconds from the request for a page to its last
message, the processor's seconds for one page (`cpu`), the errors, and the resident memory of the server's process
before and after in MiB. Every page was opened once before, so that the caches are warm; `first` says how long that
took. Every other visitor looks at a finished run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.conftest import ROOT, Server, running_app
from tests.e2e.soak import resident
from tests.load.visitor import PAGES
from tests.load.visitors import THOUGHT, change_pages, crowd, figures


def train(home: Path) -> str:
    """Train a small run in a home of its own, so that the pages about runs have something to draw; return its id."""
    command = [sys.executable, "-m", "kdcore", "run", "--dataset", "digits", "--epochs", "3", "--seeds", "2", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "KDCORE_HOME": str(home)}, capture_output=True, check=True
    )
    return str(json.loads(done.stdout)["run_id"])


def measure(server: Server, visitors: int, seconds: float, thought: float, run_id: str) -> dict[str, Any]:
    """Let so many visitors change pages at once, and return what they waited and the memory before and after."""
    before, worked = resident(server), processor_seconds(server)
    views = asyncio.run(crowd(server.url, visitors, seconds, thought, ({}, {"run": run_id})))
    worked = processor_seconds(server) - worked
    memory = {"before": round(before), "after": round(resident(server))}
    return {"visitors": visitors, **figures(views), "cpu": round(worked / len(views), 4), "mib": memory}


def processor_seconds(server: Server) -> float:
    """Return how long the server's process has computed, which other work on the machine hardly changes."""
    spent = psutil.Process(server.pid).cpu_times()
    return spent.user + spent.system


def main() -> None:
    parser = argparse.ArgumentParser(description="What many visitors at once wait for each page.")
    parser.add_argument("--visitors", type=int, nargs="*", default=[1, 10, 40, 100])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each number of visitors is measured")
    parser.add_argument("--thought", type=float, default=THOUGHT, help="mean seconds between two pages of a visitor")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_id = train(Path(folder) / "home")
        with running_app(Path(folder)) as server:
            first = asyncio.run(change_pages(server.url, 2 * len(PAGES)))
            asyncio.run(change_pages(server.url, len(PAGES), query={"run": run_id}))
            answer: dict[str, Any] = {"first": {view.page: round(view.seconds, 2) for view in first[: len(PAGES)]}}
            answer["measured"] = []
            for visitors in asked.visitors:
                answer["measured"].append(measure(server, visitors, asked.seconds, asked.thought, run_id))
                print(answer["measured"][-1], file=sys.stderr, flush=True)
            answer["tracebacks"] = server.tracebacks()
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
