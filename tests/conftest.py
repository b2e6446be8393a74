"""What every test shares: a home of its own, and what the machine must have for the real ones."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kdcore.machine.threads import default_to_one_thread

if TYPE_CHECKING:
    from playwright.sync_api import Browser

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a test picture; a page still needs leave to use it
]
default_to_one_thread()  # as the app does, before anything here imports PyTorch
PACKS = ("MNIST", "cifar10", "animals64", "photos")


def unavailable(reason: str) -> None:
    """Leave a test out with a reason that says what to install; on CI that is a failure."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI must not leave this out: {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def main_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the main program back after each test.

    An app under test takes its place, and every process that is spawned later would start from the app.
    """
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test touches the data directory of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDCORE_HOME", str(home))
        patch.setenv("KDCORE_SPARE", "0")  # a spare worker for every app would take longer than most tests
        yield home


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real pictures."""
    named = os.environ.get("KDCORE_DATA", "")
    folder = Path(named)
    missing = [pack for pack in PACKS if not (folder / pack).is_dir()]
    if not named or missing:
        unavailable(f"needs real pictures: set KDCORE_DATA to a folder that holds {', '.join(missing or PACKS)}")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that Playwright can drive."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        unavailable("needs a browser: install Debian's chromium, or Google Chrome")
    return str(path)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """The one browser of a test run: Playwright refuses a second loop in the same process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield started
        started.close()
