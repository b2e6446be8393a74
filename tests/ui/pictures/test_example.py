"""The example picture is chosen among pictures of every class."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from kdcore import datasets
from kdcore.networks.frozen import FrozenNetwork
from kdcore.teachers.load import load_teacher
from kdcore.teachers.teacher import Teacher
from pages.ui.pictures.example import CANDIDATES, hesitant_example


class Asked(nn.Module):
    """Passes pictures on to a network, and remembers them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.pictures: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Tensor:
        self.pictures.append(pictures)
        logits: Tensor = self.network(pictures)
        return logits


def test_candidates_are_of_every_class_where_pictures_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = datasets.load_dataset("digits")
    ordered = digits.validation.select(digits.validation.hard_labels.argsort(stable=True))
    monkeypatch.setattr(datasets, "load_dataset", lambda name: replace(digits, validation=ordered))
    teacher = load_teacher("digits")
    asked = Asked(teacher.network)
    example = hesitant_example("digits", Teacher(teacher.card, FrozenNetwork(asked), teacher.device))
    seen = torch.cat(asked.pictures)
    labels = {
        int(ordered.hard_labels[row])
        for row, picture in enumerate(ordered.images)
        if (seen - picture.float() / 127.5 + 1).abs().flatten(1).amax(1).min() < 1e-3
    }
    assert (len(seen), labels) == (CANDIDATES, set(range(10)))
    assert example.pixels.shape == (8, 8, 3) and max(example.soft_labels(1.0)) < 1.0
