"""The settings of a run as native widgets, each in the URL, each with one sentence of help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import cache, state
from pages.ui.i18n import _

if TYPE_CHECKING:
    from kdcore.config import RunConfig

# The widget's key, which is the URL's name, and the configuration's field.
FIELDS = {
    "labels": "labels",
    "distil_teacher": "teacher",
    "student": "student",
    "temperature": "temperature",
    "distill_weight": "distill_weight",
    "epochs": "epochs",
}
SEEDS = 5


def run_form() -> RunConfig:
    """Draw the settings and return the configuration that they say.

    Raises:
        KdError: they say something that is not legal; one sentence.
    """
    from kdcore.config import DEFAULTS, MAX_EPOCHS, TRAIN_SIZES, make_run_config

    ready = {status.name for status in cache.dataset_statuses() if status.ready}
    names = [name for name in DEFAULTS if name in ready]
    dataset = st.selectbox(
        _("Dataset"), names, key="dataset", bind="query-params", on_change=_use_defaults,
        help=_("The pictures that the students learn from."),
    )  # fmt: skip
    defaults = DEFAULTS[dataset]
    labels = st.number_input(
        _("Labelled pictures"), 1, TRAIN_SIZES[dataset], defaults.labels, step=50, key="labels", bind="query-params",
        help=_("How many training pictures every student gets. With few, a teacher helps most."),
    )  # fmt: skip
    student = st.selectbox(
        _("Student"), defaults.students, defaults.students.index(defaults.student), key="student", bind="query-params",
        help=_("The small network that is trained. The numbers are its widths."),
    )  # fmt: skip
    temperature = st.number_input(
        _("Temperature"), 0.01, 1000.0, defaults.temperature, step=0.5, format="%g", key="temperature",
        bind="query-params", help=_("How soft the teacher's labels are: above 1, the small ones grow."),
    )  # fmt: skip
    with st.expander(_("More settings")):
        teachers = [card.name for card in cache.teacher_cards() if card.dataset == dataset] or [defaults.teacher]
        first = teachers.index(defaults.teacher) if defaults.teacher in teachers else 0
        teacher = st.selectbox(
            _("Teacher"), teachers, first, key="distil_teacher", bind="query-params",
            help=_("The trained network whose soft labels the distilled student learns from."),
        )  # fmt: skip
        weight = st.slider(
            _("Distill weight"), 0.0, 1.0, defaults.distill_weight, 0.05, key="distill_weight", bind="query-params",
            help=_("How much the soft labels count; the hard labels count for the rest."),
        )  # fmt: skip
        epochs = st.number_input(
            _("Epochs"), 1, MAX_EPOCHS, defaults.epochs, step=10, key="epochs", bind="query-params",
            help=_("How often every student sees all of its pictures."),
        )  # fmt: skip
        seeds = st.number_input(
            _("Seeds"), 1, 20, SEEDS, key="seeds", bind="query-params",
            help=_("How many students of each kind: only their spread tells luck from skill."),
        )  # fmt: skip
    return make_run_config(
        dataset, labels=labels, teacher=teacher, student=student, temperature=temperature, distill_weight=weight,
        epochs=epochs, seeds=seeds,
    )  # fmt: skip


def _use_defaults() -> None:
    """Another dataset has other sensible settings; those of the last one would be out of place."""
    from kdcore.config import DEFAULTS

    defaults = DEFAULTS[str(state.widget("dataset"))]
    for key, field in FIELDS.items():
        state.preset(key, getattr(defaults, field))


def take_settings(config: dict[str, object]) -> None:
    """Set the widgets to a run's configuration; for a callback."""
    state.preset("dataset", config["dataset"])
    for key, field in FIELDS.items():
        state.preset(key, config[field])
    seeds = config["seeds"]
    state.preset("seeds", len(seeds) if isinstance(seeds, list) else SEEDS)
