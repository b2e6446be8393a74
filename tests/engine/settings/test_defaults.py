"""The usual settings of each dataset."""

from __future__ import annotations

from kdcore.datasets import load_dataset
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import DEFAULTS
from kdcore.teachers.load import load_teacher


def test_defaults_fit_their_datasets() -> None:
    for name in ("creatures", "digits"):
        dataset, defaults = load_dataset(name), DEFAULTS[name]
        assert load_teacher(defaults.teacher).card.class_names == dataset.class_names
    for name, defaults in DEFAULTS.items():
        assert defaults.student in defaults.students
        make_run_config(name)
