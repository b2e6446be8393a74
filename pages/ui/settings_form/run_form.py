"""The settings form of a run: Streamlit widgets that are bound to the URL, each with one sentence of help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore.errors import KdError
from kdcore.methods.method import RUN_SETTINGS, SOFT_SETTINGS
from kdcore.teachers.ensemble_names import members_of
from pages.ui.engine import cache
from pages.ui.frame.shell import link
from pages.ui.kit import formats
from pages.ui.session import state
from pages.ui.session.i18n import _
from pages.ui.settings_form import extra_form, method_form, sweep_form
from pages.ui.teachers import ensemble_pickers

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig
    from kdcore.settings.defaults import Defaults

# Key of the widget, which is also its URL parameter -> field of the configuration.
FIELDS = {
    "labels": "labels",
    "distil_teacher": "teacher",
    "student": "student",
    "temperature": "temperature",
    "distill_weight": "distill_weight",
    "epochs": "epochs",
}
MAX_SEEDS = 20
_EXTRA_STUDENT = "brought_student"  # session slot: a student from a run or a link that is not on the dataset's list


def run_form() -> RunConfig:
    """Draw the settings form and return the configuration that the visitor chose.

    Raises:
        KdError: a setting is not legal; the message is one sentence for the visitor.
    """
    # These load torch, which takes seconds.
    from kdcore.settings.config import make_run_config
    from kdcore.settings.defaults import defaults_for

    dataset, train_size = _dataset_box()
    defaults, varied = defaults_for(dataset), sweep_form.varied()
    # Settings that the method does not use are not shown. Where the method varies, some of the methods may use them.
    used_settings = RUN_SETTINGS if varied == "method" else method_form.chosen_method().settings
    labels = st.number_input(
        _("Labelled pictures"), 1, train_size, defaults.labels, step=50, key="labels",
        bind="query-params", disabled=varied == "labels",
        help=_("How many training pictures every student gets. With few, a teacher helps most."),
    )  # fmt: skip
    students = _students(defaults.students)
    student = st.selectbox(
        _("Student"), students, students.index(defaults.student), key="student", bind="query-params",
        disabled=varied == "student", help=_("The small network that is trained. The numbers are its widths."),
    )  # fmt: skip
    temperature = _temperature_field(defaults, varied) if "temperature" in used_settings else None
    with st.expander(_("More settings")):
        method = method_form.method_form(dataset, disabled=varied == "method")
        teacher = _teacher_box(dataset, defaults, teaches="teacher" in used_settings)
        extra = extra_form.extra_form(dataset, method_form.chosen_method())
        weighs = "distill_weight" in used_settings and not extra  # extra pictures have no hard labels
        weight = _weight_slider(defaults, varied) if weighs else None
        epochs, seeds = _epochs_field(defaults, varied), _seeds_field(defaults)
        controls = () if extra else method_form.controls_form(method_form.chosen_method())
        vary = sweep_form.sweep_form(dataset, train_size)
    settings = {
        "labels": labels, "teacher": teacher, "student": student, "temperature": temperature, "distill_weight": weight,
        "epochs": epochs, "extra_pictures": extra or None, **method,
    }  # fmt: skip
    submitted = sweep_form.settings_to_submit(settings, vary, defaults)
    config = make_run_config(dataset, seeds=seeds, controls=controls, vary=vary, **submitted)
    _note_missing_teachers(config)
    return config


def _dataset_box() -> tuple[str, int]:
    """Draw the choice of a dataset, with a link to those that are not on this machine yet.

    Returns:
        The chosen dataset and its number of training pictures.
    """
    statuses = cache.dataset_statuses()
    infos = {info.name: info for info in cache.dataset_infos()}
    names = [status.name for status in statuses if status.ready and status.name in infos]
    dataset = st.selectbox(
        _("Dataset"), names, key="dataset", bind="query-params", on_change=_on_dataset_change,
        help=_("The pictures that the students learn from."),
    )  # fmt: skip
    if len(names) < len(statuses):
        first_missing = next(status.name for status in statuses if not status.ready)
        with st.container(key="kd_more_data"):
            link("datasets", _("More datasets"), dataset_shown=first_missing)
    return dataset, infos[dataset].train_size


def _temperature_field(defaults: Defaults, varied: str) -> float:
    return st.number_input(
        _("Temperature"), 0.01, 1000.0, method_form.default_soft_setting(defaults, "temperature"), step=0.5,
        format="%g", key="temperature", bind="query-params", disabled=varied == "temperature",
        help=_("How soft the teacher's labels are: above 1, the small probabilities grow."),
    )  # fmt: skip


def _teacher_box(dataset: str, defaults: Defaults, teaches: bool) -> str:
    """Draw the choice of the teacher: the dataset's teachers on this machine, ensembles of them, and the default one.

    Args:
        teaches: whether the students learn from it by the chosen method.
    """
    names = [card.name for card in cache.teacher_cards() if card.dataset == dataset]
    names = ensemble_pickers.with_ensembles(names, "distil_teacher")
    if defaults.teacher not in names:
        names = [defaults.teacher, *names]
    help_text = _("It does not teach by this method; it is measured beside the students.")
    if teaches:
        help_text = _("The trained network, or several, whose soft labels the distilled student learns from.")
    return st.selectbox(
        _("Teacher"), names, names.index(defaults.teacher), key="distil_teacher", bind="query-params", help=help_text
    )


def _weight_slider(defaults: Defaults, varied: str) -> float:
    return st.slider(
        _("Distill weight"), 0.0, 1.0, method_form.default_soft_setting(defaults, "distill_weight"), 0.05,
        key="distill_weight", bind="query-params", disabled=varied == "distill_weight",
        help=_("How much the soft labels count; the hard labels count for the rest."),
    )  # fmt: skip


def _epochs_field(defaults: Defaults, varied: str) -> int:
    from kdcore.settings.config import MAX_EPOCHS  # loads torch, which takes seconds

    return st.number_input(
        _("Epochs"), 1, MAX_EPOCHS, defaults.epochs, step=10, key="epochs", bind="query-params",
        disabled=varied == "epochs", help=_("How often every student sees all of its pictures."),
    )  # fmt: skip


def _seeds_field(defaults: Defaults) -> int:
    return st.number_input(
        _("Seeds"), 1, MAX_SEEDS, defaults.seeds, key="seeds", bind="query-params",
        help=_("How many students of each kind: only their spread tells luck from skill."),
    )  # fmt: skip


def _note_missing_teachers(config: RunConfig) -> None:
    """Draw a note for every teacher of the run that is not on this machine and would be trained first."""
    # These load torch, which takes seconds.
    from kdcore.settings.sweeps import teachers_of
    from kdcore.teachers.building.on_demand import must_be_trained

    local = {card.name: card for card in cache.teacher_cards()}
    members = dict.fromkeys(member for teacher in teachers_of(config) for member in members_of(teacher))
    for name in members:
        if name not in local:
            st.caption(_missing_teacher_sentence(name))
        elif must_be_trained(name, local):
            words = _("{dataset} has other pictures now than its teacher {name} learned: it is trained anew first.")
            st.caption(words.format(dataset=config.dataset, name=name))


def method_and_vary() -> dict[str, Any]:
    """Return the part of the configuration that is known before the form is drawn.

    "method" is the one that the URL names; "vary" has the varied setting as its only key, without values.
    """
    return {"method": method_form.chosen_method().name, "vary": {sweep_form.varied(): ()}}


def _students(usual: tuple[str, ...]) -> tuple[str, ...]:
    """Return the students to choose from: the dataset's usual ones, and one more if a run or a link asks for another.

    Any legal model name can be trained. The extra student stays in the list for the whole session, so that the list
    does not change when the visitor chooses another student.
    """
    from kdcore.networks.registry import parse_model  # loads torch, which takes seconds

    requested = state.requested_student()
    if requested and requested not in usual:
        try:
            parse_model(requested)
        except KdError:
            return usual
        state.keep(_EXTRA_STUDENT, requested)
    extra = state.kept(_EXTRA_STUDENT)
    return (*usual, extra) if isinstance(extra, str) and extra not in usual else usual


def _on_dataset_change() -> None:
    """Callback of the dataset widget: set the settings to the defaults of the new dataset, without a sweep.

    The method stays as it is.
    """
    from kdcore.settings.defaults import defaults_for  # loads torch, which takes seconds

    defaults = defaults_for(str(state.widget_value("dataset")))
    for key, field in FIELDS.items():
        state.set_widget(key, getattr(defaults, field))
    state.set_widget("seeds", defaults.seeds)
    for name in SOFT_SETTINGS:
        state.set_widget(name, method_form.default_soft_setting(defaults, name))
    extra_form.preset_extra({})
    sweep_form.preset_sweep({})


def _missing_teacher_sentence(teacher: str) -> str:
    """Say that a teacher that is not on this machine is trained first, with an estimate of the time if there is one."""
    with st.spinner(_("Timing a few steps of the teacher's training…")):
        seconds = cache.teacher_seconds(teacher)
    if seconds is None:
        return _("The teacher {name} is not on this machine and is trained first, once; it is kept.").format(
            name=teacher
        )
    return _(
        "The teacher {name} is not on this machine yet: it is trained first, once, in about {time}, and kept."
    ).format(name=teacher, time=formats.format_duration(seconds))


def preset_settings(config: dict[str, object]) -> None:
    """Set all widgets of the form to a run's configuration. Call it in a widget callback, before they are drawn."""
    state.set_widget("dataset", config["dataset"])
    for key, field in FIELDS.items():
        state.set_widget(key, config[field])
    seeds = config["seeds"]
    state.set_widget("seeds", len(seeds) if isinstance(seeds, list) else 1)
    method_form.preset_method(config)
    extra_form.preset_extra(config)
    sweep_form.preset_sweep(config)


def settings_query(config: dict[str, object]) -> dict[str, str]:
    """Return a run's settings as query parameters of the Distil page."""
    seeds = config["seeds"]
    query = {"dataset": str(config["dataset"]), "seeds": str(len(seeds) if isinstance(seeds, list) else 1)}
    for key, field in FIELDS.items():
        value = config[field]
        query[key] = repr(value) if isinstance(value, float) else str(value)
    parts = (method_form.method_query(config), extra_form.extra_query(config), sweep_form.sweep_query(config))
    return {**query, **{name: value for part in parts for name, value in part.items()}}
