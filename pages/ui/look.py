"""The one look: every colour, marker and rounding that a page uses is named here."""

from __future__ import annotations

from pathlib import Path

# Okabe and Ito's palette: told apart by people with any of the common colour-vision deficiencies.
TEACHER = "#0072B2"
BASELINE = "#D55E00"
DISTILLED = "#009E73"
POSTERIOR = "#CC79A7"
GLOW = "#f0c14b"  # what is left when the lights are off
MUTE = "#6b7080"

ARM_COLOURS = {"teacher": TEACHER, "baseline": BASELINE, "distilled": DISTILLED, "posterior": POSTERIOR}
ARM_MARKERS = {"teacher": "circle", "baseline": "square", "distilled": "diamond", "posterior": "triangle-up"}
ARM_DASHES = {"teacher": "solid", "baseline": "dash", "distilled": "solid", "posterior": "dot"}


def arm_colour(arm: str) -> str:
    """The arm's colour; the controls, which are many, share a grey."""
    return ARM_COLOURS.get(arm, MUTE)


def arm_marker(arm: str) -> str:
    """The arm's marker; the controls share a cross."""
    return ARM_MARKERS.get(arm, "x")


def arm_dash(arm: str) -> str:
    """The arm's line."""
    return ARM_DASHES.get(arm, "solid")


def is_control(arm: str) -> bool:
    """Whether an arm is a control, which stands behind the others."""
    return arm not in ARM_COLOURS


def percent(probability: float) -> str:
    """A probability the way every page writes it: `90.2 %`, and nothing is rounded to never or to certainty."""
    if 0.0 < probability < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= probability < 1.0:
        return "> 99.9 %"
    return f"{100.0 * probability:.1f} %"


def css() -> str:
    """The style sheet of the pages, read once a run: it is small."""
    return Path(__file__).with_name("look.css").read_text(encoding="utf-8")


# Presenter mode: everything in rem grows together, readable from the back row.
PRESENTER_CSS = """html { font-size: 20px; } .st-key-kd_nav { padding-right: 9rem; }
.stMainBlockContainer { max-width: 1700px; padding-inline: 2rem; }"""
