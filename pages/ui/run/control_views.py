"""The controls of a run: what is broken in each, what theory predicts, and what was measured. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from kdcore.reports.comparison import minus_distilled, pairs_controls
from kdcore.settings.controls import CONTROLS
from pages.ui.kit.formats import arm_name
from pages.ui.kit.settings_words import control_sentences
from pages.ui.kit.tables import accuracy_cell, arm_mark, cells_html, difference_cell
from pages.ui.session.i18n import _


def non_control_arms(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arms without the controls. These are few enough for the width of a table."""
    return {arm: row for arm, row in arms.items() if arm not in CONTROLS}


def controls_html(arms: Mapping[str, Any], caption: str) -> str:
    """Return an HTML table with one row per control, in the registry's order; every text is escaped.

    Args:
        arms: of a run's result.

    Returns:
        The table; "" when no control was measured.
    """
    rows = "".join(_row(name, arms) for name in CONTROLS if name in arms and arms[name]["accuracy"]["mean"] is not None)
    if not rows:
        return ""
    heads = (_("Control"), _("Accuracy"), _("Minus distilled"))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return (
        f'<table class="kd-table kd-controls"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def controls_note(arms: Mapping[str, Any]) -> str:
    """Say how the column "Minus distilled" and its intervals were computed.

    Results of older versions hold no difference per seed; for those the two arms were treated as independent.
    """
    if pairs_controls(arms):
        return _("In points, seed by seed on the same test pictures.")
    return _(
        "In points. The intervals of these differences treat control and distilled as independent; the two share seeds "
        "and pictures, so the intervals are too wide rather than too narrow."
    )


def _row(name: str, arms: Mapping[str, Any]) -> str:
    different, theory = control_sentences(name)
    difference = minus_distilled(arms, name)
    cells = (accuracy_cell(arms[name]["accuracy"]), difference_cell(difference.mean, difference.ci95))
    return (
        f'<tr><th scope="row">{arm_mark(name)}{escape(arm_name(name))}<small>{escape(different)}</small>'
        f"<small>{escape(_('Theory: {sentence}').format(sentence=theory))}</small></th>{cells_html(cells)}</tr>"
    )
