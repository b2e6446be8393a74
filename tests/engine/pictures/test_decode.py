"""Uploaded pictures: every mode and orientation compared with NumPy, use from several threads, and no metadata left."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from kdcore.errors import PictureError
from kdcore.pictures.decode import open_picture
from tests.picture_files import chunk, encode, photo, pixels, png, ycck

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)  # [H, W, 3]
ALPHA = RNG.integers(0, 256, (5, 7), dtype=np.uint8)  # [H, W]


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return rgb * share + 255.0 * (1 - share)


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
    # As YCCK the same red is Y 179, Cb 171, Cr 1; Pillow writes what it is given the other way round.
    assert np.abs(pixels(ycck((76, 84, 254, 0))).astype(int) - [255, 0, 0]).max() <= 6
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    assert pixels(encode(lab, "TIFF")).min() >= 250


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(orientation: int, format: str) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = 255  # the top left quarter is white, so that all eight orientations differ
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


def test_orientation_is_read_where_imagemagick_leaves_it_and_not_from_a_block_of_megabytes() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    plain = encode(Image.new("RGB", (6, 3)), "PNG")
    at = plain.index(b"IDAT") - 4
    digits = "\n".join(["", "exif", f"{len(block):8d}", block.hex(), ""]).encode()
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(digits))
    assert open_picture(plain[:at] + text + plain[at:]).size == (3, 6)
    for padding, size in ((0, (3, 6)), (2**20, (6, 3))):
        padded = chunk(b"eXIf", block.removeprefix(b"Exif\0\0") + bytes(padding))
        assert open_picture(plain[:at] + padded + plain[at:]).size == size


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
