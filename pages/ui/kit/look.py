"""The colours, markers, line styles and rounding of percentages that all pages share, and the style sheet."""

from __future__ import annotations

from pathlib import Path

from kdcore.reports import arm_style

ARM_COLOURS = arm_style.ARM_COLOURS
TEACHER, BASELINE = ARM_COLOURS["teacher"], ARM_COLOURS["baseline"]
DISTILLED, POSTERIOR = ARM_COLOURS["distilled"], ARM_COLOURS["posterior"]
GLOW = "#f0c14b"  # the instrument's accent while the winning class is hidden ("Lights off")
MUTE = arm_style.CONTROL_COLOUR  # the grey of controls and of everything that should not draw the eye
ARM_MARKERS = {"teacher": "circle", "baseline": "square", "distilled": "diamond", "posterior": "triangle-up"}
ARM_DASHES = {"teacher": "solid", "baseline": "dash", "distilled": "solid", "posterior": "dot"}


def arm_colour(arm: str) -> str:
    """Return the arm's colour; all controls share one grey."""
    return arm_style.arm_colour(arm)


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


_HERE = Path(__file__).parent
LOOK_CSS = _HERE / "look.css"  # of every page
GALLERY_CSS = _HERE / "gallery.css"  # of cards with a picture: the gallery of Compare and the mistakes on Model cards


def style_html(*files: Path, more: str = "") -> str:
    """Return an HTML element with the style sheets in `files`, read at every call, and the rules in `more`.

    All white space becomes single blanks: Streamlit removes the common indentation of what it draws, and so looks at
    every line of it each time a page runs.
    """
    sheets = (file.read_text(encoding="utf-8") for file in files)
    return f"<style>{' '.join(' '.join((*sheets, more)).split())}</style>"


# Presenter mode: a larger root font enlarges every size given in rem, so that the page can be read from the back row.
PRESENTER_CSS = """html { font-size: 20px; } .st-key-kd_nav { padding-right: 9rem; }
.stMainBlockContainer { max-width: 1700px; padding-inline: 2rem; }"""
