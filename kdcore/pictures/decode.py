"""Safe decoding of an uploaded picture file into a small RGB picture, or a one-sentence error for the visitor.

Uploads are untrusted: nothing is decoded before the number of bytes, the format and the number of pixels are known to
be within the limits. A decoded picture is shrunk at once, and a process decodes one picture at a time, so that the
memory used is bounded however many visitors there are.
"""

from __future__ import annotations

import importlib.util
import io
import re
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError, features

from kdcore.errors import PictureError
from kdcore.pictures import headers
from kdcore.pictures.heic import HeicDecoder
from kdcore.pictures.quiet import quiet_decoders

OPENS_AVIF = bool(features.check("avif"))  # false for a Pillow that was built without libavif
OPENS_HEIC = importlib.util.find_spec("pi_heif") is not None  # its wheels are made for Linux, macOS and Windows
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", *(("AVIF",) if OPENS_AVIF else ()))  # those of Pillow itself
_NAMES = ("PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF", *["AVIF"] * OPENS_AVIF, *["HEIC"] * OPENS_HEIC)
FORMATS_TEXT = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 40_000_000
MAX_JPEG_PIXELS = 64_000_000  # a JPEG is decoded at a fraction of its size, and phones take 50 megapixels
MAX_AVIF_PIXELS = 24_000_000  # each takes up to 18 bytes: 6 inside the decoder, and three copies of RGBA
MAX_HEIC_PIXELS = 32_000_000  # each takes up to 20 bytes, with alpha, 10 bits and full colour; phones take 24 million
MAX_LONG_SIDE = 65_535  # decoders also need memory per row, however short the row
MAX_SIDE = 1024  # pixels of the longer side that `open_picture` returns
MAX_DECODING_BYTES = 640 * 2**20  # peak memory of decoding, measured with the worst files within the limits

