"""Smooth steps from 0 to 1 that several parts of a head share, computed from the traits by name, [N] each."""

from __future__ import annotations

from torch import Tensor


def ramp(value: Tensor, low: float, high: float) -> Tensor:
    """Rise smoothly from 0 at `low` to 1 at `high`, and stay constant outside; falls with `value` if `low` > `high`."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def floppiness(traits: dict[str, Tensor]) -> Tensor:
    """Return 0 for upright ears, 1 for hanging ones."""
    return ramp(traits["ear_droop"], 0.05, 0.95)


def wildness(traits: dict[str, Tensor]) -> Tensor:
    """Return 0 for round, dark eyes, 1 for the slanted amber eyes of heads with pointed ears."""
    return ramp(traits["ear_point"], 0.35, 0.75)


def slits(traits: dict[str, Tensor]) -> Tensor:
    """Return 0 for round pupils, 1 for the slits in green eyes of striped heads."""
    return ramp(traits["stripes"], 0.2, 0.9)


def shortness(traits: dict[str, Tensor]) -> Tensor:
    """Return 0 for a long snout, 1 for a short one, which has whiskers and may have a pink nose."""
    return ramp(traits["snout_length"], 24, 8)
