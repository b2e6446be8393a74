"""Checks of a file's raw bytes before it is decoded: what kind of file it is, and whether decoding it is safe.

A decoder trusts a file's header. A few bytes there can make it allocate gigabytes (a TIFF tile larger than its picture,
a million fractions in one tag) or run for hours (a JPEG with thousands of scans), so these are counted first.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

MAX_EXIF_BYTES = 2**16  # EXIF must fit into one JPEG segment
MAX_PNG_TEXT = 4 * MAX_EXIF_BYTES  # of EXIF as text, two hexadecimal digits a byte, and line breaks
MAX_JPEG_SCANS = 100  # a progressive JPEG has about ten; decoding each costs as much as a small picture
MAX_TIFF_NUMBERS = 500_000  # in all tags; 160,000 tile offsets are legal, and each number takes up to 200 bytes
MAX_TILE_PIXELS = 2**24  # checked on its own, because a tile may be larger than its picture

_LOOKS_LIKE = (  # (offset, bytes there, everyday name of the format), only for the error message
    (0, b"PK\x03\x04", "a zip archive or an office document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL \r\n\x87\n", "a JPEG XL picture"),
    (4, b"jP  \r\n\x87\n", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
)
AVIF, HEIC = "an AVIF picture", "a HEIC photo"
# Brands of files in the ISO base media format (ISO/IEC 23008-12 and the AV1 Image File Format), in the order of search:
# a file may have several, and the general ones of HEIF stand in AVIF files too.
_BRANDS = (
    (AVIF, {b"avif", b"avis", b"avio"}),
    (HEIC, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}),
    ("a HEIF photo", {b"mif1", b"mif2", b"msf1", b"miaf", b"avci", b"avcs", b"jpeg", b"jpgs", b"vvic", b"vvis"}),
    ("a raw photo", {b"crx "}),
)
_MAX_BRANDS = 64
_PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"RIFF", b"II*", b"MM\0*", b"II+", b"MM\0+")

_PNG = b"\x89PNG\r\n\x1a\n"
# Inside coded pixels FF is followed by 00 or by a restart marker, D0 to D7.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)

# TIFF field types whose values each become one Python number in Pillow.
_TIFF_NUMBERS = frozenset({3, 4, 5, 8, 9, 10, 11, 12, 13, 16, 17, 18})
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_MORE_TAGS = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability: their values are offsets of further directories


def kind_of_file(data: bytes) -> str | None:
    """The everyday name of a file that is not recognised by Pillow, such as "a text file"; None if it has none here."""
    for offset, start, kind in _LOOKS_LIKE:
        if data[offset : offset + len(start)] == start:
            return kind
    if data[4:8] == b"ftyp":
        return _kind_of_brands(data)
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "a text file" if _is_text(data[:512]) else None


def _kind_of_brands(data: bytes) -> str:
    """The everyday name of a file in the ISO base media format, by its main brand or one that it is compatible with."""
    end = min(int.from_bytes(data[:4]), len(data), 16 + 4 * _MAX_BRANDS)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, end - 3, 4))}
    return next((kind for kind, known in _BRANDS if brands & known), "a video")


def starts_like_a_picture(data: bytes) -> bool:
    """Whether the first bytes are those of an accepted picture format, even if the rest is damaged."""
    return data.startswith(_PICTURE_STARTS) or (data[4:8] == b"ftyp" and _kind_of_brands(data) in (AVIF, HEIC))


def without_metadata(data: bytes) -> bytes:
    """The file without metadata that a decoder may stumble over; what gives the orientation stays.

    A PNG loses the chunks that its pixels do not need, such as long texts and colour profiles. A JPEG loses all EXIF
    blocks but the first, because a decoder would join hundreds of them into one.
    """
    if data.startswith(_PNG):
        return b"".join(_needed_png_parts(data))
    return _keep_first_exif(data) if data.startswith(b"\xff\xd8") else data


def _needed_png_parts(data: bytes) -> Iterator[bytes]:
    """Yield the signature and the needed chunks of a PNG up to its end, and what follows a chunk that is cut off."""
    yield _PNG
    place = len(_PNG)
    while place < len(data):
        length = int.from_bytes(data[place : place + 4])
        kind, end = data[place + 4 : place + 8], place + 12 + length
        if end > len(data):
            yield data[place:]
            return
        is_critical = not kind[0] & 0x20  # a capital letter (PNG specification, 5.4)
        if is_critical or kind == b"tRNS" or _may_turn(kind, data[place + 8 : end - 4]):
            yield data[place:end]
        if kind == b"IEND":
            return
        place = end


def _may_turn(kind: bytes, body: bytes) -> bool:
    """Whether a chunk of a PNG holds EXIF of a legal size, as such or as text (which is how ImageMagick writes it)."""
    if kind == b"eXIf":
        return len(body) <= MAX_EXIF_BYTES
    keyword, _, text = body[:MAX_PNG_TEXT].partition(b"\0")
    if keyword != b"Raw profile type exif" or len(body) > MAX_PNG_TEXT:
        return False
    if kind == b"zTXt":
        unpacking = zlib.decompressobj()
        try:
            unpacking.decompress(text[1:], MAX_PNG_TEXT)
        except zlib.error:
            return False
        return not unpacking.unconsumed_tail
    return kind == b"tEXt"


def _keep_first_exif(data: bytes) -> bytes:
    if data.count(b"Exif\0\0") < 2:
        return data
    end = data.index(b"Exif\0\0") + 6
    return data[:end] + data[end:].replace(b"Exif\0\0", b"none\0\0")


def is_safe_to_decode(data: bytes) -> bool:
    """False for a JPEG or TIFF whose header would cost far more time or memory than its number of pixels justifies."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg_scans(data) <= MAX_JPEG_SCANS
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


def _jpeg_scans(data: bytes) -> int:
    """The number of scans of a JPEG, counted to the end of its picture or until there are too many.

    Other files may follow the picture, such as the film of a motion photo, and stand in segments before it.
    """
    scans, place = 0, 2
    while scans <= MAX_JPEG_SCANS and (marker := _JPEG_MARKER.search(data, place)) is not None:
        kind, place = marker[1], marker.end()
        if kind == b"\xd9":  # the end of the picture
            break
        if kind not in (b"\x01", b"\xd8"):  # these have no length
            place += int.from_bytes(data[place : place + 2])
        scans += kind == b"\xda"
    return scans


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
