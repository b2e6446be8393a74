"""Soft labels at a temperature, and quantities computed from them or from logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kdcore.errors import ConfigError

MAX_LOG_ODDS = 100.0  # largest absolute value of `log_odds`, in nats; no picture is that certain


def soften(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Soft labels: softmax(logits / T), [..., K], float64 (Hinton, Vinyals, Dean 2015, equation 1).

    Raises:
        ConfigError: the temperature is not a finite number above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ConfigError(f"The temperature must be a finite number above 0, not {temperature!r}.")
    return (logits.double() / temperature).softmax(-1)


def entropy(soft_labels: Tensor) -> Tensor:
    """Entropy in nats: [..., K] -> [...]; 0 if one class has probability 1, log K if all are equally probable."""
    terms: Tensor = torch.special.entr(soft_labels)
    return terms.sum(-1)


def dark_share(soft_labels: Tensor) -> Tensor:
    """Dark share: the total probability of all classes but the most probable one: [..., K] -> [...]."""
    return 1 - soft_labels.amax(-1)


def non_target(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Soft labels without the most probable class, renormalised: [..., K] (Zhao et al. 2022, section 3.1, with the
    teacher's most probable class as target). The removed class has the value 0."""
    winner = logits.argmax(-1, keepdim=True)
    return soften(logits.double().scatter(-1, winner, -math.inf), temperature)


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds of each class against all others at T = 1, log(p / (1 - p)): [..., K] -> [..., K], float64, in nats.

    It is limited to `MAX_LOG_ODDS` on both sides, so that it is finite for a class that a logit of -inf rules out.
    """
    log_probs = logits.double().log_softmax(-1)
    # 1 - p of the most probable class can round to 0, so it is summed from the other classes.
    winner = log_probs.argmax(-1, keepdim=True)
    others = log_probs.scatter(-1, winner, -math.inf)
    log_rest = torch.log1p(-others.exp()).scatter(-1, winner, others.logsumexp(-1, keepdim=True))
    return (log_probs - log_rest).clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)


def familiarity(logits: Tensor) -> Tensor:
    """A score of how likely the picture is one of the known classes at all: [..., K] -> [...], in nats.

    It is the negative free energy, the log of the sum of exp(logits) (Liu et al. 2020, "Energy-based
    out-of-distribution detection", equation 4). Unlike a softmax, it depends on the overall height of the logits. If it
    is below the threshold `none_below` of the teacher's card, the picture counts as none of the classes.
    """
    return logits.double().logsumexp(-1)


def none_of_these(logits: Tensor, none_below: float | None) -> bool | None:
    """Whether a picture with these logits [K] is probably none of the classes; None if no threshold is known.

    Args:
        none_below: the threshold of `familiarity` from the teacher's card.
    """
    return None if none_below is None else bool(familiarity(logits) < none_below)


def superclass_logits(logits: Tensor, superclasses: Sequence[str]) -> dict[str, Tensor]:
    """The logit of each superclass: the log-sum-exp of its classes' logits [..., K] at T = 1: [...], float64.

    exp(logit) of a superclass is the sum of exp(logit) of its classes, so that at T = 1 its probability is the sum of
    theirs. The superclasses stand in the order in which the classes name them.

    Args:
        superclasses: the superclass of each class.
    """
    members: dict[str, list[int]] = {}
    for index, name in enumerate(superclasses):
        members.setdefault(name, []).append(index)
    return {name: logits[..., indices].double().logsumexp(-1) for name, indices in members.items()}


def superclass_soft_labels(logits: Tensor, superclasses: Sequence[str], temperature: float = 1.0) -> dict[str, float]:
    """The soft label of each superclass for one picture's logits [K], largest first: summed first, then softened.

    The temperature acts on `superclass_logits`. In the other order, softened first and then summed, each superclass
    approaches its share of the classes as the temperature rises, whatever the picture shows. At T = 1 both are equal.

    Args:
        superclasses: the superclass of each class.

    Raises:
        ConfigError: the temperature is not a finite number above 0.
    """
    summed = superclass_logits(logits, superclasses)
    shares = soften(torch.stack(list(summed.values())), temperature).tolist()
    return dict(sorted(zip(summed, shares, strict=True), key=lambda item: -item[1]))
