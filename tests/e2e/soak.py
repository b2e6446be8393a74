"""How much memory the app's process takes with many sessions open, and whether it grows while pages change.

    python -m tests.e2e.soak --sessions 1 5 20 --changes 200

needs Chromium; prints one JSON object. Sizes are MiB of resident memory of the server's process (psutil), without its
training processes and without the browser.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

from tests.conftest import QUIET
from tests.e2e.conftest import SLOW, Server, idle, navigation_link, running_app
from tests.picture_files import encode

# What a visitor goes through; the uploads differ from round to round, as those of a class do.
ROUND = ("home", "soft_labels", "distil", "compare", "runs", "soft_labels")


def resident(server: Server) -> float:
    """MiB of the server's process, once it has come to rest: the least of one second."""
    process = psutil.Process(server.pid)
    least = process.memory_info().rss
    for _ in range(10):
        time.sleep(0.1)
        least = min(least, process.memory_info().rss)
    return least / 2**20


def upload(page: Page, seed: int) -> None:
    """Choose a picture of 3 megapixels that no one chose before."""
    small = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((2000, 1500))
    name = f"picture {seed}.jpg"
    page.locator("input[type=file]").first.set_input_files(
        [{"name": name, "mimeType": "image/jpeg", "buffer": encode(picture, "JPEG")}]
    )
    page.wait_for_selector(f'[data-testid=kd-picture][aria-label="{name}"]')
    idle(page)


def open_session(browser: Browser, server: Server, number: int) -> Page:
    """A visitor of their own on Soft labels: every other one with a picture, the rest with a creature."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(SLOW)
    page.goto(f"{server.url}/soft_labels?source={'upload' if number % 2 == 0 else 'creature'}")
    idle(page)
    if number % 2 == 0:
        upload(page, number)
    page.get_by_test_id("kd-row").first.wait_for()
    idle(page)
    return page


def sessions(browser: Browser, server: Server, counts: list[int]) -> Iterator[dict[str, float]]:
    """Memory with so many sessions open at once; they stay open until the end."""
    opened: list[Page] = []
    yield {"sessions": 0, "mib": resident(server)}
    for count in counts:
        while len(opened) < count:
            opened.append(open_session(browser, server, len(opened)))
        yield {"sessions": count, "mib": resident(server)}
    for page in opened:
        page.context.close()


def change_page(page: Page, key: str) -> None:
    """Follow the link to a page and wait until it stands; click again where a redraw swallowed the click."""
    stands, link = page.locator(f".st-key-kd_here_{key}"), navigation_link(page, key)
    for _ in range(3):
        link.or_(stands).first.click()
        with contextlib.suppress(TimeoutError):
            stands.wait_for(timeout=SLOW / 3)
            break
    stands.wait_for()
    idle(page)


def soak(browser: Browser, server: Server, changes: int, every: int = 20) -> Iterator[dict[str, float]]:
    """Memory after every so many page changes of one visitor, who uploads a new picture each round."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(SLOW)
    page.goto(f"{server.url}/runs?source=upload")
    idle(page)
    for done in range(changes + 1):
        if done % every == 0:
            yield {"changes": done, "mib": resident(server)}
        key = ROUND[done % len(ROUND)]
        change_page(page, key)
        if key == "soft_labels" and done % len(ROUND) == 1:
            upload(page, 1000 + done)
    page.context.close()


def finished_run(browser: Browser, server: Server) -> None:
    """Train a small run, so that the pages about runs have something to draw."""
    page = browser.new_context().new_page()
    page.set_default_timeout(SLOW)
    page.goto(f"{server.url}/distil?dataset=digits&epochs=3&seeds=2")
    page.locator(".st-key-kd-start button").click()
    page.locator(".st-key-kd-outcome").first.wait_for(timeout=2 * SLOW)
    page.context.close()


def _said(figures: dict[str, float]) -> dict[str, float]:
    print(figures, file=sys.stderr, flush=True)
    return figures


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Memory of the app's process.")
    parser.add_argument("--sessions", type=int, nargs="*", default=[1, 5, 20])
    parser.add_argument("--changes", type=int, default=200)
    told = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        with running_app(Path(folder)) as server:
            figures = {"sessions": [_said(each) for each in sessions(browser, server, told.sessions)]}
        with running_app(Path(folder)) as server:
            finished_run(browser, server)
            figures["soak"] = [_said(each) for each in soak(browser, server, told.changes)]
        browser.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
