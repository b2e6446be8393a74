"""Paint a head: its shapes are laid over each other from back to front.

Lengths are percent of half the picture's side; x points right, y down, and the origin is the middle of the head. The
head is symmetric, so most shapes are computed from |x|, which draws both halves at once. When the head turns (yaw),
parts that are further forward move further to the side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.datasets.creatures.anatomy import Anatomy
from kdcore.datasets.creatures.posing import Frame
from kdcore.datasets.creatures.shapes import (
    coverage,
    egg,
    ellipse,
    leaf,
    per_picture,
    rotate,
    segment,
    smooth_union,
    sqrt_,
    stroke,
)


def paint_head(planes: Tensor, body: Anatomy, frame: Frame) -> None:
    """Draw N heads into colour planes [3, N, H, W], RGB 0 to 1, in place."""
    ear = _ear_frame(body, frame)
    ear_cover = _ear_behind(planes, body, ear, frame)
    inside = _skull(planes, body, frame, ear_cover)
    for paint, low, high, reach in (
        (_muzzle, -28.0, 95.0, 75.0),
        (_eyes, -30.0, 18.0, 70.0),
    ):
        rows = frame.rows(low, high, reach)
        paint(planes[:, :, rows], body, frame.part(rows))
    if bool((body.flop > 0).any()):
        _ear_in_front(planes, body, ear, frame, inside)
    rows = frame.rows(0.0, 70.0, 90.0)
    _whiskers(planes[:, :, rows], body, frame.part(rows))


def _blend(planes: Tensor, colour: Tensor, cover: Tensor) -> None:
    """Blend a colour [N, 3] into planes [3, N, H, W] by coverage [N, H, W]."""
    for channel, plane in enumerate(planes):
        plane.add_((per_picture(colour[:, channel]) - plane).mul_(cover))


def _ear_frame(a: Anatomy, frame: Frame) -> tuple[Tensor, Tensor]:
    """Return the pixels' coordinates across and along the ear, [N, H, W] each.

    Both are 0 at the middle of the ear; along the ear, the tip is at minus half its height.
    """
    side = (frame.x + frame.yaw * 2).abs_()
    across, along = rotate(side.sub_(a.ear_x), frame.y - a.ear_y, a.ear_sin, a.ear_cos)
    # Bend the ear, so that its tip leans outwards.
    return across.add_((along * along).mul_(a.ear_bend)), along


def _ear_shape(a: Anatomy, across: Tensor, along: Tensor, share: float, length: float) -> Tensor:
    width, height = a.ear_half_width * share, a.ear_half_height * length
    pointed, rounded = leaf(across, along, width, height), ellipse(across, along, width, height)
    return pointed.add_(rounded.sub_(pointed).mul_(a.ear_round))


def _ear_behind(planes: Tensor, a: Anatomy, ear: tuple[Tensor, Tensor], frame: Frame) -> Tensor:
    across, along = ear
    shape = _ear_shape(a, across, along, 1.0, 1.0)
    cover = coverage(shape, frame.pixel)
    _blend(planes, a.outline, cover)
    _blend(planes, a.ear_colour, coverage(shape + 2.6, frame.pixel + 1.5))
    inner = _ear_shape(a, across, along - a.ear_half_height * 0.12, 0.6, 0.78)
    _blend(planes, a.inner_ear, coverage(inner, frame.pixel + 3).mul_(a.inner))
    tip = coverage(along + a.ear_half_height * 0.5, 14.0).mul_(cover).mul_(a.tip)
    tuft = leaf(across, along + a.ear_half_height, 2.6, a.tuft)
    tip = torch.maximum(tip, coverage(tuft, frame.pixel).mul_(a.tuft_strength))
    _blend(planes, a.tip_colour, tip)
    return cover


def _ear_in_front(planes: Tensor, a: Anatomy, ear: tuple[Tensor, Tensor], frame: Frame, inside: Tensor) -> None:
    shape = _ear_shape(a, *ear, 1.0, 1.0)
    _blend(planes, a.outline, coverage(shape - 2, 9.0).mul_(inside).mul_(a.flop).mul_(0.5))
    _blend(planes, a.outline, coverage(shape, frame.pixel).mul_(a.flop))
    _blend(planes, a.ear_colour, coverage(shape + 2.6, frame.pixel + 1.5).mul_(a.flop))


def _skull(planes: Tensor, a: Anatomy, frame: Frame, ear_cover: Tensor) -> Tensor:
    x, y, pixel = frame.x, frame.y, frame.pixel
    v = x.abs()
    shape = egg(v, y + 8, a.head, a.crown, a.chin, a.taper)
    # The cheeks have a jagged edge of fur: teeth that point outwards and down.
    place = (y - v * 1.1).mul_(1 / 16)
    place.sub_(place.floor())
    teeth = torch.minimum(place, (1 - place).mul_(3.5))
    window = (y - 14).abs_().neg_().add_(34).mul_(1 / 18).clamp_(0, 1)
    shape.sub_(teeth.mul_(window).mul_(a.ruff))

    # From back to front: a soft shadow on the ears, the dark outline, then fur that is lighter towards the top.
    _blend(planes, a.outline, coverage(shape - 3, 10.0).mul_(ear_cover).mul_(0.6))
    _blend(planes, a.outline, coverage(shape, pixel))
    inside = coverage(shape + 2.8, pixel + 1.5)
    _blend(planes, a.fur, inside)
    _blend(planes, a.glow, (y + 46).mul_(-1 / 60).add_(1).clamp_(0, 1).mul_(inside).mul_(0.5))
    _blend(planes, a.dark, (shape + 12).mul_(1 / 12).clamp_(0, 1).mul_(inside).mul_(0.3))

    # The face mask: two pale cheeks that leave a dark bridge between them, and pale brows.
    u = (x - frame.yaw * 3).abs_()
    cheek = ellipse(u - a.cheek_x, y - a.cheek_y, a.cheek_rx, a.cheek_ry)
    _blend(planes, a.pale, coverage(cheek, pixel + 2).mul_(a.mask).mul_(inside))
    brow = ellipse(*rotate(u - a.eye_x + 1, y - a.brow_y, 0.3, 0.95), 8.5, 4.6)
    _blend(planes, a.pale, coverage(brow, pixel + 3).mul_(a.brow))

    rows = frame.rows(-56.0, 36.0, 85.0)
    _stripes(planes[:, :, rows], a, frame.part(rows), inside[:, rows])
    return inside


def _stripes(planes: Tensor, a: Anatomy, frame: Frame, inside: Tensor) -> None:
    """Draw three stripes on the forehead and two on each cheek."""
    v, y = frame.x.abs(), frame.y
    bars = torch.minimum(leaf(v, y + 36, 3.2, 15.0), leaf(*rotate(v - 12, y + 34, 0.28, 0.96), 3.0, 13.0))
    bars = torch.minimum(bars, leaf(*rotate(v - a.head * 0.86, y - 3, 0.94, 0.34), 2.6, 14.0))
    bars = torch.minimum(bars, leaf(*rotate(v - a.head * 0.8, y - 15, 0.97, 0.24), 2.6, 13.0))
    _blend(planes, a.dark, coverage(bars, frame.pixel).mul_(a.stripes).mul_(inside))


def _muzzle(planes: Tensor, a: Anatomy, frame: Frame) -> None:
    y, pixel = frame.y, frame.pixel
    mx = frame.x - frame.yaw * a.depth
    u = mx.abs()
    below = y - a.mouth_y
    # The muzzle is the bridge of the nose joined with two pads; the pads are one ellipse, drawn on both sides.
    pads = ellipse(u - a.muzzle * 0.42, below, a.muzzle * 0.66, a.pad_ry)
    upper = ellipse(u, y - a.nose_y - 2, a.muzzle * 0.72, a.bridge)
    shape = smooth_union(pads, upper, 6.0)
    chin = ellipse(u, below - a.pad_ry * 0.7, a.muzzle * 0.55, a.pad_ry * 0.62)
    _blend(planes, a.dark, coverage(shape - 1, 9.0).mul_(0.3))
    _blend(planes, a.muzzle_shade, coverage(chin, pixel + 1))
    tongue = ellipse(u, below - a.pad_ry * 0.75, a.tongue_rx, a.tongue_ry)
    _blend(planes, a.tongue_edge, coverage(tongue, pixel).mul_(a.tongue))
    _blend(planes, a.tongue_colour, coverage(tongue + 1.6, pixel).mul_(a.tongue))
    _blend(planes, a.muzzle_colour, coverage(shape, pixel + 1.5))
    # The fur of the forehead continues down to the nose in a wedge.
    wedge = ellipse(u, y - a.nose_y + 30, a.wedge, 30.0)
    fade = (y + 24).mul_(1 / 20).clamp_(0, 1)
    _blend(planes, a.fur, coverage(wedge, pixel + 4).mul_(fade).mul_(a.wedge_strength))
    rows = frame.rows(-4.0, 75.0, 60.0)
    _nose_and_mouth(planes[:, :, rows], a, frame.part(rows))


def _nose_and_mouth(planes: Tensor, a: Anatomy, frame: Frame) -> None:
    y, pixel = frame.y, frame.pixel
    mx = frame.x - frame.yaw * a.depth
    u = mx.abs()
    below = y - a.mouth_y
    # A line down from the nose, and a smile on both sides.
    line = segment(u, y, 0.0, a.nose_y, 0.0, a.mouth_y - 1)
    ring = sqrt_((u - a.smile).square_().add_((below + 1).square_())).sub_(a.smile).abs_()
    mouth = stroke(ring, 1.2, pixel).mul_(coverage(-1 - below, pixel))
    _blend(planes, a.black, torch.maximum(mouth, stroke(line, 1.2, pixel)))
    wide = (y - a.nose_y).mul_(-0.35 / a.nose_ry).add_(1).clamp_(min=0.3)
    nose = ellipse(u.div_(wide), y - a.nose_y, a.nose_rx, a.nose_ry)
    _blend(planes, a.nose, coverage(nose, pixel))
    shine = ellipse(mx.add_(a.nose_rx * 0.2), y - a.nose_y + a.nose_ry * 0.45, a.nose_rx * 0.36, a.nose_ry * 0.2)
    _blend(planes, a.white, coverage(shine, pixel + 1).mul_(0.5))


def _eyes(planes: Tensor, a: Anatomy, frame: Frame) -> None:
    x, y, pixel = frame.x - frame.yaw * 3, frame.y + 6, frame.pixel
    u = x.abs().sub_(a.eye_x)
    ex, ey = rotate(u, y, a.slant_sin, a.slant_cos)
    socket = ellipse(ex, ey, a.eye_rx, a.eye_ry)
    _blend(planes, a.liner, coverage(socket - 1.3, pixel))
    _blend(planes, a.iris, coverage(socket + 1.1, pixel))
    _blend(planes, a.black, coverage(ellipse(ex, ey, a.pupil_rx, a.pupil_ry), pixel))
    # Highlights are on the same side of both eyes, so the mirroring by |x| is undone for them.
    u.mul_(x.mul_(1e6).clamp_(-1, 1)).add_(a.eye_ry * 0.3)
    glint = ellipse(u, y + a.eye_ry * 0.36, a.eye_ry * 0.28, a.eye_ry * 0.28)
    _blend(planes, a.white, coverage(glint, pixel))


def _whiskers(planes: Tensor, a: Anatomy, frame: Frame) -> None:
    u, y = (frame.x - frame.yaw * 5).abs_(), frame.y - a.mouth_y
    lines = [segment(u, y, a.muzzle * 0.75, 3.0 * k - 3, a.muzzle * 0.75 + 42, 9.0 * k - 7) for k in (-1, 0, 1)]
    near = torch.minimum(torch.minimum(lines[0], lines[1]), lines[2])
    _blend(planes, a.white, stroke(near, 0.75, frame.pixel).mul_(a.whiskers))
