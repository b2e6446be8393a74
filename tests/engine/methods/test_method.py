"""The parameters of a method: which values are legal, and what holds where none is given."""

from __future__ import annotations

import math

import pytest

from kdcore.errors import ConfigError
from kdcore.methods.registry import check_parameters, find_method
from kdcore.settings.config import make_run_config
from kdcore.settings.stages import stages_of
from kdcore.settings.sweeps import points


@pytest.mark.parametrize(
    ("method", "given", "word"),
    [
        ("kd", {"target_weight": 1.0}, "it has: none"),
        ("dkd", {"hint_share": 0.5}, "it has: target_weight, non_target_weight"),
        ("dkd", {"target_weight": -1}, "from 0 to 1000, not -1"),
        ("dkd", {"target_weight": math.nan}, "not nan"),
        ("dkd", {"target_weight": math.inf}, "not inf"),
        ("dkd", {"target_weight": True}, "not True"),
        ("dkd", {"target_weight": None}, "not None"),
        ("label-smoothing", {"smoothing": 1.0}, "from 0 to 0.99"),
        ("fitnets", {"hint_share": 1.1}, "from 0 to 1"),
        ("fitnets", {"student_layer": 3}, "a text"),
        ("fitnets", {"student_layer": "x" * 201}, "a text"),
        ("born-again", {"generations": 0}, "a whole number from 1 to 10, not 0"),
        ("born-again", {"generations": 1.5}, "a whole number from 1 to 10, not 1.5"),
        ("born-again", {"generations": math.nan}, "not nan"),
        ("teacher-assistant", {"assistants": 2}, "a text"),
    ],
)
def test_a_parameter_that_is_not_legal_is_refused_in_one_sentence(
    method: str, given: dict[str, object], word: str
) -> None:
    for refuse in (
        lambda: check_parameters(find_method(method), given),
        lambda: make_run_config("digits", method=method, parameters=given),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        said = str(caught.value)
        assert word in said and method in said and "\n" not in said and said.endswith(".") and len(said) < 500


def test_a_method_brings_its_own_temperature_and_weight_unless_they_are_given() -> None:
    config = make_run_config("creatures", method="standardised-kd")
    assert (config.temperature, config.distill_weight) == (2.0, 0.9)
    config = make_run_config("creatures", method="mutual", temperature=3.0)
    assert (config.temperature, config.distill_weight) == (3.0, 0.5)
    assert dict(make_run_config("creatures", method="dkd", parameters={"target_weight": 2}).parameters) == {
        "target_weight": 2.0,
        "non_target_weight": 8.0,
    }


def test_what_is_counted_is_whole_where_it_is_varied_too() -> None:
    config = make_run_config("digits", method="born-again", vary={"generations": (1.0, 2, 3.0)})
    assert [len(stages_of(point.config)) for point in points(config)] == [1, 2, 3]
    with pytest.raises(ConfigError, match=r"whole number from 1 to 10, not 2.5"):
        make_run_config("digits", method="born-again", vary={"generations": (1.0, 2.5)})
