"""The colours of heads, from their traits. A colour is float64 [N, 3], RGB 0 to 1; all are smooth in the traits."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.datasets.creatures.ramps import floppiness, ramp, shortness, slits, wildness


def head_colours(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the colours of `Anatomy` by the names of its fields, from the traits by name, [N] each."""
    count = len(traits["fur_warmth"])
    return (
        _fur_colours(traits)
        | _muzzle_colours(traits)
        | _eye_colours(traits)
        | {
            "black": _black(count),
            "white": _constant(count, 1.0, 1.0, 1.0),
        }
    )


def _fur_colours(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    lightness = traits["fur_lightness"]
    hue, saturation = _fur_hue_and_saturation(traits)
    fur, dark, pale = _fur(traits), _dark_fur(traits), _pale_fur(traits)
    pink = _constant(len(lightness), 0.89, 0.60, 0.60)
    return {
        "fur": fur,
        "glow": _mix(fur, pale, torch.full_like(lightness, 0.35)),
        "dark": dark,
        "outline": _rgb(hue, saturation * 0.8, lightness * 0.42),
        "pale": pale,
        "ear_colour": _mix(fur, dark, 0.8 * floppiness(traits)),
        "inner_ear": _mix(dark, pink, ramp(lightness, 0.35, 0.75) * ramp(traits["ear_point"], 1.0, 0.2)),
        "tip_colour": _mix(dark, _black(len(lightness)), torch.full_like(lightness, 0.7)),
    }


def _muzzle_colours(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    muzzle_width = traits["muzzle_width"]
    count = len(muzzle_width)
    dark_nose, pink_nose = _constant(count, 0.13, 0.13, 0.15), _constant(count, 0.78, 0.48, 0.48)
    light = 0.35 + 0.65 * ramp(traits["face_mask"], 0, 0.9)
    muzzle = _mix(_fur(traits), _pale_fur(traits), light)
    return {
        "muzzle_colour": muzzle,
        "muzzle_shade": _mix(muzzle, _dark_fur(traits), torch.full_like(muzzle_width, 0.25)),
        "nose": _mix(dark_nose, pink_nose, shortness(traits) * ramp(muzzle_width, 26, 14) * 0.9),
        "tongue_colour": _constant(count, 0.91, 0.47, 0.50),
        "tongue_edge": _constant(count, 0.62, 0.24, 0.28),
    }


def _eye_colours(traits: dict[str, Tensor]) -> dict[str, Tensor]:
    eye_size = traits["eye_size"]
    count = len(eye_size)
    amber, green = _constant(count, 0.86, 0.62, 0.18), _constant(count, 0.70, 0.76, 0.30)
    brown, black = _constant(count, 0.24, 0.14, 0.09), _black(count)
    iris = _mix(_mix(brown, amber, wildness(traits)), green, slits(traits))
    return {
        "iris": _mix(black, iris, 0.3 + 0.7 * ramp(eye_size, 3, 9)),
        "liner": _mix(_dark_fur(traits), black, torch.full_like(eye_size, 0.85)),
    }


def _fur_hue_and_saturation(traits: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the hue in degrees and the saturation: grey below a warmth of 0, brown at 0.5 and orange at 1."""
    warmth = traits["fur_warmth"]
    return 38 - 16 * ramp(warmth, 0.2, 1.1), 0.06 + 0.8 * ramp(warmth, -0.15, 1.25)


def _fur(traits: dict[str, Tensor]) -> Tensor:
    hue, saturation = _fur_hue_and_saturation(traits)
    return _rgb(hue, saturation, traits["fur_lightness"])


def _dark_fur(traits: dict[str, Tensor]) -> Tensor:
    hue, saturation = _fur_hue_and_saturation(traits)
    return _rgb(hue, saturation * 0.85, traits["fur_lightness"] * 0.58)


def _pale_fur(traits: dict[str, Tensor]) -> Tensor:
    hue, saturation = _fur_hue_and_saturation(traits)
    return _rgb(hue, saturation * 0.5, 1 - (1 - traits["fur_lightness"]) * 0.18)


def _black(count: int) -> Tensor:
    return _constant(count, 0.09, 0.09, 0.11)


def _constant(count: int, red: float, green: float, blue: float) -> Tensor:
    """Return one colour for all `count` heads."""
    return torch.tensor([[red, green, blue]], dtype=torch.float64).expand(count, 3)


def _mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Mix two colours [N, 3]; the second one has `share` [N] of the mixture."""
    return first + (second - first) * share[:, None]


def _rgb(hue: Tensor, saturation: Tensor, lightness: Tensor) -> Tensor:
    """Convert HSL colours (hue in degrees, the others 0 to 1; [N] each) to RGB [N, 3]."""
    steps = torch.tensor([0.0, 8.0, 4.0], dtype=hue.dtype)
    k = (hue[:, None] / 30 + steps) % 12
    chroma = (saturation * torch.minimum(lightness, 1 - lightness))[:, None]
    return lightness[:, None] - chroma * torch.minimum(k - 3, 9 - k).clamp(-1, 1)
