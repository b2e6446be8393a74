"""Soft labels against NumPy, at temperatures from cold to hot."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdcore.errors import ConfigError
from kdcore.metrics.soft_labels import dark_share, entropy, non_target, soften, superclass_mass

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


def test_superclasses_are_sums_largest_first() -> None:
    mass = superclass_mass(torch.tensor([0.1, 0.2, 0.4, 0.3]), ("cat", "dog", "cat", "fox"))
    assert list(mass) == ["cat", "fox", "dog"]
    assert list(mass.values()) == pytest.approx([0.5, 0.3, 0.2])
