"""Views: augmented versions of pictures, computed for whole batches of tensors.

Students see a finite set of views (mirror image or not, times shifts), so that the teacher_logits of every view can be
computed once and cached. A teacher trains on an unlimited number of random views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 [B, C, H, W] in 0 to 255 to float32 in -1 to 1, the input range of every network here."""
    return images.float().div_(127.5).sub_(1.0)


def zoom_middle(pictures: Tensor, crop: float) -> Tensor:
    """Crop each picture to the middle `crop` (0 to 1) of its sides, enlarged to full size: float [B, C, H, W]."""
    height, width = pictures.shape[-2:]
    down, right = round(height * (1 - crop) / 2), round(width * (1 - crop) / 2)
    if not (down or right):
        return pictures
    middle = pictures[..., down : height - down, right : width - right]
    return F.interpolate(middle, size=(height, width), mode="bilinear", align_corners=False)


def resize_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize pictures with anti-aliasing: uint8 [N, C, H, W] -> uint8 [N, C, *size]."""
    if images.shape[-2:] == size:
        return images
    parts = [
        F.interpolate(chunk.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
        for chunk in images.split(1024)
    ]
    return torch.cat([part.round_().clamp_(0, 255).to(torch.uint8) for part in parts])


@dataclass(frozen=True)
class ViewSet:
    """The finite set of views of a picture: all combinations of mirror image and shift.

    Attributes:
        flip: whether the set includes mirror images (never for digits).
        shift: shift in pixels; each axis is shifted by -shift, 0 or +shift.
    """

    flip: bool
    shift: int

    @property
    def offsets(self) -> tuple[tuple[int, int, bool], ...]:
        """(pixels down, pixels right, mirrored) of each view; view 0 is the unchanged picture."""
        steps = (0, -self.shift, self.shift) if self.shift else (0,)
        mirrored = (False, True) if self.flip else (False,)
        return tuple((dy, dx, flip) for flip in mirrored for dy in steps for dx in steps)

    def __len__(self) -> int:
        return len(self.offsets)

    def apply(self, images: Tensor, view: int) -> Tensor:
        """View number `view` of every picture, uint8 [B, C, H, W] -> same shape; shifts repeat the edge pixels."""
        dy, dx, mirrored = self.offsets[view]
        if mirrored:
            images = images.flip(-1)
        if not (dy or dx):
            return images
        height, width = images.shape[-2:]
        rows, columns = _shifted(height, dy, images.device), _shifted(width, dx, images.device)
        return images[..., rows[:, None], columns]

    def apply_each(self, images: Tensor, views: Tensor) -> Tensor:
        """Like `apply`, with a different view for each picture.

        Args:
            images: uint8 [B, C, H, W].
            views: the number of the view for each picture, int64 [B].

        Returns:
            uint8 [B, C, H, W].
        """
        table = torch.tensor(self.offsets).to(images.device, non_blocking=True)  # [V, 3]
        dy, dx, mirrored = table[views].unbind(1)
        height, width = images.shape[-2:]
        rows = _shifted(height, dy[:, None], images.device)  # [B, H]
        columns = _shifted(width, dx[:, None], images.device)  # [B, W]
        columns = torch.where(mirrored[:, None].bool(), width - 1 - columns, columns)
        batch = torch.arange(len(images), device=images.device)
        # Advanced indices around a slice move the channel axis to the end: [B, H, W, C].
        return images[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _shifted(length: int, shift: int | Tensor, device: torch.device) -> Tensor:
    """The positions along a side of `length` pixels from which a picture shifted by `shift` takes its pixels.

    Positions beyond an edge become those of the edge. A shift of [B, 1] gives positions [B, length].
    """
    return (torch.arange(length, device=device) - shift).clamp(0, length - 1)


@dataclass(frozen=True)
class RandomViews:
    """Random views for training a teacher; the changes are drawn anew for every picture of every batch.

    Attributes:
        flip: mirror half of the pictures.
        zoom: smallest share of a side that a crop may keep; 1 means no zoom.
        shift: largest shift, as a share of the side.
        light: largest change of brightness and of contrast, as a share.
        cutout: side of a square that is greyed out, as a share of the picture's; 0 for none (DeVries and Taylor 2017).
        turn: largest rotation in either direction, in degrees.
        stretch: largest change of the aspect ratio, as a share.
        colour: largest change of the saturation, as a share.
    """

    flip: bool
    zoom: float = 1.0
    shift: float = 0.0
    light: float = 0.0
    cutout: float = 0.0
    turn: float = 0.0
    stretch: float = 0.0
    colour: float = 0.0

    def apply(
        self,
        images: Tensor,
        generator: torch.Generator,
        size: int | None = None,
        share: slice | None = None,
    ) -> Tensor:
        """Draw one random view of each picture: uint8 [B, C, H, W] -> float32 [B, C, size, size].

        The values are in about -1 to 1; the result is on the device of `images`.

        Args:
            generator: a CPU generator, so that a seed gives the same views on every device.
            size: side of the views in pixels; by default H.
            share: compute only these rows of the batch (for training in several processes); by default all. Random
                numbers are drawn for the whole batch in any case.
        """
        batch, channels, height, _ = images.shape
        size, share = size or height, share or slice(None)
        images = images[share]

        def on_device(numbers: Tensor) -> Tensor:
            """The rows of `share` of drawn numbers, copied to the device of the pictures without waiting for it."""
            return numbers[share].to(images.device, non_blocking=True)

        draw = torch.rand(batch, 6, generator=generator)
        hole = torch.rand(batch, 2, generator=generator) if self.cutout else None
        # Drawn only if used, so that recipes without these changes keep the views that they had before.
        if self.turn or self.stretch or self.colour:
            extra_draw = 2 * torch.rand(batch, 3, generator=generator) - 1
        else:
            extra_draw = torch.zeros(batch, 3)
        crops = self._crops(draw, extra_draw, size, height)
        grid = F.affine_grid(on_device(crops), [len(images), channels, size, size], align_corners=False)
        views = F.grid_sample(to_float(images), grid, padding_mode="reflection", align_corners=False)
        if self.colour:
            grey = views.mean(1, keepdim=True)
            views = grey + (views - grey) * on_device(1 + self.colour * extra_draw[:, 2]).view(-1, 1, 1, 1)
        if self.light:
            contrast = 1 + self.light * (2 * draw[:, 4] - 1)
            brightness = self.light * (2 * draw[:, 5] - 1)
            views = views * on_device(contrast).view(-1, 1, 1, 1) + on_device(brightness).view(-1, 1, 1, 1)
        return views if hole is None else _hide(views, on_device(hole), self.cutout)

    def _crops(self, draw: Tensor, extra_draw: Tensor, size: int, height: int) -> Tensor:
        """The part of its picture that each view shows, as an affine map for `affine_grid`, [B, 2, 3].

        Args:
            draw: [B, 6] in 0 to 1; the first four decide on the crop's size, on mirroring, and on the crop's place.
            extra_draw: [B, 3] in -1 to 1; the first two decide on the rotation and the aspect ratio.
            size, height: side of the views and of the pictures, pixels.
        """
        scale = self.zoom + (1 - self.zoom) * draw[:, 0]
        mirror = torch.where(draw[:, 1] < 0.5, -1.0, 1.0) if self.flip else torch.ones(len(draw))
        angle = extra_draw[:, 0] * math.radians(self.turn)
        ratio = (extra_draw[:, 1] * math.log1p(self.stretch) / 2).exp()
        wide, high = scale * ratio * mirror, scale / ratio
        centre_range = (1 - scale) + 2 * self.shift  # a crop may lie anywhere in the picture
        move = centre_range[:, None] * (2 * draw[:, 2:4] - 1)
        if self.zoom == 1 and size == height and not self.turn and not self.stretch:
            move = (move * (size / 2)).round() * (2 / size)  # whole pixels, so that interpolation blurs nothing
        crops = torch.zeros(len(draw), 2, 3)
        crops[:, 0, 0], crops[:, 0, 1] = angle.cos() * wide, -angle.sin() * high
        crops[:, 1, 0], crops[:, 1, 1] = angle.sin() * wide, angle.cos() * high
        crops[:, 0, 2], crops[:, 1, 2] = move[:, 0], move[:, 1]
        return crops


def _hide(views: Tensor, middle: Tensor, side: float) -> Tensor:
    """Grey out a square in each picture.

    Args:
        views: float [B, C, H, W].
        middle: centre of each square (down, right), as shares of the sides, [B, 2].
        side: side of the squares, as a share of the picture's.
    """
    height, width = views.shape[-2:]
    rows = (torch.arange(height, device=views.device) + 0.5) / height
    columns = (torch.arange(width, device=views.device) + 0.5) / width
    down = (rows - middle[:, :1]).abs() < side / 2  # [B, H]
    across = (columns - middle[:, 1:]).abs() < side / 2  # [B, W]
    return views.masked_fill((down[:, :, None] & across[:, None, :])[:, None], 0.0)
