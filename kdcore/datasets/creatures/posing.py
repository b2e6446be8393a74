"""The pose of a head: computes where each pixel lies in the head's own coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.datasets.creatures.nuisance import Nuisance
from kdcore.datasets.creatures.shapes import per_picture

# The middle of the head is this far below the middle of the picture, to leave room for the ears.
HEAD_OFFSET = 15.0


@dataclass(frozen=True, eq=False)
class Frame:
    """The coordinates of pixels relative to the head, for some rows of pixels of N pictures.

    Attributes:
        x, y: percent of half the picture's side, right and down from the middle of the head, [N, H, W].
        pixel: side of a pixel in these coordinates, [N, 1, 1].
        yaw: turn of the head, -1 to 1, [N, 1, 1].
        vertical: sine and cosine of the roll, scale, and vertical place of the head's middle, [4, N]; used by `rows`.
        first: the picture's row with which this frame begins.
    """

    x: Tensor
    y: Tensor
    pixel: Tensor
    yaw: Tensor
    vertical: Tensor
    first: int = 0

    def rows(self, low: float, high: float, reach: float) -> slice:
        """Return the rows of this frame that may hold points with y from `low` to `high` and x from -reach to reach.

        A shape within these bounds has coverage exactly 0 in all other rows, so it need not be drawn there.
        """
        height, size = self.x.shape[1:]
        sine, cosine, scale, middle = self.vertical
        ends = torch.stack([low * cosine, high * cosine])
        tilt = reach * sine.abs()
        top = float(((ends.amin(0) - tilt) * scale + middle).min())
        bottom = float(((ends.amax(0) + tilt) * scale + middle).max())
        first = math.floor((top + 100) * size / 200) - 1 - self.first
        last = math.ceil((bottom + 100) * size / 200) + 1 - self.first
        return slice(min(max(first, 0), height), min(max(last, 0), height))

    def part(self, rows: slice) -> Frame:
        """Return the frame of some of the rows of the same pictures."""
        first = self.first + int(rows.start or 0)
        return Frame(self.x[:, rows], self.y[:, rows], self.pixel, self.yaw, self.vertical, first)


def pose(nuisance: Nuisance, size: int) -> Frame:
    """Return the frame that covers all rows of pictures of `size` x `size` pixels."""
    ramp = (torch.arange(size, dtype=torch.float32) + 0.5) * (200 / size) - 100
    # Sine and cosine differ in the last bit between processors; in double precision that does not change any pixel.
    roll = nuisance.roll.double()
    sine, cosine = roll.sin().float(), roll.cos().float()
    middle = nuisance.shift[:, 1] + HEAD_OFFSET
    zoom = 1 / per_picture(nuisance.scale)
    across = (ramp.view(1, 1, size) - per_picture(nuisance.shift[:, 0])) * zoom
    down = (ramp.view(1, size, 1) - per_picture(middle)) * zoom
    x = across * per_picture(cosine) + down * per_picture(sine)
    y = down * per_picture(cosine) - across * per_picture(sine)
    vertical = torch.stack([sine, cosine, nuisance.scale, middle])
    return Frame(x, y, (200 / size) * zoom, per_picture(nuisance.yaw), vertical)
