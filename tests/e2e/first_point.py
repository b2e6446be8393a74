"""How long the first point of a run takes after Start, in a real browser, with the app's spare worker waiting.

    python -m tests.e2e.first_point --starts 10

needs Chromium; prints one JSON object. Times are seconds from the click until the browser has drawn the first point of
the curves; memory is MiB of the app's process and of its spare worker before the first start (psutil): resident, and
the part of it that the process shares with no other.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Page, sync_playwright

from kdcore.jobs.spare import Offer, offers
from kdcore.store import Store
from tests.conftest import QUIET
from tests.e2e.conftest import SLOW, Server, idle, running_app

REST = 2.0  # seconds between the end of a run, or of preparing a spare worker, and the next start
START = ".st-key-kd-start button"
# Notes the time of the click and of the first frame with a marker of a curve that was not there at the click.
WATCH = """() => {
    const chart = (root) => root.querySelector(".kd-curves") ??
        [...root.querySelectorAll("*")].map((node) => node.shadowRoot && chart(node.shadowRoot)).find(Boolean);
    const marks = () => chart(document)?.querySelectorAll("path > title").length ?? 0;
    window.kdSeconds = null;
    document.addEventListener("click", () => {
        const began = performance.now();
        let empty = marks() === 0;
        const look = () => {
            if (marks() === 0) empty = true;
            else if (empty) return void (window.kdSeconds = (performance.now() - began) / 1000);
            requestAnimationFrame(look);
        };
        look();
    }, { capture: true, once: true });
}"""


def ready_spare(home: Path, seconds: float = 120) -> Offer:
    """Wait for a spare worker that has prepared itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for offer in offers(home):
            if offer.is_alive() and offer.is_ready:
                return offer
        time.sleep(0.05)
    raise TimeoutError("no spare worker got ready")


def mib(pid: int) -> dict[str, float]:
    memory = psutil.Process(pid).memory_full_info()
    return {"resident": round(memory.rss / 2**20), "own": round(memory.uss / 2**20)}


def first_point(page: Page, server: Server) -> dict[str, float | bool]:
    """Start a run once a spare worker waits, and time its first point; returns when the run is over."""
    spare = ready_spare(server.home)
    time.sleep(REST)
    page.evaluate(WATCH)
    page.locator(START).click()
    page.wait_for_function("window.kdSeconds !== null", timeout=2 * SLOW)
    seconds = page.evaluate("window.kdSeconds")
    with Store(home=server.home) as store:
        row = store.list_runs()[0]
        events = {one.event.type: one.time for one in reversed(store.events(row.id))}
    page.locator(f"{START}:not([disabled])").wait_for(timeout=4 * SLOW)
    return {
        "seconds": round(seconds, 3),
        "until_training": round(events["TeacherCached"] - row.created, 3),
        "until_first_epoch": round(events["EpochEnded"] - row.created, 3),
        "by_spare": row.worker_pid == spare.pid,
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Seconds from Start to the first point of a run.")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--query", default="", help="of the Distil page, such as dataset=digits&seeds=3")
    told = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        with running_app(Path(folder)) as server:
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            page.set_default_timeout(SLOW)
            page.goto(f"{server.url}/distil?{told.query}")
            idle(page)
            spare = ready_spare(server.home)
            memory = {"app": mib(server.pid), "spare": mib(spare.pid)}
            starts = []
            for _ in range(told.starts):
                starts.append(first_point(page, server))
                print(starts[-1], file=sys.stderr, flush=True)
        browser.close()
    seconds = sorted(start["seconds"] for start in starts)
    p95 = seconds[math.ceil(0.95 * len(seconds)) - 1]
    print(json.dumps({"p50": median(seconds), "p95": p95, "mib": memory, "starts": starts}))


if __name__ == "__main__":
    main(sys.argv[1:])
