"""What the page says of a picture that is none of a teacher's classes. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdcore import card_facts
from pages.ui import look
from pages.ui.i18n import _

if TYPE_CHECKING:
    from kdcore.model_cards import ModelCard


def none_of_these(card: ModelCard, logits: Sequence[float]) -> str:
    """That a picture with these calibrated logits [K] is probably none of the classes; "" where nothing says so."""
    import torch

    from kdcore.soft_labels import none_of_these

    return warning(card) if none_of_these(torch.as_tensor(logits), card.none_below) else ""


def warning(card: ModelCard) -> str:
    """That a picture is probably none of the classes of this teacher, and how often that is said wrongly."""
    text = _(
        "Probably none of the {count} classes that {teacher} knows. Its soft labels share out 100 % all the same, "
        "and here they mean little."
    )
    said = text.format(count=len(card.class_names), teacher=card.name)
    known = card_facts.none_of_these(card)
    if known is not None and known.false_alarms is not None:
        wrong = _("Of test pictures of its own classes, {share} get this warning wrongly.")
        said += " " + wrong.format(share=look.percent(known.false_alarms.mean))
    return said
