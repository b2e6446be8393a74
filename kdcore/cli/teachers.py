"""The commands about teachers: list, show, add, fetch, remove, measure and train them, and ask one about a picture."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from pathlib import Path

from kdcore.cli import text
from kdcore.cli.answer import Answer, file_error_reason, follow_download, progress
from kdcore.cli.card_text import added_cards_table, cards_table, one_card_text
from kdcore.errors import PictureError, UnknownName
from kdcore.machine.allocator import keep_freed_memory
from kdcore.teachers.card import ModelCard, list_cards, read_cards
from kdcore.teachers.ensemble_names import is_ensemble


def teachers(options: Namespace) -> Answer:
    cards, damaged = read_cards()
    data = {
        "teachers": [card.to_json() for card in cards if card.role == "teacher"],
        "students": [card.to_json() for card in cards if card.role != "teacher"],
    }
    return Answer(data, cards_table(cards, damaged))


def show(options: Namespace) -> Answer:
    cards = {card.name: card for card in list_cards()}
    if is_ensemble(options.name):
        from kdcore.teachers.ensembles import ensemble_card  # loads torch, which takes seconds

        cards[options.name] = ensemble_card(options.name, cards.values())
    if options.name not in cards:
        raise UnknownName("model card", options.name, cards)
    card = cards[options.name]
    return Answer(card.to_json(), one_card_text(card, tuple(cards.values())))


def get(options: Namespace) -> Answer:
    return _ready_answer(_fetch(options.name))


def add(options: Namespace) -> Answer:
    library, _, name = options.source.partition(":")
    if library == "torchvision":
        return _ready_answer(_fetch(name, options.name))
    if library == "timm":
        from kdcore.teachers.sources.timm import add_timm  # loads torch, which takes seconds

        return _ready_answer(add_timm(name, options.name))
    from kdcore.teachers.sources.own import add_teacher  # loads torch, which takes seconds

    return _ready_answer(add_teacher(Path(options.source), options.name))


def remove(options: Namespace) -> Answer:
    from kdcore.teachers.sources.own import remove_teacher  # loads torch, which takes seconds

    remove_teacher(options.name)
    return Answer({"removed": options.name}, f"{options.name} is no longer on this machine.")


def measure(options: Namespace) -> Answer:
    # These load torch, which takes seconds.
    from kdcore.teachers.building.measure import measure_teacher
    from kdcore.teachers.teacher import write_card

    card = measure_teacher(options.name, options.device)
    if options.out:
        write_card(card, Path(options.out) / f"{card.name}.json")
    data = {"teacher": card.name, "dataset": card.dataset, "dataset_sha256": card.dataset_sha256}
    return Answer({**data, "figures": card.figures, "notes": card.notes}, one_card_text(card, (card,)))


def train(options: Namespace) -> Answer | None:
    """Train a bundled model. Of several processes started by torchrun, all but the first return None."""
    # These load torch, which takes seconds.
    from kdcore.machine.distributed import join
    from kdcore.training.bundled_students import build

    keep_freed_memory()
    cards = []
    with progress() as line, join(options.device) as world:
        for step in build(options.name, Path(options.out) if options.out else None, options.device, world=world):
            if isinstance(step, ModelCard):
                cards.append(step.to_json())
            elif world.rank == 0:
                line(f"{options.name}: epoch {step.epoch} of {step.epochs}")
    return Answer({"cards": cards}, added_cards_table(cards)) if world.rank == 0 else None


def predict(options: Namespace) -> Answer:
    # These load torch, which takes seconds.
    import torch

    from kdcore.metrics.soft_labels import soften
    from kdcore.pictures.decode import MAX_BYTES, open_picture
    from kdcore.teachers.load import load_teacher
    from kdcore.teachers.predict import predict as predict_picture

    soften(torch.zeros(1), options.temperature)  # reject an illegal temperature before loading anything
    try:
        with contextlib.ExitStack() as stack:
            file = sys.stdin.buffer if options.image == "-" else stack.enter_context(Path(options.image).open("rb"))
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: the name contains a zero byte
        reason = file_error_reason(error)
        raise PictureError(f"The picture cannot be read ({reason}); give the path of a picture file.") from error
    picture = open_picture(data, "" if options.image == "-" else options.image)
    answer = predict_picture(load_teacher(options.teacher), picture, options.temperature)
    return Answer(answer, text.prediction(answer))


def _fetch(name: str, new_name: str | None = None) -> ModelCard:
    """Fetch a teacher that torchvision publishes, and return its card.

    Args:
        new_name: the name that it gets on this machine; its own unless given.
    """
    # These load torch, which takes seconds.
    from kdcore.teachers.sources.own import check_new_name
    from kdcore.teachers.sources.torchvision import fetch_published

    if new_name is not None:
        check_new_name(new_name)
    follow_download(fetch_published(name, new_name))
    return next(card for card in list_cards() if card.name == (new_name or name))


def _ready_answer(card: ModelCard) -> Answer:
    """Return the answer for a teacher that has just been added: its card, its notes, and how to ask it."""
    row = card.to_json()
    ready = f"{card.name} is ready: kdcore predict IMAGE --teacher {card.name}"
    return Answer({"cards": [row]}, "\n".join(line for line in (added_cards_table([row]), card.notes, ready) if line))
