"""Good pictures that look odd: metadata, brands and trailing bytes never decide, and decoders disturb nobody."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from kdcore.errors import PictureError
from kdcore.pictures.decode import OPENS_AVIF, open_picture
from kdcore.pictures.headers import kind_of_file, starts_like_a_picture
from tests.picture_files import FORMATS, HEIC, encode, photo, refused


def pixels(data: bytes) -> bytes:
    return open_picture(data).tobytes()


def with_chunk(png: bytes, kind: bytes, body: bytes, check: int | None = None) -> bytes:
    """The PNG with one more chunk behind its header; a wrong checksum if `check` is given."""
    checksum = zlib.crc32(kind + body) if check is None else check
    return png[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum) + png[33:]


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_behind_a_picture_do_not_matter(format: str) -> None:
    data = encode(photo(), format)
    behind = np.random.default_rng(1).integers(0, 256, 9 * 2**20, dtype=np.uint8).tobytes()
    assert behind.count(b"\xff\xda") > 100, "as many as make a JPEG of too many scans"
    assert pixels(data + behind) == pixels(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_may_hold_other_files_in_its_segments(options: dict[str, bool]) -> None:
    data = encode(photo(), "JPEG", **options)
    segment = b"\xff\xec" + struct.pack(">H", 60_002) + b"\xff\xda" * 30_000
    assert pixels(data[:2] + segment * 3 + data[2:]) == pixels(data)


def test_a_jpeg_of_many_scans_is_still_refused() -> None:
    data = encode(photo(), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff", start + 20)
    while data[end + 1] in (0, *range(0xD0, 0xD8)):
        end = data.index(b"\xff", end + 1)
    assert "far more memory or time" in refused(data[:start] + data[start:end] * 200 + data[start:])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("international", [True, False])
def test_a_png_may_hold_long_texts(packed: bool, international: bool) -> None:
    info = PngImagePlugin.PngInfo()
    (info.add_itxt if international else info.add_text)("notes", "long " * 500_000, zip=packed)
    assert pixels(encode(photo(), "PNG", pnginfo=info)) == pixels(encode(photo(), "PNG"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(4_000_000))),
        (b"iCCP", b"profile\0\0no profile"),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"0" * 40_000_000)),
        (b"zTXt", b"Raw profile type exif\0\0damaged"),
        (b"pHYs", b"short"),
        (b"acTL", b"??"),
        (b"eXIf", b"MM\0*" + bytes(100_000)),
    ],
)
@pytest.mark.parametrize("check", [None, 7])
def test_odd_chunks_of_a_png_do_not_matter(kind: bytes, body: bytes, check: int | None) -> None:
    data = encode(photo(), "PNG")
    assert pixels(with_chunk(data, kind, body, check)) == pixels(data)


def test_large_profiles_do_not_matter() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(3_000_000)
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        assert pixels(encode(photo(), format, icc_profile=profile)) == pixels(encode(photo(), format)), format


@pytest.mark.parametrize("as_text", [True, False])
def test_the_orientation_of_a_png_is_kept(as_text: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    if as_text:
        raw = b"Exif\0\0" + exif.tobytes()
        body = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n" % len(raw) + raw.hex().encode() + b"\n")
        data = with_chunk(encode(photo(), "PNG"), b"zTXt", body)
    else:
        data = encode(photo(), "PNG", exif=exif)
    assert open_picture(data).size == (96, 128)


def test_transparency_and_palette_of_a_png_are_kept() -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 0)
    opened = open_picture(encode(picture, "PNG", transparency=0))
    assert (opened.getpixel((0, 0)), opened.getpixel((1, 1))) == ((255, 255, 255), (0, 0, 255))


@pytest.mark.parametrize(
    ("main", "others", "kind"),
    [
        *((brand, b"mif1", "a HEIC photo") for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis")),
        (b"msf1", b"mif1", "a HEIF photo"),
        (b"mif1", b"avci", "a HEIF photo"),
        (b"mif1", b"heic", "a HEIC photo"),
        (b"mif1", b"mif1avif", "an AVIF picture"),
        (b"avis", b"msf1", "an AVIF picture"),
        (b"avif", b"", "an AVIF picture"),
        (b"crx ", b"isom", "a raw photo"),
        (b"isom", b"iso2avc1mp41", "a video"),
        (b"qt  ", b"", "a video"),
    ],
)
def test_files_of_the_iso_format_are_called_by_their_brands(main: bytes, others: bytes, kind: str) -> None:
    data = struct.pack(">I", 16 + len(others)) + b"ftyp" + main + bytes(4) + others + b"avifheic" * 20
    assert kind_of_file(data) == kind and kind in refused(data)


@pytest.mark.skipif(not OPENS_AVIF, reason="this Pillow was built without libavif")
def test_an_avif_picture_is_opened_and_one_of_too_many_pixels_is_not() -> None:
    ramp = Image.linear_gradient("L").resize((128, 96)).convert("RGB")
    opened = np.asarray(open_picture(encode(ramp, "AVIF", quality=95)), np.int16)
    assert np.abs(opened - np.asarray(ramp, np.int16)).mean() < 3
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_picture(encode(photo(), "AVIF", exif=exif)).size == (96, 128)
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert np.asarray(open_picture(encode(clear, "AVIF"))).min() > 250
    assert "megapixels" in refused(encode(Image.new("L", (6000, 5000)), "AVIF", speed=10))


def with_heic_size(data: bytes, width: int, height: int) -> bytes:
    """The HEIC file, whose header says that it has this size."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def test_a_heic_photo_is_opened_upright_and_over_white() -> None:
    ramp = np.asarray(Image.linear_gradient("L").resize((128, 96)).convert("RGB"), np.int16)
    opened = np.asarray(open_picture(HEIC["ramp"]), np.int16)
    assert opened.shape == ramp.shape and np.abs(opened - ramp).mean() < 3
    turned = np.asarray(open_picture(HEIC["turned"]), np.int16)
    assert np.abs(turned - np.rot90(ramp, -1)).mean() < 3, "orientation 6 means: turn clockwise, and only once"
    half = np.asarray(open_picture(HEIC["half_clear"]))
    assert half[:, :28].max() < 10 and half[:, 36:].min() > 245
    deep = np.asarray(open_picture(HEIC["ten_bits"]), np.float64)
    assert np.abs(deep - np.linspace(0, 255, deep.size).reshape(deep.shape)).mean() < 3


