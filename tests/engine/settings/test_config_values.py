"""A configuration from JSON: a value of the wrong kind is refused in a sentence, whatever it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kdcore.cli.main import main
from kdcore.errors import ConfigError
from kdcore.settings.config import RunConfig, make_run_config

WRONG: tuple[Any, ...] = ([1], [[1]], [None], {}, {"a": [1]}, -7, 2.5, None, True, float("nan"), float("inf"), 10**400)
BASE = make_run_config("digits", labels=40, controls=("shuffled",), vary={"temperature": [1, 4]}).to_json()
# A run may have no controls, nothing that varies and no parameters; any whole number can be its only seed.
LEGAL = {("controls", "{}"), ("vary", "{}"), ("parameters", "{}"), ("seeds", "[1]")}


def test_the_range_of_the_temperature_is_the_one_that_the_command_line_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "0.01 to 1,000" in capsys.readouterr().out
    for legal in (0.01, 1000.0):
        assert make_run_config("digits", temperature=legal).temperature == legal
    for illegal in (0.0099, 1000.1):
        with pytest.raises(ConfigError, match=r"0\.01 to 1000"):
            make_run_config("digits", temperature=illegal)


@pytest.mark.parametrize("name", [*BASE, *(f"recipe.{name}" for name in BASE["recipe"])])
def test_a_value_of_the_wrong_kind_is_refused(name: str) -> None:
    for value in WRONG:
        data = copy.deepcopy(BASE)
        *outer, inner = name.split(".")
        (data[outer[0]] if outer else data)[inner] = value
        if (name, repr(value)) in LEGAL or _is_legal_number(name, value):
            RunConfig.from_json(data)
            continue
        with pytest.raises(ConfigError):
            RunConfig.from_json(data)


def _is_legal_number(name: str, value: object) -> bool:
    return value == 2.5 and name in ("temperature", "recipe.learning_rate", "recipe.weight_decay")


@pytest.mark.parametrize("data", [5, [1], [], None, "x", [["dataset", "digits"]]])
def test_what_is_no_object_at_all_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError):
        RunConfig.from_json(data)


@pytest.mark.parametrize("seeds", [2.5, object()])
def test_seeds_are_a_number_or_a_sequence(seeds: Any) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        make_run_config("digits", seeds=seeds)
