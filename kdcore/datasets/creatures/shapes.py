"""Shapes as signed distances, and anti-aliased coverage, for whole batches of pictures at once.

Every function takes pixel coordinates [N, H, W] and shape parameters [N, 1, 1] (or plain numbers). Distances are
negative inside a shape, in the unit of the coordinates, and accurate near its edge, where the coverage needs them
(Quilez, "2D distance functions"). Pixels are computed with additions, products, quotients, square roots and clamps
only: these are rounded alike on every processor and in every chunk, so the same creature always has the same bytes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Number = Tensor | float


def per_picture(values: Tensor) -> Tensor:
    """Reshape one number a picture from [N] to [N, 1, 1]."""
    return values[:, None, None]


def sqrt_(values: Tensor) -> Tensor:
    """Take the square root in place, rounded as IEEE 754 says; PyTorch's differs in the last bit between processors."""
    plane = values.numpy()
    np.sqrt(plane, out=plane)
    return values


def ellipse(x: Tensor, y: Tensor, rx: Number, ry: Number) -> Tensor:
    """Distance to the ellipse with radii `rx` and `ry` around the origin, exact to first order at the edge.

    With k = |(x / rx, y / ry)|, the distance is (k - 1) k / |(x / rx², y / ry²)|.
    """
    u, v = x * (1 / rx), y * (1 / ry)
    u2, v2 = u * u, v * v
    k = sqrt_(u2 + v2)
    slope = sqrt_(u2.mul_(1 / (rx * rx)).add_(v2.mul_(1 / (ry * ry))).add_(1e-12))
    return (k - 1).mul_(k).div_(slope)


def egg(x: Tensor, y: Tensor, rx: Tensor, above: Tensor, below: Tensor, taper: Tensor) -> Tensor:
    """Distance to an oval around the origin with half-width `rx` there, `above` high upwards and `below` downwards.

    Below the origin its half-width shrinks, by the share `taper` of `rx` at its lower end.
    """
    upper, lower = y.clamp(max=0), y.clamp(min=0)
    width = (lower * (-taper / below)).add_(1).mul_(rx)
    u = x / width
    v = (upper * (1 / above)).add_(lower * (1 / below))
    k = sqrt_((v * v).add_(u * u))
    across = u.div_(width)
    down = upper.mul_(1 / (above * above)).add_(lower.mul_(1 / (below * below)))
    slope = sqrt_(across.mul_(across).add_(down.mul_(down)).add_(1e-12))
    return (k - 1).mul_(k).div_(slope)


def leaf(x: Tensor, y: Tensor, half_width: Number, half_height: Number) -> Tensor:
    """Distance to an upright lens with pointed ends, the intersection of two circles (`half_width` < `half_height`)."""
    shift = (half_height * half_height - half_width * half_width) / (2 * half_width)
    far = x.abs().add_(shift)
    return sqrt_(far.mul_(far).add_(y * y)).sub_(shift + half_width)


def segment(x: Tensor, y: Tensor, ax: Number, ay: Number, bx: Number, by: Number) -> Tensor:
    """Unsigned distance to the straight line segment from (ax, ay) to (bx, by)."""
    dx, dy = bx - ax, by - ay
    px, py = x - ax, y - ay
    along = (px * dx).add_(py * dy).mul_(1 / (dx * dx + dy * dy)).clamp_(0, 1)
    px.sub_(along * dx)
    py.sub_(along * dy)
    return sqrt_(px.mul_(px).add_(py.mul_(py)))


def rotate(x: Tensor, y: Tensor, sine: Number, cosine: Number) -> tuple[Tensor, Tensor]:
    """Return the coordinates in a rotated frame, whose y axis has the direction (sine, cosine) in the old frame."""
    return (x * cosine).sub_(y * sine), (x * sine).add_(y * cosine)


def smooth_union(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """Distance to the union of two shapes whose seam is rounded over `radius` (polynomial smooth minimum)."""
    blend = (a - b).abs_().neg_().add_(radius).clamp_(min=0)
    return torch.minimum(a, b).sub_(blend.mul_(blend).mul_(0.25 / radius))


def coverage(distance: Tensor, softness: Number) -> Tensor:
    """Share of each pixel inside a shape, 0 to 1, as a linear ramp over the edge.

    Args:
        distance: signed distance to the shape, [N, H, W].
        softness: width of the ramp; the side of a pixel gives a crisp edge.
    """
    return (distance * (-1 / softness)).add_(0.5).clamp_(0, 1)


def stroke(distance: Tensor, half_width: Number, pixel: Number) -> Tensor:
    """Share of each pixel under a line, 0 to 1; also right for lines thinner than a pixel.

    Args:
        distance: distance to the middle of the line, [N, H, W].
        half_width: half the line's width.
        pixel: side of a pixel.
    """
    outer = ((half_width - distance) * (1 / pixel)).add_(0.5).clamp_(0, 1)
    return outer.sub_(((-half_width - distance) * (1 / pixel)).add_(0.5).clamp_(0, 1))
