"""The commands that list, show, measure and train teachers, predict a picture, and tune a recipe.

Each function takes the parsed options of its command and returns the answer.
"""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from kdcore.cli import text
from kdcore.cli.answer import Answer, progress
from kdcore.errors import PictureError


def teachers(options: Namespace) -> Answer:
    from kdcore.cli.card_text import cards_table
    from kdcore.teachers.card import read_cards

    cards, damaged = read_cards()
    data = {
        "teachers": [card.to_json() for card in cards if card.role == "teacher"],
        "students": [card.to_json() for card in cards if card.role != "teacher"],
    }
    return Answer(data, cards_table(cards, damaged))


def teachers_show(options: Namespace) -> Answer:
    from kdcore.cli.card_text import one_card_text
    from kdcore.errors import UnknownName
    from kdcore.teachers.card import list_cards
    from kdcore.teachers.ensemble_names import is_ensemble
    from kdcore.teachers.ensembles import ensemble_card

    cards = {card.name: card for card in list_cards()}
    if is_ensemble(options.name):
        cards[options.name] = ensemble_card(options.name, cards.values())
    if options.name not in cards:
        raise UnknownName("model card", options.name, cards)
    card = cards[options.name]
    return Answer(card.to_json(), one_card_text(card, tuple(cards.values())))


def teachers_measure(options: Namespace) -> Answer:
    from kdcore.cli.card_text import one_card_text
    from kdcore.teachers.building.measure import measure_teacher

    card = measure_teacher(options.name, options.device)
    data = {"teacher": card.name, "dataset": card.dataset, "dataset_sha256": card.dataset_sha256}
    return Answer({**data, "figures": card.figures}, one_card_text(card, (card,)))


def teachers_train(options: Namespace) -> Answer | None:
    """Train a bundled model. Of several processes started by torchrun, all but the first return None."""
    from kdcore.machine.allocator import keep_freed_memory
    from kdcore.machine.distributed import join
    from kdcore.teachers.card import ModelCard
    from kdcore.training.bundled_students import build

    keep_freed_memory()
    cards = []
    with progress() as line, join(options.device) as world:
        for step in build(options.name, Path(options.out) if options.out else None, options.device, world=world):
            if isinstance(step, ModelCard):
                cards.append(step.to_json())
            elif world.rank == 0:
                line(f"{options.name}: epoch {step.epoch} of {step.epochs}")
    return Answer({"cards": cards}, text.cards(cards)) if world.rank == 0 else None


def predict(options: Namespace) -> Answer:
    import torch

    from kdcore.metrics.soft_labels import soften
    from kdcore.pictures.decode import MAX_BYTES, open_picture
    from kdcore.teachers.load import load_teacher
    from kdcore.teachers.predict import predict

    soften(torch.zeros(1), options.temperature)  # reject an illegal temperature before loading anything
    try:
        with contextlib.ExitStack() as stack:
            file = sys.stdin.buffer if options.image == "-" else stack.enter_context(Path(options.image).open("rb"))
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: the name contains a zero byte
        why = getattr(error, "strerror", None) or "not a file name"
        raise PictureError(f"The picture cannot be read ({why}); give the path of a picture file.") from error
    picture = open_picture(data, "" if options.image == "-" else options.image)
    answer = predict(load_teacher(options.teacher), picture, options.temperature)
    return Answer(answer, text.prediction(answer))


def tune(options: Namespace) -> Answer:
    from kdcore.training.tuning import tune

    settings = {name: getattr(options, name) for name in ("student", "labels", "seeds", "device")}
    rows = []
    with progress() as line:
        for row in tune(options.dataset, **{name: value for name, value in settings.items() if value is not None}):
            rows.append(asdict(row))
            line(f"{options.dataset}: {len(rows)} recipes tried")
    best = max(rows, key=lambda row: float(row["validation_accuracy"]))
    return Answer({"dataset": options.dataset, "rows": rows, "best": best}, text.tuning(rows, best))
