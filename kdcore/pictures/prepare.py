"""Bring a decoded picture to the size and range that a network expects."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def prepare_picture(
    picture: Image.Image,
    image_shape: tuple[int, int, int],
    short_side: int | None = None,
    interpolation: str = "bilinear",
    dark_ground: bool = True,
) -> Tensor:
    """Cut the middle square out of a picture and resize it with anti-aliasing: uint8 [1, C, H, W].

    With a `short_side` the picture is first resized to so many pixels on its short side, and then its middle [H, W] is
    cut out, as torchvision's own presets do.

    Networks for grey pictures (C = 1) learned bright strokes on a dark ground, so a grey picture with a bright border
    is inverted, unless `dark_ground` is False: pictures of a published dataset stand on the right ground already.
    """
    # Loads torchvision, which takes seconds.
    from kdcore.machine.torchvision_import import InterpolationMode, transforms

    channels, height, width = image_shape
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    image = torch.from_numpy(pixels.copy()).view(*pixels.shape[:2], channels).permute(2, 0, 1)[None]
    side = min(image.shape[-2:])
    if short_side is not None:  # cut a long strip first: resized whole it would be huge
        image = transforms.center_crop(image, [min(size, 2 * side) for size in image.shape[-2:]])
        image = transforms.resize(image, [short_side], interpolation=InterpolationMode(interpolation), antialias=True)
        side = height
    image = transforms.center_crop(image, [side, side])
    if channels == 1 and dark_ground:
        border = torch.cat([image[..., 0, :], image[..., -1, :], image[..., :, 0], image[..., :, -1]], -1)
        if border.float().mean() > 127:
            image = 255 - image
    resized: Tensor = transforms.resize(
        image, [height, width], interpolation=InterpolationMode(interpolation), antialias=True
    )
    return resized.contiguous()
