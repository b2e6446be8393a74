"""The app's spare worker: it appears after the first page, serves the command line too, is replaced when it is killed,
and never outlives the app."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, expect

from kdcore.jobs.spare import Offer, offers
from kdcore.store import Store
from tests.e2e.conftest import ROOT, SLOW, Server, idle, running_app


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An app with a spare worker, which no other test shares."""
    monkeypatch.setenv("KDCORE_SPARE", "1")
    with running_app(tmp_path) as server:
        yield server


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def waiting(server: Server) -> Offer:
    """The one spare worker that waits; it may still be importing."""
    wait_for(lambda: any(offer.is_alive() for offer in offers(server.home)))
    (offer,) = (offer for offer in offers(server.home) if offer.is_alive())
    return offer


def test_it_is_ready_for_all_is_replaced_and_ends_with_the_app(browser: Browser, app: Server) -> None:
    assert list(offers(app.home)) == []  # nobody has opened a page
    page = browser.new_page()
    page.set_default_timeout(SLOW)
    page.goto(f"{app.url}/distil?dataset=digits&student=mlp-8&epochs=3&seeds=2")
    idle(page)
    killed = waiting(app)
    psutil.Process(killed.pid).kill()
    wait_for(lambda: any(offer.is_alive() and offer.pid != killed.pid for offer in offers(app.home)))
    spare = waiting(app)

    page.locator(".st-key-kd-start button").click()
    page.wait_for_url("**run=**")
    with Store(home=app.home) as store:
        wait_for(lambda: store.list_runs()[0].done)
        (row,) = store.list_runs()
        assert (row.status, row.worker_pid) == ("finished", spare.pid), row.error
        expect(page.locator(".st-key-kd-outcome").first).to_be_visible(timeout=SLOW)

        spare = waiting(app)
        command = [sys.executable, "-m", "kdcore", "run", "--dataset", "digits", "--student", "mlp-8"]
        environment = {**os.environ, "KDCORE_HOME": str(app.home)}
        done = subprocess.run(
            [*command, "--epochs", "3", "--seeds", "2", "--json"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert store.run(json.loads(done.stdout)["run_id"]).worker_pid == spare.pid

    spare = waiting(app)
    page.close()
    psutil.Process(app.pid).kill()
    wait_for(lambda: is_gone(spare.pid), 30)
    assert [offer for offer in offers(app.home) if offer.is_alive()] == []
