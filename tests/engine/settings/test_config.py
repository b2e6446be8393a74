"""A configuration: what is legal, and what comes back from JSON."""

from __future__ import annotations

from typing import Any

import pytest

from kdcore.errors import ConfigError
from kdcore.settings.config import RunConfig, make_run_config
from tests.engine.shared_settings import sweep


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", 0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("labels", -1),
        ("labels", 0),
        ("labels", 1_000_000),
        ("labels", 10.5),
        ("distill_weight", 2.0),
        ("distill_weight", -0.1),
        ("seeds", 0),
        ("seeds", (1, 1)),
        ("epochs", 0),
        ("student", "vit-b"),
        ("method", "magic"),
        ("device", "tpu"),
        ("colour", "red"),
    ],
)
def test_what_is_not_legal_is_refused_in_one_sentence(setting: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        make_run_config("digits", **{setting: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_an_unknown_dataset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="creatures, digits"):
        make_run_config("imagenet")


def test_a_configuration_survives_json(config: RunConfig) -> None:
    assert RunConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError):
        RunConfig.from_json({**config.to_json(), "extra": 1})
    with pytest.raises(ConfigError):
        RunConfig.from_json({"dataset": "digits"})


def test_a_configuration_with_everything_survives_json() -> None:
    config = sweep(
        method="dkd",
        parameters={"target_weight": 2.5},
        controls=["noise", "shuffled"],
        vary={"temperature": (1.0, 4.0), "student": ("mlp-8", "convnet-4"), "labels": (20, 40)},
    )
    data = config.to_json()
    assert data["parameters"] == {"target_weight": 2.5, "non_target_weight": 8.0}
    assert data["controls"] == ["shuffled", "noise"]
    assert data["vary"] == {"temperature": [1.0, 4.0], "student": ["mlp-8", "convnet-4"], "labels": [20, 40]}
    assert RunConfig.from_json(data) == config
    assert hash(RunConfig.from_json(data)) == hash(config)


def test_a_configuration_of_before_has_none_of_the_new_settings() -> None:
    """The configuration is written here as version 0.3.0 stored it."""
    recipe = {"batch_size": 20, "learning_rate": 0.003, "weight_decay": 0.1, "label_smoothing": 0.0}
    old = {
        "dataset": "creatures",
        "labels": 100,
        "teacher": "creatures",
        "student": "convnet-8",
        "method": "kd",
        "temperature": 4.0,
        "distill_weight": 0.9,
        "epochs": 30,
        "seeds": [0, 1, 2, 3, 4],
        "device": "auto",
        "recipe": recipe,
    }
    config = RunConfig.from_json(old)
    assert config == make_run_config("creatures")
    assert (config.parameters, config.controls, config.vary) == ((), (), ())
    assert {name: value for name, value in config.to_json().items() if name in old} == old


@pytest.mark.parametrize(
    "change",
    [
        {"vary": [1]},
        {"vary": {"temperature": 3}},
        {"vary": {"temperature": [[1.0], [2.0]]}},
        {"parameters": [1]},
        {"parameters": {"target_weight": 1.0}},
        {"controls": "noise"},
        {"controls": [["noise"]]},
        {"controls": 3},
    ],
)
def test_json_that_is_no_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        RunConfig.from_json({**sweep().to_json(), **change})
