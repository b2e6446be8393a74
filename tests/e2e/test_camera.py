"""The camera beside the upload, in a real browser with a camera that shows a test picture."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Server, idle

IS_ASKED = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.asked = 0;
  navigator.mediaDevices.getUserMedia = wish => { window.asked += 1; return ask(wish); };
"""


def switch_to_camera(page: Page) -> None:
    page.locator(".st-key-upload_way").get_by_text("Camera").click()
    expect(page.get_by_test_id("stCameraInput")).to_be_visible()


def test_a_photo_gets_soft_labels_and_nobody_is_asked_before(
    context: BrowserContext, page: Page, server: Server
) -> None:
    context.grant_permissions(["camera"])
    page.add_init_script(IS_ASKED)
    page.goto(f"{server.url}/soft_labels?source=upload")
    expect(page.get_by_test_id("stFileUploader")).to_be_visible()
    idle(page)
    assert page.evaluate("window.asked") == 0
    switch_to_camera(page)
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")  # before that there is nothing to take
    page.get_by_test_id("stCameraInputButton").click()
    expect(page.get_by_test_id("kd-row").first).to_be_visible()
    rows = page.locator("[data-testid=kd-row], [data-testid=kd-rest]")  # kinds, and everything else
    shares = rows.evaluate_all("rows => rows.map(row => +row.dataset.p)")
    assert len(shares) >= 2
    assert sum(shares) == pytest.approx(1.0, abs=1e-6)
    page.locator(".st-key-kd_nav").get_by_text("Compare").click()  # the photo is the visitor's picture there too
    expect(page.locator(".st-key-kd-picture")).to_contain_text("Your photo")


def test_a_browser_that_refuses_its_camera_gets_a_sentence_and_the_upload_still_works(
    page: Page, server: Server
) -> None:
    page.goto(f"{server.url}/soft_labels?source=upload")
    switch_to_camera(page)
    expect(page.get_by_text("If you refused it once, allow the camera again")).to_be_visible()
    expect(page.get_by_test_id("stCameraInputButton")).to_be_disabled()
    page.locator(".st-key-upload_way").get_by_text("Upload").click()
    expect(page.get_by_test_id("stFileUploader")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
