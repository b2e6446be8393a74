"""The colours, markers, line styles and rounding of percentages that all pages share, and the style sheet."""

from __future__ import annotations

from pathlib import Path

# Okabe and Ito's palette: people with any of the common colour-vision deficiencies can tell these colours apart.
TEACHER = "#0072B2"
BASELINE = "#D55E00"
DISTILLED = "#009E73"
POSTERIOR = "#CC79A7"
GLOW = "#f0c14b"  # the instrument's accent while the winning class is hidden ("Lights off")
MUTE = "#6b7080"

ARM_COLOURS = {"teacher": TEACHER, "baseline": BASELINE, "distilled": DISTILLED, "posterior": POSTERIOR}
ARM_MARKERS = {"teacher": "circle", "baseline": "square", "distilled": "diamond", "posterior": "triangle-up"}
ARM_DASHES = {"teacher": "solid", "baseline": "dash", "distilled": "solid", "posterior": "dot"}


def arm_colour(arm: str) -> str:
    """Return the arm's colour; all controls share one grey, because there can be many."""
    return ARM_COLOURS.get(arm, MUTE)


def arm_marker(arm: str) -> str:
    """Return the arm's marker; all controls share a cross."""
    return ARM_MARKERS.get(arm, "x")


def arm_dash(arm: str) -> str:
    """Return the dash style of the arm's line."""
    return ARM_DASHES.get(arm, "solid")


def is_control(arm: str) -> bool:
    """Whether an arm is a control; controls are drawn less prominently than the other arms."""
    return arm not in ARM_COLOURS


def percent(probability: float) -> str:
    """Format a probability as every page does, such as `90.2 %`; only exactly 0 and 1 appear as 0.0 % and 100.0 %."""
    if 0.0 < probability < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= probability < 1.0:
        return "> 99.9 %"
    return f"{100.0 * probability:.1f} %"


def css() -> str:
    """Return the style sheet of the pages, read from its file at every call."""
    return Path(__file__).with_name("look.css").read_text(encoding="utf-8")


def gallery_css() -> str:
    """The style sheet of cards with a picture: the gallery of Compare and the wrong answers of Model cards."""
    return Path(__file__).with_name("gallery.css").read_text(encoding="utf-8")


# Presenter mode: a larger root font enlarges every size given in rem, so that the page can be read from the back row.
PRESENTER_CSS = """html { font-size: 20px; } .st-key-kd_nav { padding-right: 9rem; }
.stMainBlockContainer { max-width: 1700px; padding-inline: 2rem; }"""
