"""What is measured here of `photos`, EfficientNet-Lite0 from a package, whose card is otherwise written by hand.

ImageNet's own pictures are not on this machine, so its accuracy is the published one. What is measured here rests on
pictures that it cannot have learned from: the 48 small classes of `animals64` (labels 59 to 106; the others are
ImageNet's own training pictures), the folder `photos` of `KDCORE_DATA`, and pictures that are drawn here.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from kdcore.datasets import load_dataset
from kdcore.datasets.animals64 import FIRST_SMALL_LABEL, small_classes
from kdcore.machine import paths
from kdcore.metrics import scores
from kdcore.metrics.soft_labels import familiarity
from kdcore.pictures.decode import open_picture
from kdcore.teachers.building import no_class_pictures
from kdcore.teachers.building.figures import fit_threshold, superclass_figures, top_superclasses
from kdcore.teachers.card import ModelCard
from kdcore.teachers.teacher import Teacher

NAME = "photos"
FALSE_ALARM_RATE = 0.04  # where the threshold is chosen; a point of margin, so that other pictures stay below 5 %
CHOSEN_ON = 500  # train pictures of animals64 that the threshold is chosen on, besides all of its validation pictures
DRAWN = 100  # pictures of each kind that is drawn here
BATCH = 50  # pictures that are asked at a time, which bounds the memory


def measure_photos(teacher: Teacher) -> ModelCard:
    """Measure `photos`, choose its threshold anew, and return its card with both.

    Raises:
        DatasetUnavailable: `animals64` is not on this machine.
    """
    threshold, figures = _measure(teacher)
    figures["published_accuracy"] = teacher.card.figures["published_accuracy"]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return replace(teacher.card, figures=figures, none_below=threshold, date=today)


def _measure(teacher: Teacher) -> tuple[float, dict[str, Any]]:
    """The threshold of `none_of_these`, chosen on train and validation pictures, and the figures."""
    animals = load_dataset("animals64")
    train, validation, test = (small_classes(split) for split in (animals.train, animals.validation, animals.test))
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:CHOSEN_ON]
    known = torch.cat([ask(teacher, as_pictures(split.images)) for split in (train.select(rows), validation)])
    threshold = fit_threshold(known, FALSE_ALARM_RATE)
    logits = ask(teacher, as_pictures(test.images))
    kinds = [animals.superclasses[label] for label in test.hard_labels.tolist()]
    figures = superclass_figures(logits, teacher.card.superclasses, kinds)
    none_of_these: dict[str, Any] = {"chosen_on": len(known), "false_alarms": called_none(logits, threshold)}
    if photos := labelled_photos(animals.class_names, animals.superclasses):
        photo_logits = ask(teacher, [photo for _name, photo, _kind in photos])
        figures["photos"] = _photo_figures(teacher, photo_logits, [(name, kind) for name, _photo, kind in photos])
        none_of_these["false_alarms_elsewhere"] = {"photos": called_none(photo_logits, threshold)}
    none_of_these["found"] = {
        name: called_none(ask(teacher, pictures), threshold) for name, pictures in pictures_of_no_class().items()
    }
    return threshold, {**figures, "none_of_these": none_of_these}


def _photo_figures(teacher: Teacher, logits: Tensor, photos: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The share of photos, (file name, superclass) pairs, whose superclass comes first; the answers to the others."""
    answers = top_superclasses(logits, teacher.card.superclasses)
    missed = {name: answer for (name, kind), answer in zip(photos, answers, strict=True) if answer != kind}
    right = torch.tensor([name not in missed for name, _kind in photos])
    return {**scores.proportion_estimate(right).to_json(), "n": len(photos), "missed": missed}


def labelled_photos(class_names: Sequence[str], superclasses: Sequence[str]) -> list[tuple[str, Image.Image, str]]:
    """The photos in the folder `photos` of `KDCORE_DATA`: file name, picture, and superclass.

    A file is called by its class, as in `red_fox_2.jpg`. A giraffe is left out, because ImageNet has none. The list is
    empty where there is no such folder.

    Args:
        class_names: the classes of `animals64`.
        superclasses: their superclasses, which are called as those of ImageNet.
    """
    data = paths.data()
    found = []
    for path in sorted((data / "photos").glob("*.jpg")) if data is not None else ():
        words = set(re.findall("[a-z]+", path.stem))
        for name, superclass in list(zip(class_names, superclasses, strict=True))[FIRST_SMALL_LABEL:]:
            if set(name.removesuffix(" (mixed)").split()) <= words and name != "giraffe":
                found.append((path.name, open_picture(path.read_bytes(), path.name), superclass))
    return found


def pictures_of_no_class() -> dict[str, list[Image.Image]]:
    """Pictures that show nothing that ImageNet has a class for, by their kind."""
    return {
        "digits": as_pictures(load_dataset("digits").test.images[:DRAWN]),
        "creatures": as_pictures(load_dataset("creatures").test.images[:DRAWN]),
        "drawn shapes": no_class_pictures.drawings(DRAWN, seed=0),
        "text pages": no_class_pictures.text_pages(DRAWN, seed=0),
        "noise": no_class_pictures.noise(DRAWN, seed=0),
    }


def as_pictures(images: Tensor) -> list[Image.Image]:
    """Turn uint8 [N, C, H, W] into N pictures, in grey or colour."""
    return [
        Image.fromarray(image.squeeze(0).numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy())
        for image in images
    ]


def ask(teacher: Teacher, pictures: Sequence[Image.Image]) -> Tensor:
    """The teacher's logits, [N, K], for pictures that are prepared as those of a visitor."""
    batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
    return torch.cat([teacher.logits(torch.cat([teacher.prepare(picture) for picture in batch])) for batch in batches])


def called_none(logits: Tensor, threshold: float) -> dict[str, Any]:
    """The share of pictures, with its interval and their number, whose familiarity is below the threshold."""
    return {**scores.proportion_estimate(familiarity(logits) < threshold).to_json(), "n": len(logits)}
