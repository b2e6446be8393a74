"""Teachers that could be fetched, in words. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape

from pages.ui import look
from pages.ui import viewmodels as vm
from pages.ui.i18n import _


@dataclass(frozen=True)
class Offer:
    """A published teacher: what a download takes and what one gets."""

    name: str
    size_bytes: int
    accuracy: float  # published, not measured here
    notes: str


def published_offers() -> tuple[Offer, ...]:
    """All published teachers, here or not, in the registry's order."""
    from kdcore.published_teachers import PUBLISHED, published_accuracy, remote_file

    return tuple(
        Offer(one.name, remote_file(one).size, published_accuracy(one), one.notes) for one in PUBLISHED.values()
    )


def left(offers: Collection[Offer], here: Collection[str]) -> tuple[Offer, ...]:
    """Those that are not on this machine."""
    return tuple(offer for offer in offers if offer.name not in here)


def offer_html(offer: Offer) -> str:
    """One teacher in two lines; every text is escaped."""
    facts = _("{size} · right on {accuracy} of ImageNet, as published").format(
        size=vm.format_size(offer.size_bytes), accuracy=look.percent(offer.accuracy)
    )
    return (
        f'<div class="kd-offer"><b>{escape(offer.name)}</b><span>{escape(facts)}</span>'
        f"<small>{escape(offer.notes)}</small></div>"
    )


def elsewhere_sentence(offers: Collection[Offer]) -> str:
    """What a visitor from another machine reads, who may not fill this one's disk."""
    return _(
        "More teachers can be fetched on the machine that runs this app: kdcore teachers get NAME ({names})."
    ).format(names=", ".join(offer.name for offer in offers))
