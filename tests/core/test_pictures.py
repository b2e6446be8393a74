"""Pictures from anybody: every mode and orientation against NumPy, and one sentence for every bad file."""

from __future__ import annotations

import io
import random
import struct
import threading
import time
import tracemalloc
import warnings
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdcore.errors import KdError, PictureError
from kdcore.pictures import FORMATS_TEXT, MAX_BYTES, MAX_SIDE, open_picture

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)  # [H, W, 3]
ALPHA = RNG.integers(0, 256, (5, 7), dtype=np.uint8)  # [H, W]


def encode(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    picture = open_picture(data)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return rgb * share + 255.0 * (1 - share)


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, transparent: bytes = b"") -> bytes:
    """A PNG by hand: the independent reference for bit depths and tRNS that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    extra = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refused(data: bytes, name: str = "holiday.png") -> str:
    """The sentence of a refusal, checked to be one sentence without machinery in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError) as caught:
            open_picture(data, name)
    text = str(caught.value)
    assert isinstance(caught.value, KdError)
    assert "\n" not in text and text.endswith(".") and 30 < len(text) < 260
    for machinery in ("Traceback", "Error", "object at", "BytesIO", "PIL"):
        assert machinery not in text
    return text


# --- modes ---


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(pixels(encode(Image.fromarray(RGB), format, **options)), RGB)


def test_jpeg_is_close_to_the_picture() -> None:
    smooth = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    assert np.abs(pixels(encode(Image.fromarray(smooth), "JPEG", quality=95)).astype(int) - smooth).max() <= 4


