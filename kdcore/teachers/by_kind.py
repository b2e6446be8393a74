"""A teacher that answers by kind: its classes' logits are summed to the kinds that a dataset has for its classes.

A teacher of a thousand classes thus teaches a student that shall only know a few kinds of them. Classes of other kinds
are left out, so that its soft labels say which of the dataset's kinds a picture shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.machine.tensor_files import canonical_json
from kdcore.metrics.soft_labels import superclass_logits
from kdcore.networks.frozen import FrozenNetwork
from kdcore.teachers.card import ModelCard
from kdcore.teachers.teacher import Teacher


class SummedByKind(nn.Module):
    """A network that resizes pictures to the teacher's size and sums its calibrated logits by kind.

    The sum is the log-sum-exp at T = 1, as in `superclass_logits`.
    """

    def __init__(self, teacher: Teacher, kinds: Sequence[str]) -> None:
        super().__init__()
        self.network = teacher.network
        self.calibration = teacher.card.calibration
        self.size = teacher.card.image_shape[1:]
        self.superclasses = teacher.card.superclasses
        self.kinds = tuple(kinds)

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, K]
        if pictures.shape[-2:] != self.size:
            pictures = F.interpolate(pictures, size=self.size, mode="bilinear", antialias=True, align_corners=False)
        logits = superclass_logits(self.network(pictures).float() * self.calibration, self.superclasses)
        return torch.stack([logits[kind] for kind in self.kinds], -1).float()


def knows_kinds(card: ModelCard, names: Sequence[str]) -> bool:
    """Whether each of these classes is one of the kinds (superclasses) of the network that `card` describes.

    A network whose superclasses are its classes themselves knows no kinds.
    """
    kinds = set(card.superclasses)
    return len(kinds) < len(card.class_names) and set(names) <= kinds


def by_kind(teacher: Teacher, kinds: Sequence[str], image_shape: tuple[int, int, int]) -> Teacher:
    """The same teacher with `kinds` as its classes.

    Its card has no figures, because those of the teacher are about its own classes, and a hash of its own.

    Args:
        kinds: some of the teacher's kinds, in the order that its logits shall have.
        image_shape: (C, H, W) of the pictures that it is shown; they are resized to the teacher's size.
    """
    facts = [teacher.logits_key(), teacher.card.superclasses, tuple(kinds)]
    card = replace(
        teacher.card,
        class_names=tuple(kinds),
        superclasses=tuple(kinds),
        image_shape=image_shape,
        calibration=1.0,
        crop=1.0,
        resize=None,
        accuracy=None,
        figures={},
        none_below=None,
        sha256=hashlib.sha256(canonical_json(facts).encode()).hexdigest(),
    )
    return Teacher(card, FrozenNetwork(SummedByKind(teacher, kinds)), teacher.device)
