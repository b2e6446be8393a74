"""What a file says of itself before it is decoded: which kind it is, and whether what it announces is reasonable.

A decoder believes a file's header. A few bytes there may ask for gigabytes (a TIFF tile larger than its picture, a
million fractions in one tag) or for hours (a JPEG of thousands of scans), so these are counted first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAX_EXIF_BYTES = 2**16  # what fits into one JPEG segment, as EXIF demands
MAX_JPEG_SCANS = 100  # a progressive JPEG has about ten; each pass costs as much as a small picture
MAX_TIFF_NUMBERS = 500_000  # in all tags; offsets of 160,000 tiles are legal, and each number costs up to 200 bytes
MAX_TILE_PIXELS = 2**24  # a tile may be larger than its picture

_LOOKS_LIKE = (  # (offset, first bytes, what a visitor would call it): only to word the refusal
    (0, b"PK\x03\x04", "a zip archive or an office document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (4, b"ftypheic", "a HEIC photo"),
    (4, b"ftypheix", "a HEIC photo"),
    (4, b"ftypmif1", "a HEIC photo"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "a video"),
    (0, b"8BPS", "a Photoshop document"),
)
_PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"RIFF", b"II*", b"MM\0*", b"II+", b"MM\0+")

_TIFF_NUMBERS = frozenset({3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18})  # types that become a Python number each
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_MORE_TAGS = (0x8769, 0x8825, 0xA005)  # EXIF, GPS and interoperability: tags that point to more tags


def looks_like(data: bytes) -> str | None:
    """What a visitor would call a file that is no picture, such as "a text file"; None when that is not known."""
    for offset, start, kind in _LOOKS_LIKE:
        if data[offset : offset + len(start)] == start:
            return kind
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "a text file" if _is_text(data[:512]) else None


def starts_like_a_picture(data: bytes) -> bool:
    """Whether the first bytes are those of an accepted format, whatever follows."""
    return data.startswith(_PICTURE_STARTS)


def with_one_exif(data: bytes) -> bytes:
    """The same file with one EXIF block that a reader finds; a JPEG may carry hundreds that add up to one."""
    if not data.startswith(b"\xff\xd8") or data.count(b"Exif\0\0") < 2:
        return data
    end = data.index(b"Exif\0\0") + 6
    return data[:end] + data[end:].replace(b"Exif\0\0", b"none\0\0")


def is_reasonable(data: bytes) -> bool:
    """False for a JPEG or a TIFF whose header asks for far more time or memory than its picture needs."""
    if data.startswith(b"\xff\xd8"):
        return data.count(b"\xff\xda") <= MAX_JPEG_SCANS  # inside the coded pixels FF is always followed by 00
    if not data.startswith((b"II", b"MM")):
        return True
    numbers, tile = 0, {_TILE_WIDTH: 0, _TILE_HEIGHT: 0}
    for tag, kind, count, value in _tiff_tags(data):
        numbers += max(1, count) if kind in _TIFF_NUMBERS else 1
        if tag in tile:
            tile[tag] = max(tile[tag], value)
        if numbers > MAX_TIFF_NUMBERS or tile[_TILE_WIDTH] * tile[_TILE_HEIGHT] > MAX_TILE_PIXELS:
            return False
    return True


def _tiff_tags(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(tag, type, count, first value or offset) of the first directory and of those that it points to."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    first, size, entry = (8, 8, f"{order}HHQ") if big else (4, 4, f"{order}HHI")
    step = struct.calcsize(entry) + size
    word = f"{order}{'Q' if big else 'I'}"
    count_word = f"{order}{'Q' if big else 'H'}"
    try:
        ahead = [struct.unpack_from(word, data, first)[0]]
        for at in ahead:  # grows while the first directory is read, and only then
            (entries,) = struct.unpack_from(count_word, data, at)
            start = at + struct.calcsize(count_word)
            for place in range(start, min(start + entries * step, len(data) - step + 1), step):
                tag, kind, count = struct.unpack_from(entry, data, place)
                short = kind in (3, 8) and count * 2 <= size
                (value,) = struct.unpack_from(f"{order}H" if short else word, data, place + step - size)
                yield tag, kind, count, value
                if tag in _MORE_TAGS and at == ahead[0]:
                    ahead.append(value)
    except struct.error:  # cut off: the decoder says so
        return


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")  # the cut at the end may fall inside a character
    return len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text)
