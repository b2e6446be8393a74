"""What anybody may choose in the uploader, through the whole app: the right answer, or one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.e2e.conftest import Server
from tests.picture_files import archive, blank_png, encode, jpeg_with_size, photo, png, tiff, ycck

SENTENCES = {  # name -> (bytes, words of the one sentence)
    "notes.png": (b"this is no picture at all", "a text file"),
    "archive.jpg": (archive(), "a zip archive"),
    "page.gif": (b"<!DOCTYPE html><script>alert(1)</script>", "a web page"),
    "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"></svg>', "an SVG drawing"),
    "empty.png": (b"", "0 bytes"),
    "half.jpg": (encode(photo(), "JPEG")[:5000], "cut off"),
    "huge.png": (blank_png((20_000, 20_000), 1, 0, 2500), "400 megapixels"),
    "lie.jpg": (jpeg_with_size(20_000, 20_000), "400 megapixels"),
    "tile.tiff": (tiff({259: (3, 1, 8), 322: (3, 1, 60_000), 323: (3, 1, 30_000)}), "more memory or time"),
}
FRAMES = [Image.new("RGB", (48, 32), colour) for colour in ("red", "lime", "blue")]
TURNED = Image.Exif()
TURNED[0x0112] = 6
ANSWERED = {  # name -> (bytes, the width and height of the picture that must appear, and its colour)
    "animation.gif": (encode(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), (48, 32), (255, 0, 0)),
    "animation.webp": (
        encode(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:], lossless=True), (48, 32), (255, 0, 0)
    ),
    "turned.jpg": (encode(FRAMES[0], "JPEG", exif=TURNED), (32, 48), (254, 0, 0)),
    "ink.jpg": (ycck((76, 84, 254, 0)), (16, 16), (255, 0, 0)),
    "wide grey.png": (encode(Image.fromarray(np.full((40, 60), 32_896, np.uint16)), "PNG"), (60, 40), (128, 128, 128)),
    "one pixel.png": (png((1, 1), 8, 2, b"\0\0\0\xff"), (1, 1), (0, 0, 255)),
    "a line.png": (blank_png((1, 10_000), 1, 0, 1), (1, 640), (0, 0, 0)),
}  # fmt: skip


@pytest.fixture
def uploader(page: Page, server: Server) -> Page:
    page.goto(f"{server.url}/soft_labels?source=upload")
    page.locator("input[type=file]").first.wait_for(state="attached")
    return page


def choose(page: Page, *files: FilePayload | Path) -> None:
    page.locator("input[type=file]").first.set_input_files(list(files))  # type: ignore[arg-type]


def test_bad_files_get_one_sentence_each_and_a_good_one_after_them_its_answer(uploader: Page) -> None:
    for name, (data, words) in SENTENCES.items():
        choose(uploader, {"name": name, "mimeType": "", "buffer": data})
        alert = uploader.get_by_test_id("stAlertContentError")
        expect(alert).to_contain_text(f'"{name}"')
        expect(alert).to_contain_text(words)
        expect(alert).to_have_count(1)
        assert len(alert.inner_text().strip().splitlines()) == 1
        expect(uploader.get_by_test_id("kd-row")).to_have_count(0)
    choose(uploader, {"name": "good.png", "mimeType": "", "buffer": encode(photo(), "PNG")})
    expect(uploader.get_by_test_id("kd-picture")).to_have_attribute("aria-label", "good.png")
    expect(uploader.get_by_test_id("stAlertContentError")).to_have_count(0)
    expect(uploader.get_by_test_id("stException")).to_have_count(0)


def test_odd_pictures_are_answered_and_shown_as_they_are(uploader: Page) -> None:
    for name, (data, size, colour) in ANSWERED.items():
        choose(uploader, {"name": name, "mimeType": "", "buffer": data})
        shown = uploader.get_by_test_id("kd-picture")
        expect(shown).to_have_attribute("aria-label", name)
        expect(uploader.get_by_test_id("kd-row").first).to_be_visible()
        # It lies on a canvas of its proportions: look at the colour in the middle of it.
        wide, high, *rgb = shown.evaluate("""async (canvas) => {
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            const at = canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data;
            return [...canvas.style.aspectRatio.split("/").map(Number), at[0], at[1], at[2]];
        }""")
        assert wide / high == pytest.approx(size[0] / size[1], rel=0.02), name
        assert np.abs(np.array(rgb) - colour).max() <= 6, name


def test_a_photo_of_a_wolf_is_answered(uploader: Page, data_dir: Path) -> None:
    choose(uploader, data_dir / "photos" / "wolf_1.jpg")
    expect(uploader.get_by_test_id("kd-row").first).to_be_visible()
    kinds = uploader.locator("[data-testid=kd-row], [data-testid=kd-rest]")
    assert sum(kinds.evaluate_all("all => all.map(row => +row.dataset.p)")) == pytest.approx(1.0, abs=1e-6)
    assert kinds.count() <= 10
    uploader.get_by_test_id("kd-by-classes").click()
    uploader.get_by_test_id("kd-all").click()
    expect(uploader.get_by_test_id("kd-row")).to_have_count(1000)
    rows = uploader.get_by_test_id("kd-row").evaluate_all("all => all.map(row => [row.dataset.class, +row.dataset.p])")
    assert sum(p for _, p in rows) == pytest.approx(1.0, abs=1e-6)


def test_a_hundred_megabytes_are_refused_before_they_are_sent(uploader: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(100 * 2**20)  # a hole: it takes no room on the disk
    sent: list[str] = []
    uploader.on("request", lambda request: sent.append(request.url) if request.method in ("PUT", "POST") else None)
    choose(uploader, large)
    expect(uploader.get_by_test_id("stFileUploader")).to_contain_text("must be 32.0MB or smaller")
    assert sent == []
    expect(uploader.get_by_test_id("kd-row")).to_have_count(0)


def test_a_name_cannot_become_markup_anywhere(uploader: Page) -> None:
    name = "a/b\\c'\"<img src=x onerror=window.broken=1>[l](http://e.vil)$x$`c`" + "n" * 300 + ".png"
    for data, answered in ((encode(photo(), "PNG"), True), (b"no picture", False)):
        choose(uploader, {"name": name, "mimeType": "", "buffer": data})
        if answered:
            expect(uploader.get_by_test_id("kd-row").first).to_be_visible()
        else:
            expect(uploader.get_by_test_id("stAlertContentError")).to_contain_text("a text file")
        assert uploader.evaluate("() => window.broken === undefined && !document.querySelector('img[src=x]')")
        assert uploader.get_by_role("link", name="l", exact=True).count() == 0
        overflow = uploader.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0


def test_a_sample_photo_is_taken_by_the_keyboard_alone_and_its_address_shows_it_again(uploader: Page) -> None:
    samples = uploader.locator(".st-key-kd_samples").get_by_role("radio")
    expect(samples).to_have_count(5)
    for sample in samples.all():
        picture = sample.locator("img")
        assert picture.get_attribute("alt")
        assert picture.evaluate("image => image.naturalWidth") == 128
    samples.first.focus()
    uploader.keyboard.press("ArrowRight")  # to the second one
    uploader.keyboard.press("Enter")
    expect(uploader.get_by_text("Cat: photo by")).to_be_visible()
    expect(uploader.get_by_test_id("kd-row").first).to_be_visible()
    uploader.goto(uploader.evaluate("location.href"))
    expect(uploader.get_by_text("Cat: photo by")).to_be_visible()
    assert uploader.evaluate("new URL(location.href).searchParams.get('picture')") == "cat"
