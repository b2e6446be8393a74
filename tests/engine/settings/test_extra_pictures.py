"""Which extra pictures a run may have, and what a configuration says about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdcore.datasets.given import add_given
from kdcore.errors import ConfigError, UnknownName
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.defaults import defaults_for, epochs_for_few
from kdcore.settings.describe import differing_settings, run_command
from kdcore.settings.extra_pictures import MOST_EXTRA
from tests.engine.datasets.test_given import given, two_classes


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return add_given("mine", two_classes(), given(30, 200)).name


def test_the_configuration_says_them_and_a_run_without_any_stays_as_it_was(mine: str) -> None:
    config = make_run_config(mine, extra_pictures="own")
    assert config.distill_weight == 1.0
    assert RunConfig.from_json(config.to_json()) == config
    assert config.to_json()["extra_pictures"] == "own"
    assert run_command(config.to_json()).count("--extra-pictures own") == 1
    without = make_run_config(mine)
    assert "extra_pictures" not in without.to_json()
    assert "--extra-pictures" not in run_command(without.to_json())
    changed = differing_settings([config.to_json(), without.to_json()])
    assert ("extra_pictures", ("own", None)) in [(one.name, one.values) for one in changed]


def test_few_pictures_get_a_small_student_and_enough_steps(mine: str) -> None:
    defaults = defaults_for(mine)
    assert (defaults.student, defaults.labels, defaults.recipe.batch_size) == ("convnet-8", 12, 25)
    assert make_run_config(mine).epochs == 100
    assert make_run_config(mine, extra_pictures="own").epochs == 100  # 42 pictures, one step an epoch
    assert make_run_config(mine, extra_pictures="creatures").epochs == -(-200 // ((12 + MOST_EXTRA) // 25))
    assert make_run_config(mine, extra_pictures="own", epochs=3).epochs == 3
    for pictures in (1, 12, 25, 49, 50, 499):
        epochs, steps = epochs_for_few(pictures, 25), max(1, pictures // 25)
        assert epochs == 100 or 200 <= epochs * steps < 200 + steps


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"extra_pictures": "nobody"}, UnknownName, 'no dataset "nobody"'),
        ({"extra_pictures": "digits"}, ConfigError, "digits cannot give any to mine"),
        ({"extra_pictures": "mine"}, ConfigError, "mine cannot give any to mine"),
        ({"extra_pictures": 3}, ConfigError, "not 3"),
        ({"extra_pictures": "own", "distill_weight": 0.9}, ConfigError, "the distill weight is 1, not 0.9"),
        ({"extra_pictures": "own", "controls": ("noise",)}, ConfigError, "a run without controls"),
        ({"extra_pictures": "own", "method": "fitnets"}, ConfigError, "such as kd"),
        ({"extra_pictures": "own", "method": "mutual"}, ConfigError, "such as kd"),
        ({"extra_pictures": "own", "method": "label-smoothing"}, ConfigError, "such as kd"),
    ],
)
def test_what_cannot_be_used_is_refused(
    mine: str, settings: dict[str, Any], error: type[ConfigError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        make_run_config(mine, **settings)
    with pytest.raises(ConfigError, match="no extra pictures of its own"):
        make_run_config("creatures", extra_pictures="own")