def test_grey_palette_and_one_bit() -> None:
    grey = RGB[..., 0]
    assert np.array_equal(pixels(encode(Image.fromarray(grey), "PNG")), np.stack([grey] * 3, 2))
    bits = grey > 127
    assert np.array_equal(pixels(encode(Image.fromarray(bits), "PNG")), np.stack([bits * np.uint8(255)] * 3, 2))
    assert np.array_equal(pixels(encode(Image.fromarray(bits), "TIFF")), np.stack([bits * np.uint8(255)] * 3, 2))
    palette = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(pixels(encode(palette, "PNG")), np.asarray(palette.convert("RGB")))
    assert np.array_equal(pixels(encode(palette, "GIF")), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_transparency_lies_over_white(format: str) -> None:
    rgba = np.dstack([RGB, ALPHA])
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    got = pixels(encode(Image.fromarray(rgba), format, **options))
    assert np.abs(got - over_white(RGB, ALPHA)).max() <= 1


def test_transparency_of_grey_and_of_palettes() -> None:
    grey_alpha = Image.fromarray(np.dstack([RGB[..., 0], ALPHA]), "LA")
    want = over_white(np.stack([RGB[..., 0]] * 3, 2), ALPHA)
    assert np.abs(pixels(encode(grey_alpha, "PNG")) - want).max() <= 1
    indices = RNG.integers(0, 4, (5, 7), dtype=np.uint8)
    colours = np.array([[200, 10, 10], [10, 200, 10], [10, 10, 200], [90, 90, 90]], np.uint8)
    palette = Image.fromarray(indices, "P")
    palette.putpalette(colours.tobytes())
    alphas = np.array([0, 255, 128, 255], np.uint8)
    got = pixels(encode(palette, "PNG", transparency=alphas.tobytes()))
    assert np.abs(got - over_white(colours[indices], alphas[indices])).max() <= 1
    got = pixels(encode(palette, "GIF", transparency=1))
    assert np.array_equal(got, over_white(colours[indices], np.where(indices == 1, 0, 255)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_one_transparent_grey_of_a_png(depth: int) -> None:
    top = 2**depth - 1
    values = [0, top] if depth == 1 else [0, top // 3, top]
    packed = "".join(f"{value:0{depth}b}" for value in values)
    packed += "0" * (-len(packed) % 8)
    row = b"\0" + int(packed, 2).to_bytes(len(packed) // 8, "big")
    for transparent in values:
        data = png((len(values), 1), depth, 0, row, struct.pack(">H", transparent))
        want = [255 if value == transparent else round(value * 255 / top) for value in values]
        assert pixels(data)[0].tolist() == [[value] * 3 for value in want]


@pytest.mark.parametrize("depth", [8, 16])
def test_the_one_transparent_colour_of_a_png(depth: int) -> None:
    unit = 257 if depth == 16 else 1
    colours = [(10, 20, 30), (40, 50, 60)]
    code = ">H" if depth == 16 else ">B"
    row = b"\0" + b"".join(struct.pack(code, value * unit) for colour in colours for value in colour)
    data = png((2, 1), depth, 2, row, struct.pack(">HHH", *(v * unit for v in colours[0])))
    assert pixels(data)[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    wide = np.array([[0, 257, 32768, 65535]], np.uint16)
    want = np.rint(wide / 257)
    for format in ("PNG", "TIFF"):
        assert np.array_equal(pixels(encode(Image.fromarray(wide), format))[..., 0], want)
    colour = png((2, 1), 16, 2, b"\0" + struct.pack(">HHHHHH", 0, 32768, 65535, 257, 514, 12850))
    assert np.abs(pixels(colour)[0].astype(int) - [[0, 128, 255], [1, 2, 50]]).max() <= 1
    with_alpha = png((1, 1), 16, 4, b"\0" + struct.pack(">HH", 0, 32768))
    assert np.abs(pixels(with_alpha)[0, 0].astype(int) - 127).max() <= 1


@pytest.mark.parametrize(
    ("values", "want"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 51.0, 255.0]], np.float32), [0, 51, 255]),
        (np.array([[-10.0, 0.0, 10.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, np.nan, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[7.0, 7.0, 7.0]], np.float32), [7, 7, 7]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
    ],
)
def test_wide_grey_is_scaled_by_what_it_holds(values: np.ndarray, want: list[int]) -> None:
    assert np.abs(pixels(encode(Image.fromarray(values), "TIFF"))[0, :, 0].astype(int) - want).max() <= 1


def test_cmyk_and_ycck_and_lab() -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    for data in (encode(ink, "JPEG", quality=95), encode(ink, "TIFF")):
        assert np.abs(pixels(data).astype(int) - [255, 0, 0]).max() <= 6
    # Adobe's APP14 marker with transform 2 says that the same four channels are YCCK.
    plain = encode(Image.new("CMYK", (16, 16), (0, 128, 128, 127)), "JPEG", quality=95)
    at = plain.index(b"Adobe")
    ycck = plain[: at + 11] + b"\x02" + plain[at + 12 :]
    assert pixels(ycck).shape == (16, 16, 3)
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    assert pixels(encode(lab, "TIFF")).min() >= 250


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(orientation: int, format: str) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = 255  # the top left quarter is white, so that all eight ways differ
    stored = {  # how a camera stores the upright picture under each orientation
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = pixels(encode(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif))
    assert got.shape == upright.shape
    assert np.abs(got[4:-4:8, 4:-4:8].astype(int) - upright[4:-4:8, 4:-4:8]).max() <= 8


def test_damaged_exif_does_not_spoil_a_picture() -> None:
    data = encode(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xff" + bytes(range(40)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_picture(data).size == (7, 5)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert (pixels(data) == [255, 0, 0]).all()


# --- sizes ---


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (1024, 3), (1025, 7), (5000, 3000)])
def test_odd_shapes_come_out_small_and_in_proportion(size: tuple[int, int]) -> None:
    for format in ("PNG", "JPEG"):
        picture = open_picture(encode(Image.new("RGB", size, (10, 120, 230)), format))
        scale = min(1.0, MAX_SIDE / max(size))
        assert picture.size == tuple(max(1, round(side * scale)) for side in size)
        assert np.abs(np.asarray(picture).astype(int) - [10, 120, 230]).max() <= 3


def test_shrinking_keeps_what_is_where() -> None:
    ramp = np.linspace(0, 255, 4111)[None, :].repeat(2503, 0)  # sizes that no box divides
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
    zeros = zlib.compressobj(9)
    body = b"".join(zeros.compress(bytes(2501) * 100) for _ in range(200)) + zeros.flush()
    data = png((20_000, 20_000), 1, 0, b"")
    head, tail = data[:33], data[-12:]
    bomb = head + struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body)) + tail
    began = time.perf_counter()
    tracemalloc.start()
    assert "400 megapixels" in refused(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.perf_counter() - began < 1.0 and peak < 4 * 2**20
    assert "megapixels" in refused(png((60_000, 60_000), 1, 0, b"\0"))  # Pillow's own limit
    assert "megapixels" in refused(png((10_000, 10_000), 1, 0, b"\0"))  # Pillow would only warn
    assert "40 megapixels" in refused(encode(Image.new("1", (16_000, 2600)), "GIF"))
    assert "64 megapixels" in refused(encode(Image.new("L", (16_000, 4100)), "JPEG"))


def test_a_phone_picture_of_50_megapixels_is_accepted() -> None:
    data = encode(Image.new("RGB", (8160, 6120), (90, 140, 60)), "JPEG")
    picture = open_picture(data)
    assert picture.size == (1024, 768) and np.abs(np.asarray(picture).astype(int) - [90, 140, 60]).max() <= 3


# --- bad files ---


def photo() -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_truncated_at_each_quarter(format: str, quarter: int) -> None:
    data = encode(photo(), format)
    assert open_picture(data).size == (128, 96)
    assert "damaged or cut off" in refused(data[: len(data) * quarter // 4])


def test_other_files_renamed() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "hello" * 100)
    cases = {
        b"just some words\n" * 40: "a text file",
        archive.getvalue(): "a zip archive",
        b"<!DOCTYPE html><html><body>404</body></html>": "a web page",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>': "an SVG drawing",
        b"%PDF-1.7\n%\xe2\xe3": "a PDF document",
        b"\0\0\0\x18ftypheic\0\0\0\0": "a HEIC photo",
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


def test_mutated_files_give_a_picture_or_one_sentence() -> None:
    random_ = random.Random(5)
    originals = [encode(photo(), format) for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")]
    originals.append(encode(photo().quantize(16), "PNG", transparency=3))
    originals.append(encode(photo(), "TIFF", compression="tiff_lzw"))
    end = time.perf_counter() + 4
    opened = failed = 0
    while time.perf_counter() < end:
        data = bytearray(random_.choice(originals))
        for _ in range(random_.randint(1, 8)):
            # Headers are where mutations hurt, so half of them go there.
            data[random_.randrange(len(data) if random_.random() < 0.5 else 64)] = random_.randrange(256)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                picture = open_picture(bytes(data), "fuzz.png")
            opened += 1
            assert picture.mode == "RGB" and max(picture.size) <= MAX_SIDE
        except PictureError as error:
            failed += 1
            assert "\n" not in str(error)
    assert opened > 50 and failed > 50


def test_threads_do_not_disturb_each_other() -> None:
    good, bad = encode(photo(), "PNG"), encode(photo(), "JPEG")[:2000]
    wrong: list[str] = []

    def work() -> None:
        for _ in range(20):
            if open_picture(good).size != (128, 96):
                wrong.append("size")
            try:
                open_picture(bad)
                wrong.append("accepted")
            except PictureError:
                pass

    before = list(warnings.filters)
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and warnings.filters == before


def test_nothing_of_the_file_hangs_on_the_picture() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera that says who I am"
    picture = open_picture(encode(photo(), "JPEG", exif=exif, comment=b"secret"))
    assert picture.info == {} and not dict(picture.getexif())
