"""Checks of a file's raw bytes before it is decoded: what kind of file it is, and whether decoding it is safe.

A decoder trusts a file's header. A few bytes there can make it allocate gigabytes (a TIFF tile larger than its picture,
a million fractions in one tag) or run for hours (a JPEG with thousands of scans), so these are counted first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MAX_EXIF_BYTES = 2**16  # EXIF must fit into one JPEG segment
MAX_JPEG_SCANS = 100  # a progressive JPEG has about ten; decoding each costs as much as a small picture
MAX_TIFF_NUMBERS = 500_000  # in all tags; 160,000 tile offsets are legal, and each number takes up to 200 bytes
MAX_TILE_PIXELS = 2**24  # checked on its own, because a tile may be larger than its picture

_LOOKS_LIKE = (  # (offset, bytes there, everyday name of the format), only for the error message
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

# TIFF field types whose values each become one Python number in Pillow.
_TIFF_NUMBERS = frozenset({3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18})
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_MORE_TAGS = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability: their values are offsets of further directories


def kind_of_file(data: bytes) -> str | None:
    """The everyday name of a file that is no accepted picture, such as "a text file"; None if it is not recognised."""
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
    """Whether the first bytes are those of an accepted picture format, even if the rest is damaged."""
    return data.startswith(_PICTURE_STARTS)


def keep_first_exif(data: bytes) -> bytes:
    """Disable all EXIF blocks of a JPEG but the first, because a decoder would join hundreds of them into one."""
    if not data.startswith(b"\xff\xd8") or data.count(b"Exif\0\0") < 2:
        return data
    end = data.index(b"Exif\0\0") + 6
    return data[:end] + data[end:].replace(b"Exif\0\0", b"none\0\0")


def is_safe_to_decode(data: bytes) -> bool:
    """False for a JPEG or TIFF whose header would cost far more time or memory than its number of pixels justifies."""
    if data.startswith(b"\xff\xd8"):
        # Counts start-of-scan markers; inside coded pixels FF is always followed by 00.
        return data.count(b"\xff\xda") <= MAX_JPEG_SCANS
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
    """Yield (tag, type, count, first value or offset) of a TIFF's first directory and those that its tags point to."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    first_offset, size, entry = (8, 8, f"{order}HHQ") if big else (4, 4, f"{order}HHI")
    entry_bytes = struct.calcsize(entry) + size
    word = f"{order}{'Q' if big else 'I'}"
    count_word = f"{order}{'Q' if big else 'H'}"
    try:
        directories = [struct.unpack_from(word, data, first_offset)[0]]
        for directory in directories:  # the list grows while the first directory is read, and only then
            (entries,) = struct.unpack_from(count_word, data, directory)
            start = directory + struct.calcsize(count_word)
            end = min(start + entries * entry_bytes, len(data) - entry_bytes + 1)
            for offset in range(start, end, entry_bytes):
                tag, kind, count = struct.unpack_from(entry, data, offset)
                short = kind in (3, 8) and count * 2 <= size
                (value,) = struct.unpack_from(f"{order}H" if short else word, data, offset + entry_bytes - size)
                yield tag, kind, count, value
                if tag in _MORE_TAGS and directory == directories[0]:
                    directories.append(value)
    except struct.error:  # the file is cut off; the decoder will report it
        return


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")  # the cut may fall inside a character
    return len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text)
