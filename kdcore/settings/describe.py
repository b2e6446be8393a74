"""A run's settings as words, as a command line, and as a flat table that two runs can be compared by."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcore.methods.method import SOFT_SETTINGS

# The recipe's fields that are options of the command line.
_RECIPE_OPTIONS = ("batch_size", "learning_rate", "weight_decay", "label_smoothing")


def run_command(config: Mapping[str, Any]) -> str:
    """Return the command line that repeats a run; it names every setting but the device, in case defaults change."""
    flat = flat_config(config)
    names = ("dataset", "teacher", "student", "method", *SOFT_SETTINGS, "labels", "epochs", *_RECIPE_OPTIONS)
    vary = flat.get("vary") or {}
    words = ["kdcore", "sweep" if vary else "run"]
    # Methods that are compared each use their own of these, unless they are in `vary`.
    left_out = SOFT_SETTINGS if "method" in vary else ()
    for name in names:
        if name not in left_out and flat.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", setting_text(flat[name])]
    for name, value in (flat.get("parameters") or {}).items():
        words += ["--set", f"{name}={setting_text(value)}"]
    if flat.get("controls"):
        words += ["--controls", ",".join(flat["controls"])]
    if flat.get("extra_pictures"):
        words += ["--extra-pictures", flat["extra_pictures"]]
    for name, values in vary.items():
        words += ["--vary", f"{name}={','.join(map(setting_text, values))}"]
    return shlex.join([*words, "--seeds", str(len(flat["seeds"]))])


def setting_text(value: Any) -> str:
    """Format a setting as one would type it, with all digits of a number; lists are joined by commas."""
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Setting:
    """A setting that differs between runs. `values` has one value per run, None for a run without this setting."""

    name: str
    values: tuple[Any, ...]


def differing_settings(configs: Sequence[Mapping[str, Any]]) -> tuple[Setting, ...]:
    """Return the settings whose values are not the same in all of these configurations, as listed by `flat_settings`.

    Seeds are compared as a list, so that 0, 1, 2 and 3, 4, 5 differ.
    """
    flat = [flat_settings(config) for config in configs]
    names = dict.fromkeys(name for config in flat for name in config)
    settings = (Setting(name, tuple(config.get(name) for config in flat)) for name in names)
    return tuple(one for one in settings if any(value != one.values[0] for value in one.values))


def flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with the fields of its recipe moved to the top level."""
    flat = {name: value for name, value in config.items() if name != "recipe"}
    recipe = config.get("recipe")
    return {**flat, **(recipe if isinstance(recipe, Mapping) else {})}


def flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a configuration in one flat mapping.

    Fields of the recipe and parameters of the method are at the top level, and a varied setting holds the list of its
    values. Empty controls and empty parameters are left out, so that they equal those of old runs, which lack the keys.
    """
    flat = flat_config(config)
    parameters, vary = flat.pop("parameters", None) or {}, flat.pop("vary", None) or {}
    if not flat.get("controls"):
        flat.pop("controls", None)
    return {**flat, **{name: value for name, value in parameters.items() if value != ""}, **vary}


def own_point(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the varied settings of a sweep with their values at its own point; empty for a plain run.

    The own point is the one whose arms, verdict and paired difference the sweep's result holds. The values are not
    validated, because the dataset or teacher of an old sweep may be gone from this machine.
    """
    settings = {**(config.get("parameters") or {}), **flat_config(config)}
    return {name: settings.get(name) for name in config.get("vary") or ()}
