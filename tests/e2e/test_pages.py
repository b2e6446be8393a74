"""Every page, and a run from start to stop, in a real browser."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import ROOT, Server, idle

PAGES = ("", *sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "__init__"))


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["wide", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_by_its_address_without_sideways_scrolling(
    page: Page, server: Server, name: str, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{server.url}/{name}")
    expect(page.get_by_role("heading").first).to_be_visible()
    idle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    overflow = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0


def start_run(page: Page, server: Server, query: str) -> None:
    page.goto(f"{server.url}/distil?{query}")
    page.locator(".st-key-kd-start button").click()
    page.wait_for_url("**run=**")


def test_a_run_trains_live_survives_a_reload_and_says_what_it_found(page: Page, server: Server) -> None:
    start_run(page, server, "dataset=creatures&epochs=12&seeds=2")
    chart = page.locator(".st-key-kd-chart")
    expect(chart).to_contain_text("epoch 1:", timeout=90_000)  # the words beside the first points of the curves
    page.reload()
    outcome = page.locator(".st-key-kd-outcome").last
    expect(outcome).to_contain_text("seeds", timeout=120_000)
    expect(outcome).to_contain_text("95 %")
    run_id = re.search(r"run=([\w-]+)", page.url)
    assert run_id
    page.goto(f"{server.url}/runs")
    expect(page.get_by_text("distilled").first).to_be_visible()
    page.goto(f"{server.url}/compare?run={run_id.group(1)}")
    expect(page.get_by_text("MAC").first).to_be_visible()


def test_a_run_can_be_stopped(page: Page, server: Server) -> None:
    start_run(page, server, "dataset=creatures&epochs=1000&seeds=3")
    stop = page.locator(".st-key-kd-stop button")
    expect(stop).to_be_enabled()
    stop.click()
    expect(page.locator(".st-key-kd-progress").first).to_contain_text(
        re.compile("stopped|cancel", re.I), timeout=90_000
    )
    expect(stop).to_have_count(0)


def test_a_second_screen_sees_the_same_run(context: BrowserContext, page: Page, server: Server) -> None:
    start_run(page, server, "dataset=digits&epochs=10&seeds=2")
    expect(page.locator(".st-key-kd-outcome").last).to_contain_text("seeds", timeout=120_000)
    said = page.locator(".st-key-kd-outcome").last.inner_text().splitlines()[0]
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(".st-key-kd-outcome").last).to_contain_text(said)
    other.close()


def test_an_unknown_run_in_the_address_gets_one_sentence(page: Page, server: Server) -> None:
    for name in ("distil", "compare", "runs"):
        page.goto(f"{server.url}/{name}?run=nosuchrun")
        expect(page.get_by_test_id("stAlert").first).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)


def test_the_server_listens_on_this_machine_only_and_asks_nothing(server: Server) -> None:
    assert "mail" not in server.printed().lower()
    listening = Path("/proc/net/tcp")
    if listening.exists():  # Linux: look at the socket itself
        port = f"{int(server.url.rsplit(':', 1)[1]):04X}"
        rows = [line.split()[1] for line in listening.read_text().splitlines()[1:] if line.split()[3] == "0A"]
        addresses = {row.split(":")[0] for row in rows if row.split(":")[1] == port}
        assert addresses == {"0100007F"}
    assert os.environ.get("STREAMLIT_SERVER_ADDRESS") is None
