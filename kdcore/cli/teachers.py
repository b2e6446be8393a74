"""The commands that add teachers to this machine and remove them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from kdcore.cli import text
from kdcore.cli.answer import Answer, follow_download
from kdcore.teachers.card import ModelCard


def get(options: Namespace) -> Answer:
    return _answer(_fetch(options.name))


def add(options: Namespace) -> Answer:
    from kdcore.teachers.sources.own import add_teacher

    library, _, inner = options.source.partition(":")
    if library == "torchvision":
        return _answer(_fetch(inner, options.name))
    if library == "timm":
        from kdcore.teachers.sources.timm import add_timm

        return _answer(add_timm(inner, options.name))
    return _answer(add_teacher(Path(options.source), options.name))


def remove(options: Namespace) -> Answer:
    from kdcore.teachers.sources.own import remove_teacher

    remove_teacher(options.name)
    return Answer({"removed": options.name}, f"{options.name} is no longer on this machine.")


def _fetch(name: str, called: str | None = None) -> ModelCard:
    from kdcore.teachers.card import list_cards
    from kdcore.teachers.sources.own import check_new_name
    from kdcore.teachers.sources.torchvision import fetch_published

    if called is not None:
        check_new_name(called)
    follow_download(fetch_published(name, called))
    return next(card for card in list_cards() if card.name == (called or name))


def _answer(card: ModelCard) -> Answer:
    shown = card.to_json()
    ready = f"{card.name} is ready: kdcore predict IMAGE --teacher {card.name}"
    return Answer({"cards": [shown]}, "\n".join(line for line in (text.cards([shown]), card.notes, ready) if line))
