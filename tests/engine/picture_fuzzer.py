"""Breaks real pictures in every way that transport, disks and malice do, and opens them.

    python -m tests.engine.picture_fuzzer --seconds 60 --seed 1

One seed makes one broken file, so that whatever is found can be made again: the last line on standard output is one
JSON object, and the seed that is being tried stands in the file that `--trace` names, for when a decoder takes the
process down with it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import psutil
from PIL import Image

from kdcore.errors import PictureError
from kdcore.pictures.decode import MAX_SIDE, OPENS_AVIF, open_picture
from tests.picture_files import FORMATS, HEIC, encode, photo, ycck

LENGTHS = (0, 1, 2, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def originals() -> list[bytes]:
    """Whole files of every format, in the variants that decoders treat differently; photos when they are there."""
    noise = photo()
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    animation = {"save_all": True, "append_images": frames[1:]}
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [encode(noise, format) for format in FORMATS]
    files += [encode(frames[0], format, **animation) for format in ("GIF", "WEBP", "PNG", "TIFF")]
    files += [encode(noise.convert(mode), "PNG") for mode in ("1", "L", "LA", "RGBA", "I;16")]
    files += [encode(noise.convert("RGBA"), "WEBP", lossless=True), encode(noise.quantize(16), "PNG", transparency=3)]
    files += [encode(noise, "JPEG", progressive=True, exif=exif), ycck((1, 2, 3, 4))]
    files += [encode(noise.convert("CMYK"), format) for format in ("JPEG", "TIFF")]
    files += [encode(noise.convert(mode), "TIFF") for mode in ("1", "F", "I", "LAB")]
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files.append(encode(noise, "TIFF", compression=compression, exif=exif))
    files.append(encode(noise.convert("1"), "TIFF", compression="group4"))
    files.append(encode(noise.quantize(4), "BMP"))
    files += HEIC.values()
    if OPENS_AVIF:
        files += [encode(noise, "AVIF"), encode(noise.convert("RGBA"), "AVIF"), encode(frames[0], "AVIF", **animation)]
    named = os.environ.get("KDCORE_DATA", "")
    photos = sorted((Path(named) / "photos").glob("*.jpg"))[::6] if named else []
    for path in photos:
        real = Image.open(path)
        real.thumbnail((256, 256))
        files += [path.read_bytes(), *(encode(real.convert("RGB"), format) for format in FORMATS)]
    return files


def mutate(files: list[bytes], seed: int) -> bytes:
    """The broken file of one seed."""
    dice = random.Random(seed)
    data = bytearray(dice.choice(files))
    whole_png = data.startswith(b"\x89PNG")
    ways: tuple[Callable[[random.Random, bytearray, list[bytes]], None], ...] = (
        _flip, _flip, _length, _length, _cut, _splice, _remove, _repeat,
    )  # fmt: skip
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        dice.choice(ways)(dice, data, files)
    # A PNG with a wrong checksum is refused before its decoder is tried, so most get right ones.
    return _right_checksums(bytes(data)) if whole_png and dice.random() < 0.8 else bytes(data)


def _place(dice: random.Random, data: bytearray) -> int:
    """Headers are where it hurts, so half of the places lie there."""
    return dice.randrange(max(1, len(data) if dice.random() < 0.5 else min(len(data), 400)))


def _flip(dice: random.Random, data: bytearray, _files: list[bytes]) -> None:
    for _ in range(dice.randint(1, 4)):
        at = _place(dice, data)
        data[at : at + 1] = bytes([dice.randrange(256)])


def _length(dice: random.Random, data: bytearray, _files: list[bytes]) -> None:
    code = dice.choice((">H", "<H", ">I", "<I"))
    number = struct.pack(code, dice.choice(LENGTHS) & (0xFFFF if code[1] == "H" else 0xFFFFFFFF))
    at = _place(dice, data)
    data[at : at + len(number)] = number


def _cut(dice: random.Random, data: bytearray, _files: list[bytes]) -> None:
    del data[_place(dice, data) :]


def _splice(dice: random.Random, data: bytearray, files: list[bytes]) -> None:
    other = dice.choice(files)
    data[_place(dice, data) :] = other[dice.randrange(len(other)) :]


def _remove(dice: random.Random, data: bytearray, _files: list[bytes]) -> None:
    at = _place(dice, data)
    del data[at : at + dice.randint(1, 64)]


def _repeat(dice: random.Random, data: bytearray, _files: list[bytes]) -> None:
    at = _place(dice, data)
    data[at:at] = data[at : at + dice.randint(1, 256)] * dice.randint(1, 4)


def _right_checksums(data: bytes) -> bytes:
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        out += data[at:end] + struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(out) + data[at:]


def peak_bytes() -> int:
    """The most memory that this process ever had, or the one that decodes HEIC for it: only one decodes at a time.

    On Linux it is not from getrusage, which begins with the parent's.
    """
    here = psutil.Process()
    return max(_peak_bytes_of(process) for process in (here, *here.children()))


def _peak_bytes_of(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        return 1024 * int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    memory = process.memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Break pictures and open them.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="the first; each file takes the next one")
    parser.add_argument("--trace", type=Path, help="a file that holds the seed that is being tried")
    told = parser.parse_args(arguments)
    faulthandler.enable()
    files = originals()
    for data in files:
        open_picture(data)  # an original that does not open would prove nothing
    before, counts, slowest = peak_bytes(), {"opened": 0, "refused": 0}, (0.0, 0)
    trace = os.open(told.trace, os.O_WRONLY | os.O_CREAT) if told.trace else -1
    seed, end = told.seed, time.perf_counter() + told.seconds
    while time.perf_counter() < end:
        if trace >= 0:
            os.lseek(trace, 0, os.SEEK_SET)
            os.write(trace, b"%-20d" % seed)
        data = mutate(files, seed)
        began = time.perf_counter()
        try:
            picture = open_picture(data, "holiday.png")
        except PictureError as error:
            counts["refused"] += 1
            sentence = str(error)
            if "\n" in sentence or not sentence.endswith("."):
                raise AssertionError(f"seed {seed}: not one sentence: {sentence!r}") from error
        else:
            counts["opened"] += 1
            if picture.mode != "RGB" or not 1 <= min(picture.size) <= max(picture.size) <= MAX_SIDE or picture.info:
                raise AssertionError(f"seed {seed}: {picture.mode} {picture.size} {picture.info}")
        slowest = max(slowest, (time.perf_counter() - began, seed))
        seed += 1
    print(
        json.dumps({
            **counts, "originals": len(files), "slowest_seconds": round(slowest[0], 3), "slowest_seed": slowest[1],
            "memory_bytes": peak_bytes() - before,
        })
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