def test_a_heic_photo_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    assert "megapixels" in refused(with_heic_size(HEIC["ramp"], 8000, 6000))
    assert "65,535" in refused(with_heic_size(HEIC["ramp"], 70_000, 10))
    assert "damaged" in refused(with_heic_size(HEIC["ramp"], 5000, 5000)), "more than it holds"


@pytest.mark.parametrize("name", [*FORMATS, "HEIC"])
def test_whatever_is_opened_is_a_picture_in_a_folder_too(name: str) -> None:
    data = HEIC["ramp"] if name == "HEIC" else encode(photo(), name)
    assert open_picture(data).size and starts_like_a_picture(data)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_heic_photo_cut_off_is_refused(quarter: int) -> None:
    data = HEIC["noise"]
    assert "damaged or cut off" in refused(data[: len(data) * quarter // 4])


def test_opening_a_heic_photo_leaves_pillow_as_it_was() -> None:
    before = (list(Image.ID), dict(Image.EXTENSION), dict(Image.MIME))
    open_picture(HEIC["ramp"])
    assert before == (Image.ID, Image.EXTENSION, Image.MIME)


def damaged_tiff() -> bytes:
    data = bytearray(encode(photo(), "TIFF", compression="tiff_adobe_deflate"))
    data[200:400] = bytes(200)
    return bytes(data)


def test_nothing_is_printed_beside_the_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    for format, options in (("TIFF", {"compression": name}) for name in ("tiff_lzw", "jpeg", "packbits", "group4")):
        picture = photo().convert("1" if options["compression"] == "group4" else "RGB")
        data = encode(picture, format, **options)
        for cut in (data[: len(data) // 2], data[:60] + bytes(99) + data[159:], damaged_tiff()):
            try:
                open_picture(cut)
            except PictureError:
                continue
    for format in FORMATS:
        data = encode(photo(), format)
        with pytest.raises(PictureError):
            open_picture(data[: len(data) // 2])
    assert capfd.readouterr() == ("", "")


def test_libtiff_speaks_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    def speak() -> str:
        with pytest.raises(OSError, match="decoder"):
            Image.open(io.BytesIO(damaged_tiff())).load()
        return capfd.readouterr().err

    before = speak()
    with pytest.raises(PictureError):
        open_picture(damaged_tiff())
    assert capfd.readouterr().err == "" and speak() == before


def test_warnings_of_other_threads_are_as_they_were() -> None:
    data, counted, done = encode(photo(), "TIFF"), [], threading.Event()

    def warn() -> None:
        while not done.is_set():
            try:
                warnings.warn("mine", UserWarning, stacklevel=1)
                counted.append("lost")
            except UserWarning:
                counted.append("raised")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        other = threading.Thread(target=warn)
        other.start()
        for _ in range(100):
            open_picture(data)
        done.set()
        other.join()
        assert set(counted) == {"raised"} and warnings.filters == before


def test_filters_that_another_thread_replaces_meanwhile_do_not_keep_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(warnings.filters)
    entered = warnings.catch_warnings()

    def crossed(*_: object) -> Image.Image:
        entered.__enter__()
        return photo()

    monkeypatch.setattr("kdcore.pictures.decode._decode", crossed)
    open_picture(b"any")
    entered.__exit__(None, None, None)
    assert warnings.filters == before
