"""Settings of methods, controls and sweeps that the tests of several rooms share."""

from __future__ import annotations

from typing import Any

from kdcore.methods.registry import METHODS, check_parameters
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.controls import CONTROLS

NO_PATHS = {"student_layer": "", "teacher_layer": ""}  # the layers that fit
SETTINGS = {"temperature": 3.0, "distill_weight": 0.7, "label_smoothing": 0.1}


def numbers_of(name: str) -> dict[str, float]:
    own = {key: value for key, value in check_parameters(METHODS[name], {}) if not isinstance(value, str)}
    return {**SETTINGS, **own}


ALL = tuple(CONTROLS)

SHORT = {"student": "mlp-8", "labels": 40, "batch_size": 10, "epochs": 2, "seeds": 2, "device": "cpu"}


def sweep(dataset: str = "digits", /, **settings: Any) -> RunConfig:
    short = {name: value for name, value in SHORT.items() if name not in settings.get("vary", {})}
    return make_run_config(dataset, **{**short, **settings})


VARY = {"temperature": (1.0, 4.0), "labels": (30, 40)}
