"""Files that stand for what anybody may upload: honest ones, and ones that lie."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdcore.errors import KdError, PictureError
from kdcore.pictures.decode import open_picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


# Made with pillow-heif 1.8.1 from ramps, noise and plain colours, because pi-heif has no encoder.
_HEIC_FOLDER = Path(__file__).parent / "heic"
HEIC = {path.stem: path.read_bytes() for path in sorted(_HEIC_FOLDER.glob("*.heic"))}
HEAVIEST_HEIC = _HEIC_FOLDER / "large" / "heaviest.heic"


def encode(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def photo() -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def pixels(data: bytes) -> np.ndarray:
    picture = open_picture(data)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, transparent: bytes = b"") -> bytes:
    """A PNG by hand: the independent reference for bit depths and tRNS that Pillow does not write."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    extra = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def blank_png(size: tuple[int, int], depth: int, colour: int, row_bytes: int) -> bytes:
    """A black PNG of any size, a few kilobytes long, made without holding its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(row_bytes + 1)
    body = b"".join(packer.compress(row * 100) for _ in range(size[1] // 100))
    body += packer.compress(row * (size[1] % 100)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff(tags: dict[int, tuple[int, int, int | None]], extra: bytes = b"", size: tuple[int, int] = (4, 4)) -> bytes:
    """A grey TIFF by hand. `tags`: number -> (type, count, value; None for the offset of `extra`)."""
    width, height = size
    plain = {
        256: (3, 1, width), 257: (3, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, -1), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height),
    }  # fmt: skip
    every = {**plain, **tags}
    at = 14 + 12 * len(every)
    body = b"".join(
        struct.pack("<HHII", tag, kind, count, at + width * height if value is None else at if value < 0 else value)
        for tag, (kind, count, value) in sorted(every.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(every)) + body + bytes(4 + width * height) + extra


def jpeg_with_size(width: int, height: int) -> bytes:
    """A small JPEG whose header says that it has this size."""
    data = encode(photo(), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def ycck(ink: tuple[int, int, int, int]) -> bytes:
    """A JPEG of one colour whose four channels are YCCK: Adobe's marker with transform 2 says so."""
    plain = encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
    at = plain.index(b"Adobe")
    return plain[: at + 11] + b"\x02" + plain[at + 12 :]


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "hello" * 100)
    return buffer.getvalue()


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
