"""Files that cannot be accepted: each is refused with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcore.pictures.decode import FORMATS_TEXT, open_picture
from tests.picture_files import FORMATS, archive, encode, photo, refused


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"interlace": 1}], ids=["plain", "progressive", "adam7"]
)
@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_truncated_at_each_quarter(format: str, options: dict[str, int], quarter: int) -> None:
    data = encode(photo(), format, **options)
    assert open_picture(data).size == (128, 96)
    assert "damaged or cut off" in refused(data[: len(data) * quarter // 4])


def test_a_photo_truncated_at_each_quarter(data_dir: Path) -> None:
    for name in ("wolf_1.jpg", "odd_large_cat.jpg"):
        data = (data_dir / "photos" / name).read_bytes()
        for quarter in (1, 2, 3):
            assert "damaged or cut off" in refused(data[: len(data) * quarter // 4])


def test_other_files_renamed() -> None:
    cases = {
        b"just some words\n" * 40: "a text file",
        archive(): "a zip archive",
        b"<!DOCTYPE html><html><body>404</body></html>": "a web page",
        b"\n\n<html lang=en><head><title>Not found</title></head></html>": "a web page",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>': "an SVG drawing",
        b'<svg viewBox="0 0 9 9"><script>alert(1)</script></svg>': "an SVG drawing",
        b"%PDF-1.7\n%\xe2\xe3": "a PDF document",
        b"\0\0\0\x18ftypmif1\0\0\0\0": "a HEIF photo",
        bytes(range(256)) * 4: "not a picture",
    }
    for data, kind in cases.items():
        text = refused(data)
        assert kind in text and FORMATS_TEXT in text and '"holiday.png"' in text
    assert "empty" in refused(b"")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # Pillow would start Ghostscript for this one
    assert FORMATS_TEXT in refused(eps)


def test_names_cannot_carry_markup() -> None:
    name = "../../etc/<script>alert('x')</script>[a](http://e.vil) $x$ \u202e`b`" + "n" * 300 + ".png"
    text = refused(b"nothing", name)
    shown = text[: text.index(" is ")]
    assert len(shown) < 60 and not set(shown) & set("<>[]$`'/\\\u202e:")
    assert shown.endswith('.png"')
    assert refused(b"nothing", "").startswith("The picture is ")
    assert '"été (2).jpg"' in refused(b"nothing", "C:\\Bilder\\été (2).jpg")
