"""Views: augmented versions of pictures, made on whole batches of tensors.

Students see a *finite* set of views (flip x shifts), so that the teacher's logits for every view can be computed
once and kept. A teacher trains on endless random views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] of 0 to 255 -> float32 of -1 to 1, what every network here takes."""
    return images.float().div_(127.5).sub_(1.0)


def zoom_middle(pictures: Tensor, crop: float) -> Tensor:
    """The middle `crop` (0 to 1) of the side of each picture, enlarged to the whole: float [B, C, H, W]."""
    height, width = pictures.shape[-2:]
    down, right = round(height * (1 - crop) / 2), round(width * (1 - crop) / 2)
    if not (down or right):
        return pictures
    middle = pictures[..., down : height - down, right : width - right]
    return F.interpolate(middle, size=(height, width), mode="bilinear", align_corners=False)


def resize_images(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures in another size, with anti-aliasing: uint8 [N, C, H, W] -> uint8 [N, C, *size]."""
    if images.shape[-2:] == size:
        return images
    parts = [
        F.interpolate(chunk.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
        for chunk in images.split(1024)
    ]
    return torch.cat([part.round_().clamp_(0, 255).to(torch.uint8) for part in parts])


@dataclass(frozen=True)
class ViewSet:
    """All combinations of mirror image and shift.

    Attributes:
        flip: whether mirror images are views too (never for digits).
        shift: the largest shift in pixels, each way; only -shift, 0 and +shift are used.
    """

    flip: bool
    shift: int

    @property
    def offsets(self) -> tuple[tuple[int, int, bool], ...]:
        """(down, right, mirrored) of each view; view 0 is the picture itself."""
        steps = (0, -self.shift, self.shift) if self.shift else (0,)
        mirrored = (False, True) if self.flip else (False,)
        return tuple((dy, dx, flip) for flip in mirrored for dy in steps for dx in steps)

    def __len__(self) -> int:
        return len(self.offsets)

    def apply(self, images: Tensor, view: int) -> Tensor:
        """View number `view` of every picture: uint8 [B, C, H, W] -> the same shape; edges are repeated."""
        dy, dx, mirrored = self.offsets[view]
        if mirrored:
            images = images.flip(-1)
        if not (dy or dx):
            return images
        height, width = images.shape[-2:]
        rows = (torch.arange(height, device=images.device) - dy).clamp(0, height - 1)
        columns = (torch.arange(width, device=images.device) - dx).clamp(0, width - 1)
        return images[..., rows[:, None], columns]

    def apply_each(self, images: Tensor, views: Tensor) -> Tensor:
        """A view of its own for each picture.

        Args:
            images: uint8 [B, C, H, W].
            views: int64 [B].
        """
        table = torch.tensor(self.offsets).to(images.device, non_blocking=True)  # [V, 3]
        dy, dx, mirrored = table[views].unbind(1)
        height, width = images.shape[-2:]
        rows = (torch.arange(height, device=images.device) - dy[:, None]).clamp(0, height - 1)  # [B, H]
        columns = (torch.arange(width, device=images.device) - dx[:, None]).clamp(0, width - 1)  # [B, W]
        columns = torch.where(mirrored[:, None].bool(), width - 1 - columns, columns)
        batch = torch.arange(len(images), device=images.device)
        # Advanced indices around a slice move the channel axis to the end: [B, H, W, C].
        return images[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@dataclass(frozen=True)
class RandomViews:
    """Endless views for training a teacher: mirror, zoom, turn, move and light, drawn anew for each picture.

    Attributes:
        flip: mirror half of the pictures.
        zoom: smallest share of the side that is kept, 1 for all of it.
        shift: largest shift as a share of the side.
        light: largest change of brightness and contrast, as a share.
        cutout: side of a square that is hidden, as a share (DeVries and Taylor 2017).
        turn: largest rotation, each way, in degrees.
        stretch: largest change of the ratio of the sides, as a share.
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
        """uint8 [B, C, H, W] -> float32 [B, C, size, size] in about -1 to 1, where the pictures are.

        Args:
            generator: of the CPU, so that a seed means the same views on every device.
            size: H unless given.
            share: of the batch, whose views are wanted, all unless given; numbers are drawn for the whole batch.
        """
        batch, channels, height, _ = images.shape
        size, share = size or height, share or slice(None)
        images = images[share]

        def here(numbers: Tensor) -> Tensor:
            """The share of what was drawn, beside the pictures; nothing waits for it."""
            return numbers[share].to(images.device, non_blocking=True)

        draw = torch.rand(batch, 6, generator=generator)
        hole = torch.rand(batch, 2, generator=generator) if self.cutout else None
        scale = self.zoom + (1 - self.zoom) * draw[:, 0]
        room = (1 - scale) + 2 * self.shift  # a zoomed view may lie anywhere in the picture
        theta = torch.zeros(batch, 2, 3)
        mirror = torch.where(draw[:, 1] < 0.5, -1.0, 1.0) if self.flip else torch.ones(batch)
        # Nothing is drawn that is not asked for: the views of a recipe without these stay what they were.
        drawn = self.turn or self.stretch or self.colour
        more = 2 * torch.rand(batch, 3, generator=generator) - 1 if drawn else torch.zeros(batch, 3)
        angle = more[:, 0] * math.radians(self.turn)
        ratio = (more[:, 1] * math.log1p(self.stretch) / 2).exp()
        wide, high = scale * ratio * mirror, scale / ratio
        theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * wide, -angle.sin() * high
        theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * wide, angle.cos() * high
        move = room[:, None] * (2 * draw[:, 2:4] - 1)
        if self.zoom == 1 and size == height and not self.turn and not self.stretch:
            move = (move * (size / 2)).round() * (2 / size)  # whole pixels: nothing is blurred
        theta[:, 0, 2], theta[:, 1, 2] = move[:, 0], move[:, 1]
        grid = F.affine_grid(here(theta), [len(images), channels, size, size], align_corners=False)
        views = F.grid_sample(to_float(images), grid, padding_mode="reflection", align_corners=False)
        if self.colour:
            grey = views.mean(1, keepdim=True)
            views = grey + (views - grey) * here(1 + self.colour * more[:, 2]).view(-1, 1, 1, 1)
        if self.light:
            contrast = 1 + self.light * (2 * draw[:, 4] - 1)
            brightness = self.light * (2 * draw[:, 5] - 1)
            views = views * here(contrast).view(-1, 1, 1, 1) + here(brightness).view(-1, 1, 1, 1)
        return views if hole is None else _hide(views, here(hole), self.cutout)


def _hide(views: Tensor, middle: Tensor, side: float) -> Tensor:
    """Grey out a square of each picture around `middle` (shares of the sides, [B, 2])."""
    height, width = views.shape[-2:]
    rows = (torch.arange(height, device=views.device) + 0.5) / height
    columns = (torch.arange(width, device=views.device) + 0.5) / width
    down = (rows - middle[:, :1]).abs() < side / 2  # [B, H]
    across = (columns - middle[:, 1:]).abs() < side / 2  # [B, W]
    return views.masked_fill((down[:, :, None] & across[:, None, :])[:, None], 0.0)
