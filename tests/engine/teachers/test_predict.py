"""The answer to one picture, with its superclasses, beside NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdcore.cli import text
from kdcore.machine.device import pick_device
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.registry import build_model
from kdcore.teachers.load import load_teacher
from kdcore.teachers.predict import predict
from kdcore.teachers.sources import imagenet
from kdcore.teachers.teacher import Teacher

PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (90, 70, 3), dtype=np.uint8))


def made(name: str) -> Teacher:
    """A bundled teacher, or one of ImageNet's thousand classes whose weights are random."""
    if name != "imagenet":
        return load_teacher(name)
    card = replace(
        load_teacher("animals").card,
        model="convnet-4",
        class_names=tuple(f"class {index}" for index in range(1000)),
        superclasses=imagenet.superclasses(),
        calibration=12.0,  # random weights answer with logits near 0
    )
    network = build_model("convnet-4", card.image_shape, 1000, seed=1)
    return Teacher(card, FrozenNetwork(network), pick_device("cpu"))


def reference(answer: dict[str, Any], superclasses: tuple[str, ...]) -> dict[str, float]:
    """The sum of the classes' probabilities at T = 1, to the power 1/T, renormalised."""
    z = np.array(answer["logits"], np.longdouble)
    p = np.exp(z - z.max())
    power = {name: p[np.array(superclasses) == name].sum() ** (1 / answer["temperature"]) for name in set(superclasses)}
    return {name: float(value / sum(power.values())) for name, value in power.items()}


@pytest.mark.parametrize(("name", "count"), [("imagenet", 40), ("animals", 18), ("cifar10", 2), ("creatures", 4)])
def test_superclasses_are_summed_first_and_then_softened(name: str, count: int) -> None:
    teacher = made(name)
    for temperature in (0.5, 1.0, 4.0, 20.0):
        answer = predict(teacher, PICTURE, temperature)
        assert len(answer["superclasses"]) == count
        assert answer["superclasses"] == pytest.approx(reference(answer, teacher.card.superclasses), rel=1e-6)
        assert sum(answer["superclasses"].values()) == pytest.approx(1)


def test_without_superclasses_each_class_is_its_own() -> None:
    answer = predict(load_teacher("digits"), PICTURE, 4)
    assert answer["superclasses"] == pytest.approx(dict(zip(answer["class_names"], answer["soft_labels"], strict=True)))


def test_in_words_the_kinds_stand_before_the_classes() -> None:
    words = text.prediction(predict(made("imagenet"), PICTURE))
    assert words.index("kind ") < words.index("class ")
    assert "... and 35 more kinds with" in words and "... and 990 more classes with" in words
    assert "kind" not in text.prediction(predict(load_teacher("digits"), PICTURE))
