"""Pictures of every size: shrunk in proportion, or refused, within bounded memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdcore.pictures.decode import MAX_BYTES, MAX_DECODING_BYTES, MAX_SIDE, open_picture
from tests.picture_files import HEAVIEST_HEIC, blank_png, encode, jpeg_with_size, pixels, refused, tiff

ROOT = Path(__file__).parents[3]
# Opens every file of a folder in a process of its own; prints the outcomes, and how far the peak memory rose above
# what it was before. (On Linux getrusage cannot be used, because a process starts with its parent's peak.)
OPEN_ALL = """
import json, pathlib, sys
from kdcore.errors import PictureError
from kdcore.pictures.decode import open_picture
from tests.engine.picture_fuzzer import peak_bytes

files = sorted(pathlib.Path(sys.argv[1]).iterdir())
open_picture((pathlib.Path(sys.argv[1]) / "1").read_bytes())
before, outcomes = peak_bytes(), {}
for file in files:
    try:
        outcomes[file.name] = list(open_picture(file.read_bytes(), "a.png").size)
    except PictureError as error:
        outcomes[file.name] = str(error)
print(json.dumps({"outcomes": outcomes, "bytes": peak_bytes() - before}))
"""


def open_all(files: dict[str, bytes], folder: Path) -> tuple[dict[str, object], int]:
    """Return the outcome of each file (its size or the refusal), and the peak memory in bytes of opening them."""
    for name, data in {"1": encode(Image.new("LAB", (8, 8)), "TIFF"), **files}.items():
        (folder / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPEN_ALL, str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    printed = json.loads(done.stdout)
    return printed["outcomes"], printed["bytes"]


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (1024, 3), (1025, 7), (5000, 3000)])
def test_odd_shapes_come_out_small_and_in_proportion(size: tuple[int, int]) -> None:
    for format in ("PNG", "JPEG"):
        picture = open_picture(encode(Image.new("RGB", size, (10, 120, 230)), format))
        scale = min(1.0, MAX_SIDE / max(size))
        assert picture.size == tuple(max(1, round(side * scale)) for side in size)
        assert np.abs(np.asarray(picture).astype(int) - [10, 120, 230]).max() <= 3


def test_shrinking_keeps_what_is_where() -> None:
    ramp = np.linspace(0, 255, 4111)[None, :].repeat(2503, 0)  # sides that are no multiple of the averaged boxes'
    ramp[:, :100] = 0
    want = np.asarray(Image.fromarray(ramp.astype(np.float32)).resize((1024, 623), Image.Resampling.BOX))
    got = pixels(encode(Image.fromarray(ramp.astype(np.uint8)), "PNG", compress_level=1))[..., 1]
    assert got.shape == want.shape
    assert np.abs(got - want).max() < 3


def test_transparency_of_a_large_picture_does_not_bleed() -> None:
    large = np.zeros((2100, 4200, 4), np.uint8)
    large[:, 2100:] = (200, 0, 0, 255)  # the left half is fully transparent black
    got = pixels(encode(Image.fromarray(large), "PNG", compress_level=1))
    assert (got[:, :504] == 255).all() and (got[:, 520:] == [200, 0, 0]).all()


def test_too_large_in_bytes_and_in_pixels() -> None:
    assert "32 MB" in refused(b"\0" * (MAX_BYTES + 1))
    assert "32 MB" in refused(bytes(100 * 2**20))
    assert "40 megapixels" in refused(encode(Image.new("1", (16_000, 2600)), "GIF"))
    assert "64 megapixels" in refused(encode(Image.new("L", (16_000, 4100)), "JPEG"))
    assert "65,535" in refused(blank_png((1, 70_000), 8, 2, 3))


def test_a_phone_picture_of_50_megapixels_is_accepted() -> None:
    data = encode(Image.new("RGB", (8160, 6120), (90, 140, 60)), "JPEG")
    picture = open_picture(data)
    assert picture.size == (1024, 768) and np.abs(np.asarray(picture).astype(int) - [90, 140, 60]).max() <= 3


def test_the_heaviest_legal_pictures_are_opened_in_bounded_memory(tmp_path: Path) -> None:
    files = {
        "16 bits and alpha": blank_png((6300, 6300), 16, 6, 6300 * 8),
        "one pixel wide": blank_png((1, 65_000), 16, 0, 2),
        "fractions": encode(Image.new("F", (6300, 6300)), "TIFF", compression="tiff_lzw"),
        "webp": encode(Image.new("RGBA", (6300, 6300), (1, 2, 3, 100)), "WEBP", lossless=True, method=0),
        # libjpeg keeps every coefficient of a progressive picture, two bytes each, until the last scan is in
        "progressive": encode(Image.new("CMYK", (8000, 8000)), "JPEG", progressive=True),
        "heic": HEAVIEST_HEIC.read_bytes(),  # 32 megapixels of 10 bits with transparency and full colour
    }
    outcomes, taken = open_all(files, tmp_path)
    assert {name: outcomes[name] for name in files} == {
        name: {"one pixel wide": [1, 1024], "heic": [1024, 768]}.get(name, [1024, 1024]) for name in files
    }
    assert taken <= MAX_DECODING_BYTES


def test_a_file_that_promises_more_than_it_holds_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    frame = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0"
    million = 2**20
    scans = encode(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    gif, bmp = encode(Image.new("P", (4, 4)), "GIF"), encode(Image.new("RGB", (4, 4)), "BMP")
    files = {
        "huge png": blank_png((20_000, 20_000), 1, 0, 2500),  # 50 kB that unpack to 400 megapixels
        "huge jpeg": jpeg_with_size(20_000, 20_000),
        "huge webp": frame + 2 * (16_382).to_bytes(3, "little"),
        "huge gif": gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:],
        "huge bmp": bmp[:18] + struct.pack("<ii", 20_000, 20_000) + bmp[26:],
        "huge tiff": tiff({256: (4, 1, 20_000), 257: (4, 1, 20_000)}),
        "larger still": blank_png((60_000, 60_000), 1, 0, 2),
        "only warned": blank_png((10_000, 10_000), 1, 0, 2),
        "tiff of one giant tile": tiff({259: (3, 1, 8), 322: (3, 1, 60_000), 323: (3, 1, 30_000), 324: (4, 1, 8)}),
        "tiff of a million fractions": tiff({282: (5, million, None)}, b"\1\0\0\0\3\0\0\0" * million),
        "tiff of numbers in its exif": tiff(
            {0x8769: (4, 1, None)}, struct.pack("<HHHII", 1, 40_000, 3, 2 * million, 0)
        ),
        "jpeg of a thousand scans": scans[:last] + scans[last:-2] * 1000 + b"\xff\xd9",
    }
    outcomes, taken = open_all(files, tmp_path)
    for name in files:
        sentence = outcomes[name]
        assert isinstance(sentence, str), name
        assert "megapixels" in sentence if "of" not in name.split() else "more memory or time" in sentence, name
        assert sentence.endswith(".") and "\n" not in sentence
    assert taken < 64 * 2**20


def test_a_tiff_of_ten_thousand_tiles_is_no_lie() -> None:
    offsets, at = 100 * 100, struct.pack("<I", 8)
    tags = {322: (3, 1, 16), 323: (3, 1, 16), 324: (4, offsets, None), 325: (4, offsets, None)}
    assert open_picture(tiff(tags, at * offsets, (1600, 1600))).size == (1024, 1024)
