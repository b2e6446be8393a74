"""The warning about a picture that probably shows none of a teacher's classes.

The functions here only return texts; they draw nothing themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdcore.teachers import card_facts
from pages.ui.kit import look
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard


def none_of_these_warning(card: ModelCard, logits: Sequence[float]) -> str:
    """Return the warning for a picture with these calibrated logits [K] if it probably shows none of the classes.

    "" if it probably shows one of them, or if the card has no threshold to decide by.
    """
    # These load torch, which takes seconds.
    import torch

    from kdcore.metrics.soft_labels import none_of_these

    return warning(card) if none_of_these(torch.as_tensor(logits), card.none_below) else ""


def warning(card: ModelCard) -> str:
    """Return the warning that a picture probably shows none of a teacher's classes, with its rate of false alarms."""
    text = _(
        "Probably none of the {count} classes that {teacher} knows. Its soft labels add up to 100 % all the same, "
        "and here they mean little."
    )
    warning_text = text.format(count=len(card.class_names), teacher=card.name)
    figures = card_facts.none_of_these(card)
    if figures is not None and figures.false_alarms is not None:
        false_alarms = _("Of test pictures of its own classes, {share} get this warning wrongly.")
        warning_text += " " + false_alarms.format(share=look.percent(figures.false_alarms.mean))
    return warning_text
