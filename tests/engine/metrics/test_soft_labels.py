"""Soft labels against NumPy, at temperatures from cold to hot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdcore.datasets.published_sets import PUBLISHED
from kdcore.errors import ConfigError
from kdcore.metrics.soft_labels import (
    MAX_LOG_ODDS,
    dark_share,
    entropy,
    log_odds,
    non_target,
    soften,
    superclass_logits,
    superclass_soft_labels,
)
from kdcore.teachers.sources import imagenet

LOGITS = torch.tensor([4.0, 2.0, -1.0, 0.5])


def numpy_softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0, 20.0])
def test_soften_entropy_and_dark_share_are_the_formulas(temperature: float) -> None:
    p = numpy_softmax(LOGITS.double().numpy() / temperature)
    soft = soften(LOGITS, temperature)
    assert soft.numpy() == pytest.approx(p)
    assert float(entropy(soft)) == pytest.approx(-(p * np.log(p)).sum())
    assert float(dark_share(soft)) == pytest.approx(1 - p.max())


@pytest.mark.parametrize("temperature", [0.2, 1.0, 4.0, 20.0])
def test_lights_off_renormalises_what_is_left(temperature: float) -> None:
    """Zhao et al. 2022, equation 3: p_i / sum of p_j over the classes that are not the target."""
    p = numpy_softmax(LOGITS.double().numpy() / temperature)
    rest = np.where(np.arange(4) == 0, 0.0, p)
    assert non_target(LOGITS, temperature).numpy() == pytest.approx(rest / rest.sum())


def test_log_odds_are_the_formula_also_where_one_class_is_certain_or_ruled_out() -> None:
    z = np.array([60.0, 2.0, -1.0, 0.5], np.longdouble)  # 1 - p of the first class is below the rounding of float64
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    rest = np.array([np.delete(p, index).sum() for index in range(4)])
    assert log_odds(torch.from_numpy(z.astype(float))).numpy() == pytest.approx(
        (np.log(p) - np.log(rest)).astype(float)
    )
    assert log_odds(LOGITS + 7).numpy() == pytest.approx(log_odds(LOGITS).numpy())
    assert log_odds(torch.tensor([1.0, 1.0, -math.inf])).tolist() == pytest.approx([0.0, 0.0, -MAX_LOG_ODDS])
    assert log_odds(torch.tensor([1.0, -math.inf])).tolist() == [MAX_LOG_ODDS, -MAX_LOG_ODDS]


def test_certain_and_uniform_answers() -> None:
    assert float(entropy(soften(torch.tensor([1e4, 0.0])))) == 0.0
    assert float(entropy(soften(torch.zeros(8)))) == pytest.approx(math.log(8))


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.floats(0.1, 50), st.floats(1.01, 10))
def test_a_higher_temperature_never_lowers_the_entropy(logits: list[float], cold: float, factor: float) -> None:
    z = torch.tensor(logits, dtype=torch.float64)
    assert float(entropy(soften(z, cold * factor))) >= float(entropy(soften(z, cold))) - 1e-9


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        soften(LOGITS, temperature)


def summed_then_softened(logits: np.ndarray, superclasses: Sequence[str], temperature: float) -> dict[str, float]:
    """The reference: the sum of the classes' probabilities at T = 1, to the power 1/T, renormalised."""
    z = logits.astype(np.longdouble)
    p = np.exp(z - z.max())
    power = {name: p[np.array(superclasses) == name].sum() ** (1 / temperature) for name in superclasses}
    return {name: float(value / sum(power.values())) for name, value in power.items()}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("above", ["cifar100", "imagenet"])
def test_superclasses_are_summed_first_and_then_softened(above: str, temperature: float) -> None:
    spec = PUBLISHED["cifar100"]
    names = [spec.superclasses[name] for name in spec.class_names] if above == "cifar100" else imagenet.superclasses()
    logits = np.random.default_rng(3).normal(0, 4, len(names))
    found = superclass_soft_labels(torch.from_numpy(logits), names, temperature)
    assert found == pytest.approx(summed_then_softened(logits, names, temperature), rel=1e-9)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(1)
    if temperature == 1:
        p = numpy_softmax(logits)
        assert found == pytest.approx({name: p[np.array(names) == name].sum() for name in names}, rel=1e-9)


def test_a_wolf_stays_a_wolf_however_many_breeds_of_dogs_there_are() -> None:
    """The case for this order: softened first, a sum drifts to the number of its classes."""
    names = ["dog"] * 118 + ["wolf"] * 4
    z = np.array([0.0] * 118 + [9.0, 8.0, 7.0, 6.0])
    softened_first = numpy_softmax(z / 4)[:118].sum()
    assert softened_first > 0.8  # a dog, says the other order
    hot = superclass_soft_labels(torch.from_numpy(z), names, 4)
    assert next(iter(hot)) == "wolf"
    assert hot["dog"] == pytest.approx(1 / (1 + (np.exp(z[118:]).sum() / 118) ** (1 / 4)))


def test_a_class_that_is_ruled_out_adds_nothing_to_its_superclass() -> None:
    logits = torch.tensor([1.0, -math.inf, -math.inf, 2.0])
    found = superclass_soft_labels(logits, ("cat", "cat", "dog", "fox"), 4)
    e = math.exp(1 / 4)
    assert found == pytest.approx({"fox": e / (1 + e), "cat": 1 / (1 + e), "dog": 0})


def test_logits_of_superclasses_of_many_pictures_at_once() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, -1.0]])
    found = superclass_logits(logits, ("b", "a", "b"))
    assert list(found) == ["b", "a"]  # as the classes name them
    assert found["a"].tolist() == [1, 3]
    assert found["b"].tolist() == pytest.approx([math.log(1 + math.e**2), math.log(math.e**3 + math.e**-1)])
