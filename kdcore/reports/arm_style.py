"""The order and the colours in which every chart and table shows the arms of a run, in reports and on the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

# The teacher comes first, then the students, the best taught first; arms that are not named here (controls) come last.
ARM_ORDER = ("teacher", "posterior", "distilled", "baseline")
# Okabe and Ito's palette: people with any of the common colour-vision deficiencies can tell these colours apart. Each
# arm also has its own marker, so that colour is never the only cue.
ARM_COLOURS = {"teacher": "#0072B2", "baseline": "#D55E00", "distilled": "#009E73", "posterior": "#CC79A7"}
CONTROL_COLOUR = "#6b7080"  # all controls share one grey, because there can be many


def arms_in_order(arms: Mapping[str, T]) -> dict[str, T]:
    """Sort a mapping by arm into the order of `ARM_ORDER`; other arms (controls) come last, in the order given."""
    names = [*(arm for arm in ARM_ORDER if arm in arms), *(arm for arm in arms if arm not in ARM_ORDER)]
    return {arm: arms[arm] for arm in names}


def arm_colour(arm: str) -> str:
    """Return the arm's colour; for a control, the grey that all controls share."""
    return ARM_COLOURS.get(arm, CONTROL_COLOUR)
