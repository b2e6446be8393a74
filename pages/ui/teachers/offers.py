"""Texts about published teachers that can be downloaded.

The functions here only return data, texts or HTML; they draw nothing themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape

from pages.ui.kit import formats, look
from pages.ui.session.i18n import _


@dataclass(frozen=True)
class Offer:
    """A published teacher that can be downloaded.

    Attributes:
        size_bytes: size of the file to download.
        accuracy: share of ImageNet's validation pictures that it gets right, as published; not measured here.
    """

    name: str
    size_bytes: int
    accuracy: float
    notes: str


def published_offers() -> tuple[Offer, ...]:
    """Return all published teachers, whether they are on this machine or not, in the registry's order."""
    from kdcore.teachers.published import PUBLISHED, published_accuracy, remote_file  # loads torchvision, takes seconds

    return tuple(
        Offer(teacher.name, remote_file(teacher).size, published_accuracy(teacher), teacher.notes)
        for teacher in PUBLISHED.values()
    )


def missing_offers(offers: Collection[Offer], local_names: Collection[str]) -> tuple[Offer, ...]:
    """Return the offers that are not on this machine; `local_names` are the names of those that are."""
    return tuple(offer for offer in offers if offer.name not in local_names)


def offer_html(offer: Offer) -> str:
    """Return HTML with a teacher's name, size, published accuracy and notes; every text is escaped."""
    facts = _("{size} · right on {accuracy} of ImageNet, as published").format(
        size=formats.format_size(offer.size_bytes), accuracy=look.percent(offer.accuracy)
    )
    return (
        f'<div class="kd-offer"><b>{escape(offer.name)}</b><span>{escape(facts)}</span>'
        f"<small>{escape(offer.notes)}</small></div>"
    )


def how_to_fetch_sentence(offers: Collection[Offer]) -> str:
    """Return the sentence for visitors from another machine, who may not download to this machine's disk."""
    return _(
        "More teachers can be fetched on the machine that runs this app: kdcore teachers get NAME ({names})."
    ).format(names=", ".join(offer.name for offer in offers))
