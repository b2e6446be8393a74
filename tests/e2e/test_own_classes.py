"""Own classes in a real browser: two classes of ten pictures taught, distilled, compared and tried on a new picture."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, FilePayload, Page, expect

from kdcore.store import Store
from pages.ui.kit.formats import format_accuracy
from pages.ui.run.sentences import outcome_sentence
from tests.e2e.conftest import Server, idle

LION, RED_PANDA = 34, 58  # labels of animals64 of which its test split has enough pictures


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> dict[int, list[FilePayload]]:
    """Eleven test pictures of each of two animals, as files that a visitor may choose."""
    table = pq.read_table(data_dir / "animals64" / "test.parquet")
    found: dict[int, list[FilePayload]] = {LION: [], RED_PANDA: []}
    for picture, label in zip(table.column("img"), table.column("label").to_pylist(), strict=True):
        if label in found and len(found[label]) < 11:
            name = f"{label} {len(found[label])}.png"
            found[label].append({"name": name, "mimeType": "image/png", "buffer": picture.as_py()["bytes"]})
    return found


def give(page: Page, number: int, name: str, files: list[FilePayload]) -> None:
    page.get_by_label(f"Name of class {number}").fill(name)
    page.get_by_label(f"Name of class {number}").press("Tab")
    card = page.locator(f".st-key-own_class_{number}")
    card.locator("input[type=file]").set_input_files(files)
    expect(card.locator(".kd-own-count")).to_have_text(f"{len(files)} pictures")
    idle(page)


def test_two_classes_of_ten_pictures_are_taught_distilled_compared_and_tried(
    page: Page, server: Server, photos: dict[int, list[FilePayload]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page.goto(f"{server.url}/own_classes")
    page.locator(".st-key-own_class_1").wait_for()
    give(page, 1, "lion", photos[LION][:10])
    give(page, 2, "red panda", photos[RED_PANDA][:10])
    expect(page.locator(".st-key-own_class_1 .kd-thumbs img")).to_have_count(10)

    begun = time.monotonic()
    page.locator(".st-key-own_teach button").click()
    page.wait_for_url("**run=**")
    page.reload()  # in the middle: the run is in the address
    tried = page.locator(".st-key-kd_own_try")
    tried.locator("input[type=file]").wait_for(state="attached", timeout=280_000)
    tried.locator("input[type=file]").set_input_files([photos[LION][10]])
    answers = page.locator(".st-key-kd_own_answers .kd-bars")
    expect(answers).to_have_count(3)
    print(f"taught, distilled, compared and tried in {time.monotonic() - begun:.1f} s")

    run_id = re.search(r"run=([\w-]+)", page.url)
    assert run_id
    monkeypatch.setenv("KDCORE_HOME", str(server.home))
    with Store() as store:
        result = store.run(run_id.group(1)).result
    assert result is not None
    assert outcome_sentence(result) in page.locator(".st-key-kd-outcome").inner_text().replace("\u00a0", " ")
    shown = page.locator(".kd-table tbody tr").first.locator("td").all_inner_texts()
    for text, arm in zip(shown, ("teacher", "distilled", "baseline"), strict=True):
        assert text.startswith(format_accuracy(result["arms"][arm]["accuracy"]["mean"]))
    for bars in answers.all():
        shares = [float(text.strip("<> %")) for text in bars.locator("span").all_inner_texts()]
        assert sum(shares) == pytest.approx(100, abs=0.21)


def test_a_burst_of_the_camera_goes_to_one_class_and_one_of_its_pictures_can_be_removed(
    context: BrowserContext, page: Page, server: Server
) -> None:
    context.grant_permissions(["camera"])
    page.goto(f"{server.url}/own_classes")
    card = page.locator(".st-key-own_class_2")
    card.get_by_role("button", name="Use the camera").click()
    hold = card.get_by_role("button", name="Hold to take pictures")
    expect(hold).to_be_enabled()
    hold.hover()
    page.mouse.down()
    expect(card.get_by_role("button", name=re.compile(r"\b([3-9]|\d\d) taken"))).to_be_visible()
    page.mouse.up()
    pictures = card.locator(".kd-thumbs img")
    expect(pictures.nth(1)).to_be_visible()
    before = pictures.count()
    card.locator(".kd-thumbs button").first.click()
    expect(pictures).to_have_count(before - 1)
    expect(page.locator(".st-key-own_class_1 .kd-own-count")).to_have_text("0 pictures")


def test_a_file_that_is_no_picture_and_a_class_of_one_get_a_sentence_each(page: Page, server: Server) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50), "red").save(buffer, "PNG")
    page.goto(f"{server.url}/own_classes")
    files: list[FilePayload] = [
        {"name": "red.png", "mimeType": "image/png", "buffer": buffer.getvalue()},
        {"name": "notes.png", "mimeType": "image/png", "buffer": b"this is no picture at all"},
    ]
    page.locator(".st-key-own_class_1 input[type=file]").set_input_files(files)
    expect(page.locator(".st-key-own_class_1")).to_contain_text('"notes.png"')
    expect(page.get_by_text("Class 1 has 1 picture, and a class needs at least")).to_be_visible()
    expect(page.locator(".st-key-own_teach button")).to_be_disabled()
