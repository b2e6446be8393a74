"""torchvision's ImageNet classifiers as teachers: which weights, and what their training does to their soft labels.

Addresses, sizes, checksums, preprocessing and published accuracies come from torchvision's own enums of weights. The
facts about training come from torchvision's `references/classification`, and for EfficientNet from timm's examples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kdcore.errors import TeacherUnavailable, UnknownName
from kdcore.machine.download import RemoteFile
from kdcore.machine.torchvision_import import classifier_names, classifier_weights
from kdcore.teachers.card import list_teachers

_NO_SMOOTHING = {"label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0}
_UNSMOOTHED_NOTE = (
    "Label smoothing and mixing of pictures were not used, so what it gives to the other classes was learned."
)


@dataclass(frozen=True)
class PublishedTeacher:
    """One of torchvision's classifiers.

    Attributes:
        name: torchvision's name of the network, which is also the teacher's name.
        weights: the member of torchvision's enum of weights for this network. The registered teachers use the weights
            that were trained with the least label smoothing and mixing of pictures.
        training: the documented settings of the training.
        notes: sentences for visitors on how it was trained and what that does to its soft labels.
    """

    name: str
    weights: str = "DEFAULT"
    training: dict[str, Any] = field(default_factory=dict)
    notes: str = (
        "The address of its recipe says how it was trained, and whether with smoothed labels or mixed pictures."
    )


PUBLISHED: dict[str, PublishedTeacher] = {
    teacher.name: teacher
    for teacher in (
        PublishedTeacher(
            "resnet50",
            "IMAGENET1K_V1",
            {"epochs": 90, "optimiser": "SGD", **_NO_SMOOTHING},
            f"90 epochs on hard labels with crops and mirror images only. {_UNSMOOTHED_NOTE}",
        ),
        PublishedTeacher(
            "resnet18",
            "IMAGENET1K_V1",
            {"epochs": 90, "optimiser": "SGD", **_NO_SMOOTHING},
            f"90 epochs on hard labels with crops and mirror images only. {_UNSMOOTHED_NOTE}",
        ),
        PublishedTeacher(
            "mobilenet_v3_large",
            "IMAGENET1K_V1",
            {"epochs": 600, "optimiser": "RMSprop", "augmentation": "AutoAugment, random erasing 0.2", **_NO_SMOOTHING},
            f"600 epochs on hard labels with AutoAugment and random erasing. {_UNSMOOTHED_NOTE}",
        ),
        PublishedTeacher(
            "efficientnet_b0",
            "IMAGENET1K_V1",
            {
                "origin": "timm",
                "augmentation": "RandAugment, random erasing 0.2",
                "label_smoothing": "0.1 (timm's default)",
            },
            "Taken over from timm, whose training smooths labels by 0.1 by default, and uses RandAugment and random "
            "erasing: expect part of what it gives to the other classes to be spread evenly.",
        ),
        PublishedTeacher(
            "convnext_tiny",
            "IMAGENET1K_V1",
            {
                "epochs": 600,
                "optimiser": "AdamW",
                "augmentation": "TrivialAugment, random erasing 0.1",
                "label_smoothing": 0.1,
                "mixup": 0.2,
                "cutmix": 1.0,
            },
            "600 epochs with label smoothing 0.1, mixup and cutmix: the most often right of these, but smoothing and "
            "mixing teach a network to give every other class its share, which flattens the soft labels.",
        ),
    )
}


def published_teacher(name: str) -> PublishedTeacher:
    """The registered teacher of this name, else any classifier of torchvision with its default weights.

    Raises:
        UnknownName: torchvision has no such classifier.
    """
    if name in PUBLISHED:
        return PUBLISHED[name]
    if name not in classifier_names():
        raise UnknownName("published teacher", name, PUBLISHED)
    return PublishedTeacher(name)


def remote_file(teacher: PublishedTeacher) -> RemoteFile:
    """Where a teacher's weights can be fetched, with their size and checksum.

    The checksum is taken from the file's name: torchvision's names end with the first digits of the file's SHA-256.
    """
    weights = classifier_weights(teacher.name, teacher.weights)
    name = urlsplit(weights.url).path.rsplit("/", 1)[-1]
    found = re.search(r"-([0-9a-f]{8,64})\.pth$", name)
    size = round(weights.meta["_file_size"] * 2**20)
    return RemoteFile(name, (weights.url,), found[1] if found else "", size, "sha256")


def published_accuracy(teacher: PublishedTeacher) -> float:
    """The accuracy (0 to 1) on ImageNet's validation pictures that torchvision publishes."""
    weights = classifier_weights(teacher.name, teacher.weights)
    return float(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]) / 100


def not_fetched_error(name: str) -> TeacherUnavailable:
    """The error for a published teacher that is not on this machine yet; the caller raises it."""
    size = remote_file(published_teacher(name)).size / 1e6
    return TeacherUnavailable(
        f"{name} is not on this machine: fetch it ({size:.0f} MB: kdcore teachers get {name}), or choose one that is "
        f"here: {names_here()}."
    )


def names_here() -> str:
    """The names of this machine's teachers, separated by commas, or "none"."""
    return ", ".join(card.name for card in list_teachers()) or "none"
