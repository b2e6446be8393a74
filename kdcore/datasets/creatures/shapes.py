"""Signed distances and anti-aliased coverage, for whole batches of pictures at once.

Every function takes pixel coordinates [N, H, W] and shape parameters [N, 1, 1] (or plain numbers). Distances are
negative inside, in the unit of the coordinates, and accurate near the edge, where coverage needs them (Quilez,
"2D distance functions"). Only additions, products, quotients, square roots and clamps touch the pixels: these
are rounded alike on every processor and in every chunk, so the same creature always has the same bytes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Number = Tensor | float


def column(values: Tensor) -> Tensor:
    """One number a picture, [N] to [N, 1, 1]."""
    return values[:, None, None]


def root_(values: Tensor) -> Tensor:
    """The square root, in place, rounded as IEEE 754 says; PyTorch's own differs in the last bit between processors."""
    plane = values.numpy()
    np.sqrt(plane, out=plane)
    return values


def ellipse(x: Tensor, y: Tensor, rx: Number, ry: Number) -> Tensor:
    """Distance to the ellipse with these radii around the origin: (k - 1) k / |gradient|, first order at the edge."""
    u, v = x * (1 / rx), y * (1 / ry)
    u2, v2 = u * u, v * v
    k = root_(u2 + v2)
    slope = root_(u2.mul_(1 / (rx * rx)).add_(v2.mul_(1 / (ry * ry))).add_(1e-12))
    return (k - 1).mul_(k).div_(slope)


def egg(x: Tensor, y: Tensor, rx: Tensor, above: Tensor, below: Tensor, taper: Tensor) -> Tensor:
    """Distance to an oval, `above` and `below` high, that narrows downwards: by the share `taper` at its lower end."""
    upper, lower = y.clamp(max=0), y.clamp(min=0)
    width = (lower * (-taper / below)).add_(1).mul_(rx)
    u = x / width
    v = (upper * (1 / above)).add_(lower * (1 / below))
    k = root_((v * v).add_(u * u))
    across = u.div_(width)
    down = upper.mul_(1 / (above * above)).add_(lower.mul_(1 / (below * below)))
    slope = root_(across.mul_(across).add_(down.mul_(down)).add_(1e-12))
    return (k - 1).mul_(k).div_(slope)


def leaf(x: Tensor, y: Tensor, half_width: Number, half_height: Number) -> Tensor:
    """Distance to the pointed lens along y where two circles meet (`half_width` < `half_height`)."""
    shift = (half_height * half_height - half_width * half_width) / (2 * half_width)
    far = x.abs().add_(shift)
    return root_(far.mul_(far).add_(y * y)).sub_(shift + half_width)


def segment(x: Tensor, y: Tensor, ax: Number, ay: Number, bx: Number, by: Number) -> Tensor:
    """Distance (not signed) to the straight line from a to b."""
    dx, dy = bx - ax, by - ay
    px, py = x - ax, y - ay
    along = (px * dx).add_(py * dy).mul_(1 / (dx * dx + dy * dy)).clamp_(0, 1)
    px.sub_(along * dx)
    py.sub_(along * dy)
    return root_(px.mul_(px).add_(py.mul_(py)))


def rotate(x: Tensor, y: Tensor, sine: Number, cosine: Number) -> tuple[Tensor, Tensor]:
    """Coordinates in a frame whose y axis points to (sine, cosine) of the old one."""
    return (x * cosine).sub_(y * sine), (x * sine).add_(y * cosine)


def smooth_union(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """The union of two shapes with a fillet (polynomial smooth minimum)."""
    blend = (a - b).abs_().neg_().add_(radius).clamp_(min=0)
    return torch.minimum(a, b).sub_(blend.mul_(blend).mul_(0.25 / radius))


def coverage(distance: Tensor, softness: Number) -> Tensor:
    """Share of each pixel inside the shape, 0 to 1: a ramp `softness` wide (the pixel's side for a crisp edge)."""
    return (distance * (-1 / softness)).add_(0.5).clamp_(0, 1)


def stroke(distance: Tensor, half_width: Number, pixel: Number) -> Tensor:
    """Share of each pixel under a line: right for lines thinner than a pixel too."""
    outer = ((half_width - distance) * (1 / pixel)).add_(0.5).clamp_(0, 1)
    return outer.sub_(((-half_width - distance) * (1 / pixel)).add_(0.5).clamp_(0, 1))