_ORIENTATION = 0x0112
_UPRIGHT_OPERATIONS = {  # EXIF orientation -> operation that sets the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PIXEL_LIMITS = {"JPEG": MAX_JPEG_PIXELS, "MPO": MAX_JPEG_PIXELS, "AVIF": MAX_AVIF_PIXELS, "HEIF": MAX_HEIC_PIXELS}
# One picture at a time, because this bounds the memory and `quiet_decoders` is for one thread at a time.
_DECODING = threading.Lock()
_HEIC_DECODER = HeicDecoder()


def open_picture(data: bytes, name: str = "") -> Image.Image:
    """Decode the bytes of one picture.

    Args:
        data: content of the file.
        name: the file's name, only for error messages; it is shortened and stripped of markup.

    Returns:
        An upright RGB picture of at most 1024 pixels on its longer side, without metadata: the first frame of an
        animation, with the EXIF orientation applied, 16 bits a channel scaled to 8, transparency over white.

    Raises:
        PictureError: the file cannot be accepted; its text is one sentence for the visitor.
    """
    label = _label(name)
    if not data:
        raise PictureError(f"{label} is empty (0 bytes); choose another picture, or save this one again.")
    if len(data) > MAX_BYTES:
        raise PictureError(
            f"{label} is larger than the {MAX_BYTES // 2**20} MB that are accepted; choose a smaller copy."
        )
    with _DECODING:
        if OPENS_HEIC and headers.kind_of_file(data) == headers.HEIC:
            return _HEIC_DECODER.decode(data, label)
        return decode_here(data, label)


def decode_here(data: bytes, label: str) -> Image.Image:
    """Decode a picture in this process, as `open_picture` does; for one thread at a time.

    Args:
        label: the picture's name in sentences.
    """
    with quiet_decoders():
        try:
            return _decode(data, label)
        except PictureError:
            raise
        except (Image.DecompressionBombError, MemoryError) as error:
            # Pillow refuses huge pictures before it gives their width and height, but its message has the pixels.
            pixels = re.search(r"\d+", str(error))
            size = f"{int(pixels[0]) / 1e6:,.0f} megapixels" if pixels else "more than this machine's memory"
            raise PictureError(
                f"{label} would unpack to {size}, and at most {MAX_PIXELS // 10**6} megapixels are accepted; "
                "save a smaller copy and choose that."
            ) from error
        except UnidentifiedImageError as error:
            raise PictureError(_refusal(data, label)) from error
        except Exception as error:  # on damaged files decoders raise exceptions of any kind, such as struct.error
            raise PictureError(
                f"{label} is damaged or cut off and cannot be decoded to its end; "
                "copy or save it again, or choose another picture."
            ) from error


def _decode(data: bytes, label: str) -> Image.Image:
    if not headers.is_safe_to_decode(data):
        raise PictureError(
            f"{label} would take far more memory or time than its size needs; save it again, or choose another picture."
        )
    with _open_lazily(data) as picture:
        width, height = picture.size
        if max(width, height) > MAX_LONG_SIDE:
            raise PictureError(
                f"{label} is {width:,} x {height:,} pixels, and a side may have at most {MAX_LONG_SIDE:,}; "
                "cut out a part and choose that."
            )
        limit = _PIXEL_LIMITS.get(str(picture.format), MAX_PIXELS)
        if width * height > limit:
            raise PictureError(
                f"{label} is {width:,} x {height:,} pixels, and a picture of this format may have at most "
                f"{limit // 10**6} megapixels; save a smaller copy and choose that."
            )
        if width < 1 or height < 1:
            raise PictureError(f"{label} has no pixels ({width} x {height}); choose another picture.")
        _draft(picture)
        raw_mode = str(picture.tile[0].args) if picture.format == "PNG" and picture.tile else ""
        picture.load()
        # Pillow turns a TIFF while loading it and then drops its orientation, so read the orientation after `load`.
        turn = _UPRIGHT_OPERATIONS.get(_orientation(picture))
        rgb = _shrink(_to_eight_bits(picture), _transparent(picture, raw_mode))
    rgb = rgb.transpose(turn) if turn is not None else rgb
    # A new object, so that the returned picture refers to no metadata, file or palette of the upload.
    return Image.frombytes("RGB", rgb.size, rgb.tobytes())


def _open_lazily(data: bytes) -> ImageFile.ImageFile:
    """Read the header of a picture; its pixels are not decoded before its `load`.

    pi-heif's class for HEIC is used directly: as a plugin it would change Pillow for the whole process. Damaged files
    can end the process in which it is used.

    Raises:
        UnidentifiedImageError: no decoder recognises the file.
    """
    if OPENS_HEIC and headers.kind_of_file(data) == headers.HEIC:
        from pi_heif.as_plugin import HeifImageFile  # loads two libraries, which most pictures do not need

        try:
            picture: ImageFile.ImageFile = HeifImageFile(io.BytesIO(data))
        except SyntaxError as error:  # with which Pillow's plugins say that they cannot open a file
            raise UnidentifiedImageError(str(error)) from error
        return picture
    return Image.open(io.BytesIO(headers.without_metadata(data)), formats=FORMATS)


def _draft(picture: Image.Image) -> None:
    """Make libjpeg decode a large picture at 1/2, 1/4 or 1/8 of its size, but never below twice `MAX_SIDE`."""
    scale = 2 * MAX_SIDE / max(picture.size)
    if scale < 1:
        picture.draft(None, (max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))


def _orientation(picture: Image.Image) -> int:
    try:
        exif = picture.info.get("exif") or picture.info.get("Raw profile type exif") or b""
        if len(exif) > 2 * headers.MAX_EXIF_BYTES:  # a raw profile is text, two hexadecimal digits a byte
            return 1
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # a picture with damaged EXIF is not turned
        return 1


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Scale grey of more than 8 bits to 8 bits, because `convert` would clip it to white; return others unchanged."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    low, high = _black_and_white_values(picture)
    grey = Image.new("L", picture.size)
    for top, pixels in _strips(picture):  # in strips: a float64 copy of the whole would take 8 bytes a pixel
        part = np.clip(np.rint((pixels - low) * (255.0 / (high - low))), 0, 255).astype(np.uint8)
        grey.paste(Image.fromarray(part), (0, top))
    return grey


def _strips(picture: Image.Image) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield strips of at most 256 rows from top to bottom: (first row, pixels [h, W] with 0 for NaN and infinity)."""
    for top in range(0, picture.height, 256):
        part = np.asarray(picture.crop((0, top, picture.width, min(top + 256, picture.height))), np.float64)
        yield top, np.where(np.isfinite(part), part, 0.0)


def _black_and_white_values(picture: Image.Image) -> tuple[float, float]:
    """The values that become black and white: from the number of bits if the format gives it, else from the pixels."""
    if picture.mode.startswith("I;16"):
        bits = picture.tag_v2.get(258, (16,))[0] if hasattr(picture, "tag_v2") else 16  # 12-bit TIFFs exist
        return 0.0, float(2 ** min(int(bits), 16) - 1)
    ends = [(float(part.min()), float(part.max())) for _top, part in _strips(picture)]
    low, high = min(smallest for smallest, _ in ends), max(largest for _, largest in ends)
    tops = (1.0, 255.0, 65535.0) if picture.mode.startswith("F") else (255.0, 65535.0)
    if low >= 0:
        for top in tops:
            if high <= top:
                return 0.0, top
    return low, max(high, low + 1.0)


def _transparent(picture: Image.Image, raw_mode: str) -> Image.Image | None:
    """The mask (mode 1) of the pixels that equal a PNG's single transparent colour; None if it defines no such colour.

    Pillow gives the colour in the file's bit depth but the pixels in 8 bits, so it is converted first.

    Args:
        raw_mode: Pillow's name of the pixel format in the file, such as "L;4" or "RGB;16B".
    """
    colour = picture.info.get("transparency")
    if colour is None or picture.mode not in ("1", "L", "I;16", "RGB"):
        return None
    if picture.mode == "RGB":
        shift = 8 if ";16" in raw_mode else 0
        wanted = np.array([int(value) >> shift for value in colour])
        return Image.fromarray((np.asarray(picture) == wanted).all(axis=2))
    factor = {"1": 255, "L;2": 85, "L;4": 17}.get(raw_mode, 1) if picture.mode != "1" else 1
    return Image.fromarray(np.asarray(picture) == int(colour) * factor)


def _shrink(picture: Image.Image, transparent: Image.Image | None) -> Image.Image:
    """Convert to RGB over white with sides of at most `MAX_SIDE`, strip by strip to avoid a second large copy."""
    width, height = picture.size
    factor = max(1, max(width, height) // (2 * MAX_SIDE))  # average boxes of this side first, then resample
    strip = 64 * factor
    canvas = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, strip):
        box = (0, top, width, min(top + strip, height))
        part = _over_white(picture.crop(box), transparent.crop(box) if transparent else None)
        canvas.paste(part.reduce(factor) if factor > 1 else part, (0, top // factor))
    longest = max(canvas.size)
    if longest <= MAX_SIDE:
        return canvas
    scale = MAX_SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return canvas.resize(size, Image.Resampling.LANCZOS)


def _over_white(part: Image.Image, transparent: Image.Image | None) -> Image.Image:
    if transparent is not None:
        rgb = part.convert("RGB")
        rgb.paste((255, 255, 255), mask=transparent)
        return rgb
    if part.mode == "LAB":
        transform = ImageCms.profileToProfile(
            part, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        return transform if transform is not None else part
    if part.has_transparency_data:
        rgba = part.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba).convert("RGB")
    return part.convert("RGB")


def _label(name: str) -> str:
    """The subject of an error sentence: the uploaded file's name without folders and markup, at most 40 characters."""
    last = re.split(r"[/\\]", name)[-1]
    clean = re.sub(r"[^\w .()+-]", "_", last).strip(" ._")
    if not clean:
        return "The picture"
    return f'The picture "{clean if len(clean) <= 40 else clean[:24] + "..." + clean[-13:]}"'


def _refusal(data: bytes, label: str) -> str:
    """The error sentence for a file that no allowed decoder recognises."""
    legal = f"{FORMATS_TEXT} are accepted; save it in one of these formats and choose that."
    kind = headers.kind_of_file(data)
    if (kind == headers.AVIF and OPENS_AVIF) or (kind == headers.HEIC and OPENS_HEIC):
        return f"{label} is {kind} that is damaged or cut off; copy or save it again, or choose another picture."
    if kind is not None:
        return f"{label} is {kind}, and only {legal}"
    if headers.starts_like_a_picture(data):
        return f"{label} is damaged or cut off at its start; copy or save it again, or choose another picture."
    return f"{label} is not a picture that can be opened: only {legal}"
