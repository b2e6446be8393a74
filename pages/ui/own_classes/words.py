"""Sentences and tables of the page on which visitors teach classes of their own. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdcore.reports.arm_style import arms_in_order
from pages.ui.kit.formats import format_count, format_duration, format_size
from pages.ui.kit.tables import Cell, Row, Table, accuracy_cell
from pages.ui.session.i18n import _

ARMS = ("teacher", "distilled", "baseline")


def lesson_sentences() -> tuple[str, str]:
    """Return one sentence on what transfer learning is, and one on what distillation adds."""
    return (
        _("Transfer learning: a network that has seen a million photos keeps what it knows of fur, edges and leaves, "
          "and only a new last layer learns your classes; that is your teacher."),
        _("Distillation: a student of a few thousand numbers then learns from the teacher's soft labels, and its twin "
          "from your hard labels alone, so that you see what the teacher's opinion is worth."),
    )  # fmt: skip


def privacy_sentence(folder: str) -> str:
    """Say where the pictures are before and after *Teach*, for how long, and who can see them."""
    return _(
        "Until you press Teach, the pictures are only in this machine's memory. Then small copies and the networks "
        "are kept in {folder} for 24 hours, or until you delete them, unless you choose Keep; whoever can open this "
        "app can see them on its Datasets page."
    ).format(folder=folder)


def not_local_sentence() -> str:
    """Say to a visitor from elsewhere why there is nothing to collect, and what they can do."""
    return _(
        "Own classes are taught on the machine itself, because their pictures are kept there. With the link to a run "
        "that was taught there, you can try your own pictures on its networks here."
    )


def expiry_sentence(expires: float | None, now: float) -> str:
    """Say how long the pictures of a run are kept.

    Args:
        expires: when they are removed, in seconds since 1970; None where they are kept.
        now: the time, in seconds since 1970.
    """
    if expires is None:
        return _("The pictures and the teacher are kept on this machine until you delete them.")
    return _("The pictures and the teacher are removed in {time}, unless you keep them.").format(
        time=format_duration(max(0.0, expires - now))
    )


def deleted_sentence() -> str:
    """Say what is left of a run whose pictures were deleted."""
    return _("The pictures and the teacher of this run are deleted; its figures and its two students remain.")


def trio_table(arms: Mapping[str, Any]) -> Table:
    """Return a table of accuracy with its interval, number of parameters and file size of teacher, distilled and
    baseline.

    Args:
        arms: the arms of a run's result.
    """
    shown = {arm: row for arm, row in arms_in_order(arms).items() if arm in ARMS}
    accuracies = tuple(accuracy_cell(row.get("accuracy")) for row in shown.values())
    counts = tuple(_count(row.get("num_params")) for row in shown.values())
    sizes = tuple(_size(row.get("size_bytes")) for row in shown.values())
    rows = (
        Row(_("Accuracy"), _("test pictures right"), accuracies),
        Row(_("Parameters"), _("numbers learned"), counts),
        Row(_("Size"), _("of the file"), sizes),
    )
    return Table(tuple(shown), rows)


def _count(number: float | None) -> Cell:
    return Cell("–" if number is None else format_count(number))


def _size(num_bytes: float | None) -> Cell:
    return Cell("–" if num_bytes is None else format_size(num_bytes))
