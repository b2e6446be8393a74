"""Pictures as PNG files and data URLs for the browser; the functions here draw nothing on a page."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pages.ui.session.i18n import _

if TYPE_CHECKING:
    import torch


LOSSLESS_SIDE = 32  # pictures of at most this size, in pixels, are shown without compression losses


@dataclass(frozen=True)
class Sheet:
    """One image that contains frames of the same size, arranged row by row.

    Attributes:
        url: the image as a data URL.
        frames: number of frames.
        columns: number of frames in a row.
        width, height: size of one frame, in pixels.
        alt: the text alternative.
    """

    url: str
    frames: int
    columns: int
    width: int
    height: int
    alt: str = ""


def sheet(pictures: NDArray[np.uint8], alt: str = "", *, lossless: bool = False) -> Sheet:
    """Arrange pictures [N, H, W, 3] (or [N, H, W]) on one sheet and encode it.

    Args:
        lossless: True encodes PNG, for pictures as a network sees them; otherwise WebP at quality 88, a tenth of the
            size, which is good enough for the visitor's eye.
    """
    count, height, width = pictures.shape[:3]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    board = np.zeros((rows * height, columns * width, *pictures.shape[3:]), np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        board[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    image = Image.fromarray(board)
    url = data_url(image, "PNG") if lossless else data_url(image, "WEBP", quality=88, method=2)
    return Sheet(url, count, columns, width, height, alt)


def picture_sheet(picture: Image.Image, alt: str) -> Sheet:
    """Return a sheet with one picture of any shape, reduced to at most 640 pixels a side; no network sees it."""
    small = picture.convert("RGB")
    small.thumbnail((640, 640))
    return Sheet(data_url(small, "WEBP", quality=88, method=2), 1, 1, small.width, small.height, alt)


def data_url(image: Image.Image, kind: str, **options: int) -> str:
    """Return the image as a data URL, so that the page needs no further request for it.

    Args:
        kind: format of the image, such as "PNG".
        options: options of Pillow's encoder.
    """
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def png_of(picture: Image.Image) -> bytes:
    """Encode a picture as PNG with little compression, which is fast."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pixel_arrays(images: torch.Tensor) -> NDArray[np.uint8]:
    """Convert pictures uint8 [N, C, H, W] to [N, H, W, 3], or [N, H, W] where they are grey."""
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def picture_of(image: torch.Tensor) -> Image.Image:
    """Convert a picture uint8 [C, H, W], grey or in colour, to a picture of Pillow."""
    return Image.fromarray(pixel_arrays(image[None])[0])


def strip_url(images: torch.Tensor) -> str:
    """Return a data URL with the pictures uint8 [N, C, H, W] side by side, a little apart, in their own resolution."""
    count, channels, height, width = images.shape
    gap = max(1, width // 10)
    board = np.zeros((height, count * (width + gap) - gap, 4), np.uint8)
    for index, pixels in enumerate(images.permute(0, 2, 3, 1).numpy()):
        left = index * (width + gap)
        board[:, left : left + width, :3] = pixels if channels == 3 else np.repeat(pixels, 3, -1)
        board[:, left : left + width, 3] = 255
    picture = Image.fromarray(board)
    if height <= LOSSLESS_SIDE:
        return data_url(picture, "PNG")
    return data_url(picture, "WEBP", quality=88, method=2)


def size_words(image_shape: tuple[int, int, int]) -> str:
    """Return the size of a picture in words, such as `32 × 32, colour`."""
    channels, height, width = image_shape
    return f"{width} × {height}, {_('grey') if channels == 1 else _('colour')}"
