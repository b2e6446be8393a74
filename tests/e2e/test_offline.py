"""The app on a machine with no data and no network: every page is drawn, and nobody is asked for anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from kdcore.datasets import dataset_status, list_datasets
from tests.e2e.conftest import SLOW, Server, idle, running_app, watched
from tests.e2e.test_pages import PAGES

# Python imports a module of this name when it starts: it refuses every way out of this machine, and notes who tried.
REFUSE = """
import os, socket

def refuse(where):
    with open(os.environ["KD_TRIED"], "a", encoding="utf-8") as file:
        file.write(f"{where}\\n")
    raise OSError(101, "Network is unreachable")

def here(host):
    return host in (None, "", b"", "localhost", "0.0.0.0", "::", "::1") or str(host).startswith("127.")

class Socket(socket.socket):
    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not here(address[0]):
            refuse(address)
        return super().connect(address)

    def connect_ex(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not here(address[0]):
            refuse(address)
        return super().connect_ex(address)

    def sendto(self, *arguments):
        refuse(arguments[-1])

look_up = socket.getaddrinfo

def getaddrinfo(host, *arguments, **options):
    return look_up(host, *arguments, **options) if here(host) else refuse(host)

socket.socket, socket.getaddrinfo = Socket, getaddrinfo
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """The app without a network and without data, and the file that lists who tried to get out."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "sitecustomize.py").write_text(REFUSE, encoding="utf-8")
    tried = folder / "tried.txt"
    environment = {name: value for name, value in os.environ.items() if name != "KDCORE_DATA"}
    path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH", ""))))
    with running_app(folder, {**environment, "PYTHONPATH": path, "KD_TRIED": str(tried)}) as server:
        yield server, tried


@pytest.fixture
def visitor(browser: Browser, alone: tuple[Server, Path]) -> Iterator[Page]:
    expect.set_options(timeout=SLOW)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SLOW)
    with watched(context.new_page(), alone[0]) as page:
        yield page
    context.close()


def test_every_page_is_drawn_and_nobody_is_asked(visitor: Page, alone: tuple[Server, Path]) -> None:
    server, tried = alone
    for name in PAGES:
        visitor.goto(f"{server.url}/{name}")
        expect(visitor.get_by_role("heading").first).to_be_visible()
        idle(visitor)
        expect(visitor.get_by_test_id("stException")).to_have_count(0)
    assert not tried.exists() or tried.read_text(encoding="utf-8") == ""


def test_every_dataset_says_what_it_is_waiting_for(
    visitor: Page, alone: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _tried = alone
    monkeypatch.delenv("KDCORE_DATA", raising=False)
    monkeypatch.setenv("KDCORE_HOME", str(server.home))
    waiting = {info.name for info in list_datasets() if not dataset_status(info.name).ready}
    assert waiting >= {"mnist", "fashion-mnist", "cifar10", "cifar100", "animals64"}
    for name in sorted(waiting):
        visitor.goto(f"{server.url}/datasets?dataset_shown={name}")
        # What it waits for stands before the colon, what to do about it after.
        expect(visitor.get_by_test_id("stAlert").first).to_contain_text(dataset_status(name).needs.split(":")[0])
        expect(visitor.get_by_test_id("stAlert").first).to_contain_text("KDCORE_DATA")


def test_a_run_on_what_is_embedded_works(visitor: Page, alone: tuple[Server, Path]) -> None:
    server, tried = alone
    visitor.goto(f"{server.url}/distil?dataset=digits&epochs=2&seeds=2")
    visitor.locator(".st-key-kd-start button").click()
    expect(visitor.locator(".st-key-kd-outcome").last).to_contain_text("seeds", timeout=120_000)
    assert not tried.exists() or tried.read_text(encoding="utf-8") == ""
