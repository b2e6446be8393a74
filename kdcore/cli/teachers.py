"""The commands that add teachers to this machine and remove them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from kdcore.cli import text
from kdcore.cli.answer import Answer, follow_download
from kdcore.model_cards import ModelCard


def get(options: Namespace) -> Answer:
    return _answer(_fetch(options.name))


def add(options: Namespace) -> Answer:
    from kdcore.own_teachers import add_teacher

    library, _, inner = options.source.partition(":")
    if library == "torchvision":
        return _answer(_fetch(inner, options.name))
    if library == "timm":
        from kdcore.timm_teachers import add_timm

        return _answer(add_timm(inner, options.name))
    return _answer(add_teacher(Path(options.source), options.name))


def remove(options: Namespace) -> Answer:
    from kdcore.own_teachers import remove_teacher

    remove_teacher(options.name)
    return Answer({"removed": options.name}, f"{options.name} is no longer on this machine.")


def _fetch(name: str, called: str | None = None) -> ModelCard:
    from kdcore.model_cards import list_cards
    from kdcore.own_teachers import free_name
    from kdcore.published_weights import fetch_published

    if called is not None:
        free_name(called)
    follow_download(fetch_published(name, called))
    return next(card for card in list_cards() if card.name == (called or name))


def _answer(card: ModelCard) -> Answer:
    shown = card.to_json()
    ready = f"{card.name} is ready: kdcore predict IMAGE --teacher {card.name}"
    return Answer({"cards": [shown]}, "\n".join(line for line in (text.cards([shown]), card.notes, ready) if line))
