"""An ensemble is put together by hand, in a real browser: the members stand below their average and follow the hand."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, idle


def test_members_are_chosen_shown_and_follow_the_temperature(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/soft_labels?source=digit&teacher=mnist")
    expect(page.get_by_test_id("kd-row").first).to_be_visible()
    page.locator(".st-key-kd_ensemble button").first.click()
    page.locator(".st-key-ensemble_mnist input").click()
    page.get_by_role("option", name="digits").click()
    page.wait_for_url(re.compile(r"teacher=digits(%2B|\+)mnist"))
    average = page.locator(".kd-members tfoot .kd-nats")
    expect(page.locator(".kd-members tbody tr")).to_have_count(2)
    page.keyboard.press("Escape")
    idle(page)
    before = average.inner_text()
    assert before == page.get_by_test_id("kd-entropy").inner_text()
    slider = page.get_by_test_id("kd-temperature")
    slider.focus()
    for _step in range(6):
        slider.press("ArrowRight")
    expect(average).not_to_have_text(before)
    idle(page)
    expect(average).to_have_text(page.get_by_test_id("kd-entropy").inner_text())
    page.reload()
    expect(average).to_have_text(page.get_by_test_id("kd-entropy").inner_text())
    overflow = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
