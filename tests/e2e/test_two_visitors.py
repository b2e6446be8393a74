"""Two visitors with a browser each on one server: what is one's own stays one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import SLOW, Server, idle, navigation_link, watched
from tests.picture_files import encode

COOKIE = "kd_visitor"


@pytest.fixture
def visitors(browser: Browser, server: Server) -> Iterator[tuple[Page, Page]]:
    """Two people who reach the app through a proxy: neither is the person at the machine, who sees all runs."""
    expect.set_options(timeout=SLOW)
    contexts = [
        browser.new_context(viewport={"width": 1280, "height": 800}, extra_http_headers={"X-Forwarded-For": address})
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    for context in contexts:
        context.set_default_timeout(SLOW)
    with watched(contexts[0].new_page(), server) as one, watched(contexts[1].new_page(), server) as other:
        yield one, other
    for context in contexts:
        context.close()


def start_run(page: Page, server: Server, query: str) -> str:
    """The run's id."""
    page.goto(f"{server.url}/distil?{query}")
    page.locator(".st-key-kd-start button").click()
    page.wait_for_url("**run=**")
    found = re.search(r"run=([\w-]+)", page.url)
    assert found
    return found.group(1)


def upload(page: Page, server: Server, name: str, colour: str) -> None:
    page.goto(f"{server.url}/soft_labels?source=upload")
    data = encode(Image.new("RGB", (80, 60), colour), "PNG")
    page.locator("input[type=file]").first.set_input_files([{"name": name, "mimeType": "image/png", "buffer": data}])
    expect(page.get_by_test_id("kd-picture")).to_have_attribute("aria-label", name)


def everything(page: Page) -> str:
    """All that the page holds, attributes and shadow roots too."""
    idle(page)
    return str(
        page.evaluate("""() => {
            const whole = (root) => root.innerHTML + [...root.querySelectorAll("*")]
                .map((node) => (node.shadowRoot ? whole(node.shadowRoot) : "")).join("");
            return whole(document.documentElement);
        }""")
    )


def test_a_picture_is_seen_by_its_visitor_only(visitors: tuple[Page, Page], server: Server) -> None:
    one, other = visitors
    upload(one, server, "first visitor.png", "red")
    upload(other, server, "second visitor.png", "blue")
    navigation_link(one, "compare").click()  # the picture goes along to another page
    one.wait_for_url("**/compare**")
    expect(one.locator(".st-key-kd-section")).to_contain_text("first visitor")
    assert "second visitor" not in everything(one)
    navigation_link(other, "home").click()
    other.wait_for_url(re.compile(rf"^{re.escape(server.url)}/(\?.*)?$"))
    for page, own, foreign in ((one, "first", "second"), (other, "second", "first")):
        navigation_link(page, "soft_labels").click()
        expect(page.get_by_test_id("kd-picture")).to_have_attribute("aria-label", f"{own} visitor.png")
        assert f"{foreign} visitor" not in everything(page)
    address = one.url
    one.reload()  # a reload is a new session, and the picture was that of the old one
    expect(one.locator("input[type=file]").first).to_be_attached()
    assert "second visitor" not in everything(one)
    other.goto(address)  # what a link shares is not the picture
    expect(other.locator("input[type=file]").first).to_be_attached()
    assert "first visitor" not in everything(other)


def test_a_shared_run_is_read_by_the_other_and_steered_by_its_owner(
    visitors: tuple[Page, Page], server: Server
) -> None:
    one, other = visitors
    run_id = start_run(one, server, "dataset=creatures&epochs=1000&seeds=3&labels=100")
    expect(one.locator(".st-key-kd-stop button")).to_be_enabled()

    # The other's list does not hold it; its link opens it, follows it live, and offers nothing that would change it.
    other.goto(f"{server.url}/runs")
    expect(other.get_by_role("heading").first).to_be_visible()
    assert run_id not in everything(other)
    other.goto(f"{server.url}/distil?run={run_id}")
    expect(other.locator(".st-key-kd-progress").first).to_contain_text(re.compile("epoch|wait", re.I))
    idle(other)
    expect(other.locator(".st-key-kd-stop")).to_have_count(0)
    expect(other.locator(".st-key-kd-take button")).to_be_enabled()  # its settings may be taken over
    expect(other.locator(".st-key-kd-start button")).to_be_enabled()  # and a run of one's own started beside it

    other.goto(f"{server.url}/runs?run={run_id}")
    expect(other.locator(".st-key-kd-opened")).to_be_visible()
    idle(other)
    expect(other.locator(".st-key-kd-stop")).to_have_count(0)

    # The owner sees it listed, also after a reload, and can stop it.
    one.goto(f"{server.url}/runs")
    expect(one.locator(f".st-key-kd-run-{run_id}")).to_be_visible()
    one.reload()
    expect(one.locator(f".st-key-kd-run-{run_id}")).to_be_visible()
    one.goto(f"{server.url}/distil?run={run_id}")
    one.locator(".st-key-kd-stop button").click()
    expect(one.locator(".st-key-kd-progress").first).to_contain_text(re.compile("stopped|cancel", re.I), timeout=90_000)
    expect(other.locator(".st-key-kd-opened .st-key-kd-progress").first).to_contain_text(
        re.compile("stopped|cancel", re.I)
    )  # which the other sees without a reload

    # Now that it could be resumed, tagged and deleted: by its owner.
    for page, owner in ((one, True), (other, False)):
        page.goto(f"{server.url}/runs?run={run_id}")
        expect(page.locator(".st-key-kd-export")).to_be_visible()  # reading includes taking a copy
        idle(page)
        for key in ("kd-resume", "kd-delete"):
            expect(page.locator(f".st-key-{key}")).to_have_count(1 if owner else 0)
        expect(page.get_by_text("Tags", exact=True)).to_have_count(1 if owner else 0)


def test_who_a_visitor_is_cannot_be_guessed_or_read_by_scripts_of_other_sites(
    visitors: tuple[Page, Page], server: Server
) -> None:
    identities = []
    for page in visitors:
        page.goto(server.url)
        expect(page.get_by_test_id("kd-row").first).to_be_visible()
        cookie = next(each for each in page.context.cookies() if each.get("name") == COOKIE)
        assert re.fullmatch(r"[0-9a-f]{32}", cookie.get("value", ""))
        assert cookie.get("sameSite") in ("Lax", "Strict")
        identities.append(cookie["value"])
        page.reload()
        expect(page.get_by_test_id("kd-row").first).to_be_visible()
        assert cookie["value"] in [each.get("value") for each in page.context.cookies()]
        assert cookie["value"] not in everything(page) and cookie["value"] not in page.url
    assert identities[0] != identities[1]
    same = sum(a == b for a, b in zip(*identities, strict=True))
    assert same < 16  # digits in common; two of chance have 2 of 32
