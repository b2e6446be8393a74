"""A real server and a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from pages.ui.frame.shell import pages

ROOT = Path(__file__).parents[2]
# What Streamlit and Starlette print together, rarely, where a tab is closed while the server sends to it.
_CLOSED_TAB = re.compile(
    r"Exception in ASGI application\n(?:(?!Exception in ASGI).*\n)*?starlette\.websockets\.WebSocketDisconnected: "
    r'Cannot call "send" once a close message has been sent\.'
)
SLOW = 60_000  # milliseconds; a shared machine with two cores may be busy


def idle(page: Page) -> None:
    """Wait until Streamlit has drawn everything that it was asked for."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


@dataclass(frozen=True)
class Server:
    """A running app.

    Attributes:
        url: where it listens.
        log: everything that it printed.
        home: its KDCORE_HOME.
        pid: its process.
    """

    url: str
    log: Path
    home: Path
    pid: int

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def tracebacks(self) -> int:
        """How many tracebacks it printed, besides those of a tab that was closed, at which nothing is lost."""
        return _CLOSED_TAB.sub("", self.printed()).count("Traceback")


def navigation_link(page: Page, key: str) -> Locator:
    """The link of the navigation to another page of the app."""
    title = next(one.title for one in pages() if one.key == key)
    return page.locator(".st-key-kd_nav").get_by_role("link", name=title, exact=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_app(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    module: str = "streamlit",
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """The app in a process of its own, started by `module`, with its log and its home in `folder`."""
    port, log, home = free_port(), folder / "log.txt", folder / "home"
    environment = {**(os.environ if environment is None else environment), "KDCORE_HOME": str(home)}
    command = [sys.executable, "-m", module, "run", "app.py", "--server.port", str(port), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while not answers(f"{url}/_stcore/health"):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield Server(url, log, home, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_app(tmp_path_factory.mktemp("server")) as running:
        yield running


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    expect.set_options(timeout=SLOW)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SLOW)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Iterator[Page]:
    """A page that fails its test when it asks another host for anything, when a script breaks, or when the server
    prints a traceback."""
    with watched(context.new_page(), server) as page:
        yield page


@contextlib.contextmanager
def watched(page: Page, server: Server) -> Iterator[Page]:
    """Fails at the end when the page asked another host, a script broke, or the server printed a traceback."""
    elsewhere: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if is_elsewhere(request.url) else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    assert not elsewhere
    assert not broken
    assert not server.tracebacks()


def is_elsewhere(url: str) -> bool:
    return url.startswith(("http", "ws")) and "//127.0.0.1:" not in url
