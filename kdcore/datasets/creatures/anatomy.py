"""Turn traits into the numbers that a head's shapes and colours need: a few dozen a head, all smooth in the traits."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from kdcore.datasets.creatures.traits import TRAITS


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The numbers from which N heads are drawn.

    Lengths (percent of half the picture's side), shares (0 to 1) and factors are float32 [N, 1, 1]. The fields from
    `fur` on are colours, float32 [N, 3], RGB 0 to 1.
    """

    head: Tensor
    crown: Tensor
    chin: Tensor
    taper: Tensor
    ruff: Tensor
    ear_x: Tensor
    ear_y: Tensor
    ear_bend: Tensor
    ear_sin: Tensor
    ear_cos: Tensor
    ear_half_width: Tensor
    ear_half_height: Tensor
    ear_round: Tensor
    flop: Tensor
    inner: Tensor
    tip: Tensor
    tuft: Tensor
    tuft_strength: Tensor
    mask: Tensor
    brow: Tensor
    brow_y: Tensor
    cheek_x: Tensor
    cheek_y: Tensor
    cheek_rx: Tensor
    cheek_ry: Tensor
    stripes: Tensor
    eye_x: Tensor
    eye_rx: Tensor
    eye_ry: Tensor
    pupil_rx: Tensor
    pupil_ry: Tensor
    slant_sin: Tensor
    slant_cos: Tensor
    muzzle: Tensor
    nose_y: Tensor
    mouth_y: Tensor
    pad_ry: Tensor
    bridge: Tensor
    depth: Tensor
    nose_rx: Tensor
    nose_ry: Tensor
    smile: Tensor
    tongue: Tensor
    tongue_rx: Tensor
    tongue_ry: Tensor
    wedge: Tensor
    wedge_strength: Tensor
    whiskers: Tensor
    fur: Tensor
    glow: Tensor
    dark: Tensor
    outline: Tensor
    pale: Tensor
    ear_colour: Tensor
    inner_ear: Tensor
    tip_colour: Tensor
    muzzle_colour: Tensor
    muzzle_shade: Tensor
    nose: Tensor
    iris: Tensor
    liner: Tensor
    black: Tensor
    white: Tensor
    tongue_colour: Tensor
    tongue_edge: Tensor

    def select(self, index: slice) -> Anatomy:
        """Return the numbers of some of the heads only."""
        return Anatomy(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def _ramp(value: Tensor, low: float, high: float) -> Tensor:
    """Rise smoothly from 0 at `low` to 1 at `high`, and stay constant outside; falls with `value` if `low` > `high`."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _rgb(hue: Tensor, saturation: Tensor, lightness: Tensor) -> Tensor:
    """Convert HSL colours (hue in degrees, the others 0 to 1; [N] each) to RGB [N, 3]."""
    steps = torch.tensor([0.0, 8.0, 4.0], dtype=hue.dtype)
    k = (hue[:, None] / 30 + steps) % 12
    chroma = (saturation * torch.minimum(lightness, 1 - lightness))[:, None]
    return lightness[:, None] - chroma * torch.minimum(k - 3, 9 - k).clamp(-1, 1)


def _mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    return a + (b - a) * share[:, None]


def anatomy(traits: Tensor) -> Anatomy:
    """Return the numbers of each head from its traits [N, D], which are clamped to their drawable range first."""
    low = torch.tensor([trait.low for trait in TRAITS], dtype=torch.float64)
    high = torch.tensor([trait.high for trait in TRAITS], dtype=torch.float64)
    # Sine and cosine differ in the last bit between processors; in double precision that does not change any pixel.
    bounded = torch.minimum(torch.maximum(traits.double(), low), high)
    t = {trait.name: bounded[:, i] for i, trait in enumerate(TRAITS)}
    n = len(traits)

    def colour(red: float, green: float, blue: float) -> Tensor:
        return torch.tensor([[red, green, blue]], dtype=torch.float64).expand(n, 3)

    point, snout, muzzle, head = t["ear_point"], t["snout_length"], t["muzzle_width"], t["head_width"]
    flop = _ramp(t["ear_droop"], 0.05, 0.95)
    short = _ramp(snout, 24, 8)
    warmth, lightness, mask = t["fur_warmth"], t["fur_lightness"], t["face_mask"]

    # Fur is grey below a warmth of 0, brown at 0.5 and orange at 1.
    hue = 38 - 16 * _ramp(warmth, 0.2, 1.1)
    saturation = 0.06 + 0.8 * _ramp(warmth, -0.15, 1.25)
    fur = _rgb(hue, saturation, lightness)
    dark = _rgb(hue, saturation * 0.85, lightness * 0.58)
    pale = _rgb(hue, saturation * 0.5, 1 - (1 - lightness) * 0.18)
    black = colour(0.09, 0.09, 0.11)
    white = colour(1.0, 1.0, 1.0)
    pink = colour(0.89, 0.60, 0.60)

    # As ears get floppier, they turn about their base on the head's edge: from upright, outwards, to hanging down.
    spread = t["ear_spread"]
    angle = torch.deg2rad(spread + flop * (162 - spread))
    narrow = _ramp(t["ear_width"] / t["ear_height"], 0.36, 0.18)
    folded = 1 - 1.2 * flop * (1 - flop)  # half-way down, an ear points at the viewer and looks shorter
    ear_round = torch.maximum(_ramp(point, 0.5, 0.0), flop * 0.8)
    out = torch.maximum(narrow, ear_round * (1 - flop))
    half_height = t["ear_height"] * (0.9 - 0.22 * out) * (1 - 0.12 * flop) * folded
    base_x = head * (0.36 + 0.007 * spread) * (1 - flop) + head * 0.74 * flop
    base_y = -32 - 2 * flop + 8 * _ramp(spread, 25, 60)
    reach = half_height * ((0.32 + 0.3 * out) * (1 - flop) + 0.85 * flop)

    eye = t["eye_size"]
    slit = _ramp(t["stripes"], 0.2, 0.9)
    wild = _ramp(point, 0.35, 0.75)
    slant = torch.deg2rad(-4 + 16 * wild)
    open_share = 1.05 - 0.28 * wild * _ramp(eye, 11, 6)
    iris_size = _ramp(eye, 3, 9)
    amber, green, brown = colour(0.86, 0.62, 0.18), colour(0.70, 0.76, 0.30), colour(0.24, 0.14, 0.09)
    iris = _mix(_mix(brown, amber, wild), green, slit)

    nose_y = 12 + 0.42 * snout
    pad_ry = 7 + 0.2 * snout + 0.15 * muzzle
    nose = _mix(colour(0.13, 0.13, 0.15), colour(0.78, 0.48, 0.48), short * _ramp(muzzle, 26, 14) * 0.9)
    muzzle_light = 0.35 + 0.65 * _ramp(mask, 0, 0.9)
    muzzle_colour = _mix(fur, pale, muzzle_light)

    geometry = {
        "head": head,
        "crown": 40 + 0 * head,
        "chin": 51 + 0.5 * snout,
        "taper": 0.9 - 0.0145 * t["jaw_width"],
        "ruff": 9 * _ramp(point, 0.35, 0.8),
        "ear_x": base_x + torch.sin(angle) * reach,
        "ear_y": base_y - torch.cos(angle) * reach,
        "ear_bend": 0.22 * t["ear_width"] / half_height.square() * (1 - flop),
        "ear_sin": -torch.sin(angle),
        "ear_cos": torch.cos(angle),
        "ear_half_width": torch.minimum(t["ear_width"] * (1 - 0.1 * flop), half_height * 0.97),
        "ear_half_height": half_height,
        "ear_round": ear_round,
        "flop": _ramp(flop, 0.35, 0.75),
        "inner": 0.9 * _ramp(flop, 0.6, 0.1),
        "tip": 0.9 * _ramp(point, 0.65, 0.95),
        "tuft": 5 + 22 * _ramp(point, 0.85, 1.2),
        "tuft_strength": _ramp(point, 0.85, 1.0) * (1 - flop),
        "mask": _ramp(mask, 0.05, 0.75),
        "brow": 0.8 * _ramp(mask, 0.45, 0.95) * wild,
        "brow_y": -16 - 1.1 * eye,
        "cheek_x": head * 0.56,
        "cheek_y": 28 + 0.1 * snout,
        "cheek_rx": head * (0.3 + 0.16 * _ramp(mask, 0, 1)),
        "cheek_ry": 18 + 12 * _ramp(mask, 0, 1),
        "stripes": 0.85 * _ramp(t["stripes"], 0.0, 0.9),
        "eye_x": t["eye_spacing"],
        "eye_rx": eye * 1.15,
        "eye_ry": eye * open_share,
        "pupil_rx": eye * (0.45 + 0.3 * (1 - wild)) * (1 - 0.62 * slit),
        "pupil_ry": eye * (0.45 + 0.3 * (1 - wild)) * (1 + 0.5 * slit) * open_share,
        "slant_sin": torch.sin(slant),
        "slant_cos": torch.cos(slant),
        "muzzle": muzzle,
        "nose_y": nose_y,
        "mouth_y": nose_y + 8 + 0.18 * snout,
        "pad_ry": pad_ry,
        "bridge": 10 + 0.75 * snout,
        "depth": 4 + 0.35 * snout,
        "nose_rx": 4.5 + 0.22 * muzzle,
        "nose_ry": 3.6 + 0.12 * muzzle,
        "smile": 3 + 0.2 * muzzle,
        "tongue": _ramp(t["ear_droop"], 0.4, 0.9),
        "tongue_rx": 4.5 + 0.1 * muzzle,
        "tongue_ry": pad_ry * 0.4 + 10 * _ramp(t["ear_droop"], 0.4, 0.9),
        "wedge": 3 + 0.36 * muzzle,
        "wedge_strength": 0.95 * _ramp(mask, 0.45, 0.9),
        "whiskers": 0.9 * short,
    }
    colours = {
        "fur": fur,
        "glow": _mix(fur, pale, torch.full_like(head, 0.35)),
        "dark": dark,
        "outline": _rgb(hue, saturation * 0.8, lightness * 0.42),
        "pale": pale,
        "ear_colour": _mix(fur, dark, 0.8 * flop),
        "inner_ear": _mix(dark, pink, _ramp(lightness, 0.35, 0.75) * _ramp(point, 1.0, 0.2)),
        "tip_colour": _mix(dark, black, torch.full_like(head, 0.7)),
        "muzzle_colour": muzzle_colour,
        "muzzle_shade": _mix(muzzle_colour, dark, torch.full_like(head, 0.25)),
        "nose": nose,
        "iris": _mix(black, iris, 0.3 + 0.7 * iris_size),
        "liner": _mix(dark, black, torch.full_like(head, 0.85)),
        "black": black,
        "white": white,
        "tongue_colour": colour(0.91, 0.47, 0.50),
        "tongue_edge": colour(0.62, 0.24, 0.28),
    }
    return Anatomy(
        **{name: value.float()[:, None, None] for name, value in geometry.items()},
        **{name: value.float() for name, value in colours.items()},
    )
