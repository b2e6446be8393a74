"""What a teacher's logits say: soft labels at a temperature, and what is in them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kdcore.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from kdcore.teachers import Teacher


def soften(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Soft labels: softmax(logits / T), [..., K], float64 (Hinton, Vinyals, Dean 2015, equation 1).

    Raises:
        ConfigError: a temperature that is not a finite number above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ConfigError(f"The temperature must be a finite number above 0, not {temperature!r}.")
    return (logits.double() / temperature).softmax(-1)


def entropy(soft_labels: Tensor) -> Tensor:
    """Entropy in nats: [..., K] -> [...]; 0 for a certain answer, log K for none."""
    terms: Tensor = torch.special.entr(soft_labels)
    return terms.sum(-1)


def dark_share(soft_labels: Tensor) -> Tensor:
    """Probability outside the winning class: [..., K] -> [...]."""
    return 1 - soft_labels.amax(-1)


def non_target(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Soft labels without the winning class, renormalised: [..., K] (Zhao et al. 2022, section 3.1, with the
    teacher's top class as target). The winner's place holds 0."""
    winner = logits.argmax(-1, keepdim=True)
    return soften(logits.double().scatter(-1, winner, -math.inf), temperature)


def familiarity(logits: Tensor) -> Tensor:
    """How much the logits say that the picture is one of the classes: [..., K] -> [...], in nats.

    The negative free energy, log of the sum of exp (Liu et al. 2020, "Energy-based out-of-distribution detection",
    equation 4): a softmax forgets how high the logits were, this remembers. Below the card's `none_below` the picture
    is none of them.
    """
    return logits.double().logsumexp(-1)


def none_of_these(logits: Tensor, none_below: float | None) -> bool | None:
    """Whether a picture with these logits [K] is probably none of the classes; None where no threshold is known.

    Args:
        none_below: the teacher's card's.
    """
    return None if none_below is None else bool(familiarity(logits) < none_below)


def superclass_mass(soft_labels: Tensor, superclasses: Sequence[str]) -> dict[str, float]:
    """Sum of the soft labels [K] in each superclass, largest first.

    At high temperatures the sum drifts to the number of classes a superclass has.
    """
    mass: dict[str, float] = {}
    for name, share in zip(superclasses, soft_labels.tolist(), strict=True):
        mass[name] = mass.get(name, 0.0) + share
    return dict(sorted(mass.items(), key=lambda item: -item[1]))


def predict(teacher: Teacher, picture: Image.Image, temperature: float = 1.0) -> dict[str, Any]:
    """A picture's soft labels in the shape that `kdcore predict --json` prints; `latency_ms` is one pass."""
    images = teacher.prepare(picture)
    start = time.perf_counter()
    logits = teacher.logits(images)[0]
    milliseconds = (time.perf_counter() - start) * 1000
    soft_labels = soften(logits, temperature)
    return {
        "teacher": teacher.name,
        "temperature": temperature,
        "class_names": list(teacher.card.class_names),
        "logits": [float(value) for value in logits],
        "soft_labels": [float(value) for value in soft_labels],
        "superclasses": superclass_mass(soft_labels, teacher.card.superclasses),
        "none_of_these": none_of_these(logits, teacher.card.none_below),
        "latency_ms": milliseconds,
    }
