"""The settings of a run in words and as a command, and those in which runs differ."""

from __future__ import annotations

from typing import Any

import pytest

from kdcore.cli.parser import build_parser
from kdcore.cli.training import _given_settings
from kdcore.reports.comparison import compare
from kdcore.settings.config import make_run_config
from kdcore.settings.describe import differing_settings, flat_settings, own_point, run_command
from kdcore.settings.sweeps import parse_vary
from tests.engine.reports.finished_run import CONTROLLED, SWEEP
from tests.engine.reports.listed_runs import CONFIG, RECIPE, run


def test_the_own_point_of_a_sweep_is_read_from_what_is_there() -> None:
    vary = {"labels": [50, 200], "learning_rate": [0.01, 0.03], "target_weight": [1.0, 2.0]}
    config = {**CONFIG, "dataset": "gone", "method": "dkd", "parameters": {"target_weight": 2.0}, "vary": vary}
    assert own_point(config) == {"labels": 200, "learning_rate": 0.03, "target_weight": 2.0}
    assert own_point(CONFIG) == own_point({**CONFIG, "vary": {}}) == {}
    assert compare([run(1), run(2, **config)]).to_json()["runs"][1]["own_point"] == own_point(config)


def test_only_settings_that_differ_are_listed() -> None:
    configs = [CONFIG, {**CONFIG, "temperature": 8.0, "seeds": [3, 4, 5]}, {**CONFIG, "recipe": {**RECIPE, "x": 1}}]
    found = {one.name: one.values for one in differing_settings(configs)}
    assert found == {"temperature": (4.0, 8.0, 4.0), "seeds": ([0, 1, 2], [3, 4, 5], [0, 1, 2]), "x": (None, None, 1)}
    assert differing_settings([CONFIG, dict(CONFIG)]) == ()
    assert [one.name for one in differing_settings([CONFIG, {}])][:2] == ["dataset", "labels"]


BY_METHOD = [
    make_run_config("digits", vary={"method": ("standardised-kd", "dkd", "kd")}, seeds=2, **more).to_json()
    for more in ({}, {"temperature": 8.0}, {"method": "dkd"})
]


@pytest.mark.parametrize("config", [CONTROLLED, SWEEP, *BY_METHOD])
def test_the_command_repeats_method_controls_and_sweep(config: dict[str, Any]) -> None:
    words = run_command(config)
    assert "kdcore sweep" in words if config["vary"] else "kdcore run" in words
    options = build_parser().parse_args(words.replace("'", "").split()[1:])
    vary = parse_vary(options.vary) if config["vary"] else None
    again = make_run_config(options.dataset, vary=vary, **_given_settings(options)).to_json()
    assert {**again, "recipe": None} == {**config, "recipe": None}


def test_settings_are_read_flat_and_those_of_before_are_no_difference() -> None:
    assert flat_settings(CONTROLLED)["non_target_weight"] == 4 and "parameters" not in flat_settings(CONTROLLED)
    assert flat_settings(SWEEP)["temperature"] == [1.0, 4.0]
    plain = make_run_config("digits", seeds=2).to_json()
    before = {name: value for name, value in plain.items() if name not in ("parameters", "controls", "vary")}
    assert differing_settings([plain, before]) == ()
    assert [one.name for one in differing_settings([plain, SWEEP])] == ["labels", "temperature"]
