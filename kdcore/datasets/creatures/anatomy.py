"""Turn traits into the numbers that a head's shapes and colours need: a few dozen a head, all smooth in the traits."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from kdcore.datasets.creatures.colours import head_colours
from kdcore.datasets.creatures.ramps import floppiness, ramp, shortness, slits, wildness
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


def anatomy(traits: Tensor) -> Anatomy:
    """Return the numbers of each head from its traits [N, D], which are clamped to their drawable range first."""
    low = torch.tensor([trait.low for trait in TRAITS], dtype=torch.float64)
    high = torch.tensor([trait.high for trait in TRAITS], dtype=torch.float64)
    # Sine and cosine differ in the last bit between processors; in double precision that does not change any pixel.
    drawn = torch.minimum(torch.maximum(traits.double(), low), high)
    by_name = {trait.name: drawn[:, i] for i, trait in enumerate(TRAITS)}
    geometry = _skull(by_name) | _ears(by_name) | _face_mask(by_name) | _eyes(by_name) | _muzzle(by_name)
    return Anatomy(
        **{name: value.float()[:, None, None] for name, value in geometry.items()},
        **{name: value.float() for name, value in head_colours(by_name).items()},
    )


def _skull(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    head = traits["head_width"]
    return {
        "head": head,
        "crown": 40 + 0 * head,
        "chin": 51 + 0.5 * traits["snout_length"],
        "taper": 0.9 - 0.0145 * traits["jaw_width"],
        "ruff": 9 * ramp(traits["ear_point"], 0.35, 0.8),
        "stripes": 0.85 * ramp(traits["stripes"], 0.0, 0.9),
    }


def _ears(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    """As ears get floppier, they turn about their base on the head's edge: from upright, outwards, to hanging down."""
    head, spread, point = traits["head_width"], traits["ear_spread"], traits["ear_point"]
    width, height = traits["ear_width"], traits["ear_height"]
    flop = floppiness(traits)
    angle = torch.deg2rad(spread + flop * (162 - spread))
    narrow = ramp(width / height, 0.36, 0.18)
    folded = 1 - 1.2 * flop * (1 - flop)  # half-way down, an ear points at the viewer and looks shorter
    ear_round = torch.maximum(ramp(point, 0.5, 0.0), flop * 0.8)
    out = torch.maximum(narrow, ear_round * (1 - flop))
    half_height = height * (0.9 - 0.22 * out) * (1 - 0.12 * flop) * folded
    base_x = head * (0.36 + 0.007 * spread) * (1 - flop) + head * 0.74 * flop
    base_y = -32 - 2 * flop + 8 * ramp(spread, 25, 60)
    reach = half_height * ((0.32 + 0.3 * out) * (1 - flop) + 0.85 * flop)
    return {
        "ear_x": base_x + torch.sin(angle) * reach,
        "ear_y": base_y - torch.cos(angle) * reach,
        "ear_bend": 0.22 * width / half_height.square() * (1 - flop),
        "ear_sin": -torch.sin(angle),
        "ear_cos": torch.cos(angle),
        "ear_half_width": torch.minimum(width * (1 - 0.1 * flop), half_height * 0.97),
        "ear_half_height": half_height,
        "ear_round": ear_round,
        "flop": ramp(flop, 0.35, 0.75),
        "inner": 0.9 * ramp(flop, 0.6, 0.1),
        "tip": 0.9 * ramp(point, 0.65, 0.95),
        "tuft": 5 + 22 * ramp(point, 0.85, 1.2),
        "tuft_strength": ramp(point, 0.85, 1.0) * (1 - flop),
    }


def _face_mask(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    head, mask, eye = traits["head_width"], traits["face_mask"], traits["eye_size"]
    return {
        "mask": ramp(mask, 0.05, 0.75),
        "brow": 0.8 * ramp(mask, 0.45, 0.95) * wildness(traits),
        "brow_y": -16 - 1.1 * eye,
        "cheek_x": head * 0.56,
        "cheek_y": 28 + 0.1 * traits["snout_length"],
        "cheek_rx": head * (0.3 + 0.16 * ramp(mask, 0, 1)),
        "cheek_ry": 18 + 12 * ramp(mask, 0, 1),
        "wedge": 3 + 0.36 * traits["muzzle_width"],
        "wedge_strength": 0.95 * ramp(mask, 0.45, 0.9),
    }


def _eyes(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    eye, slit, wild = traits["eye_size"], slits(traits), wildness(traits)
    slant = torch.deg2rad(-4 + 16 * wild)
    open_share = 1.05 - 0.28 * wild * ramp(eye, 11, 6)
    return {
        "eye_x": traits["eye_spacing"],
        "eye_rx": eye * 1.15,
        "eye_ry": eye * open_share,
        "pupil_rx": eye * (0.45 + 0.3 * (1 - wild)) * (1 - 0.62 * slit),
        "pupil_ry": eye * (0.45 + 0.3 * (1 - wild)) * (1 + 0.5 * slit) * open_share,
        "slant_sin": torch.sin(slant),
        "slant_cos": torch.cos(slant),
    }


def _muzzle(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    """The muzzle with nose, mouth, tongue and whiskers."""
    snout, muzzle = traits["snout_length"], traits["muzzle_width"]
    nose_y = 12 + 0.42 * snout
    pad_ry = 7 + 0.2 * snout + 0.15 * muzzle
    tongue = ramp(traits["ear_droop"], 0.4, 0.9)
    return {
        "muzzle": muzzle,
        "nose_y": nose_y,
        "mouth_y": nose_y + 8 + 0.18 * snout,
        "pad_ry": pad_ry,
        "bridge": 10 + 0.75 * snout,
        "depth": 4 + 0.35 * snout,
        "nose_rx": 4.5 + 0.22 * muzzle,
        "nose_ry": 3.6 + 0.12 * muzzle,
        "smile": 3 + 0.2 * muzzle,
        "tongue": tongue,
        "tongue_rx": 4.5 + 0.1 * muzzle,
        "tongue_ry": pad_ry * 0.4 + 10 * tongue,
        "whiskers": 0.9 * shortness(traits),
    }
