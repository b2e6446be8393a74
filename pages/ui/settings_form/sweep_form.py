"""The part of the settings form for a sweep: which setting varies, and over which values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore.errors import ConfigError
from kdcore.methods.method import SOFT_SETTINGS
from pages.ui.kit import settings_words
from pages.ui.session import state
from pages.ui.session.i18n import _
from pages.ui.settings_form import method_form

if TYPE_CHECKING:
    from kdcore.settings.defaults import Defaults

VARY, VALUES = "vary", "vary_values"  # URL parameters
NOTHING = "nothing"
OFFERED_SETTINGS = (NOTHING, "temperature", "distill_weight", "labels", "student", "method", "epochs")


def varied() -> str:
    """Return the setting that the URL says is varied, or `NOTHING`. It works before any widget is drawn."""
    return state.choice(VARY, OFFERED_SETTINGS)


def settings_to_submit(
    settings: Mapping[str, Any], vary: Mapping[str, tuple[Any, ...]], defaults: Defaults
) -> dict[str, Any]:
    """Return the settings of the form that go into the configuration of a run, which may be a sweep.

    The widget of a varied setting still has a value. It is kept if it is one of the varied values, and then says which
    point the run's main result is about; otherwise it is dropped. Where the method varies, a temperature or distill
    weight that the visitor left at its default is dropped, so that each method uses its own, and the parameters of a
    method that is not among the varied ones are dropped.

    Args:
        settings: every setting as the widgets have it.
        vary: the varied values by setting; empty for a plain run.
        defaults: the defaults of the chosen dataset.
    """
    submitted = {name: value for name, value in settings.items() if value in vary.get(name, (value,))}
    if "method" in vary:
        default = {name: method_form.default_soft_setting(defaults, name) for name in SOFT_SETTINGS}
        submitted = {name: value for name, value in submitted.items() if default.get(name) != value}
        if "method" not in submitted:
            submitted.pop("parameters", None)
    return submitted


def sweep_form(dataset: str, most_labels: int) -> dict[str, tuple[Any, ...]]:
    """Draw the choice of the setting that varies and the field for its values.

    Args:
        dataset: whose defaults the suggested values are taken from.
        most_labels: number of training pictures of the dataset, the largest sensible number of labels.

    Returns:
        The values by setting, as a configuration's `vary` holds them; empty when nothing is varied.

    Raises:
        ConfigError: the values are missing or cannot be parsed; the message is one sentence for the visitor.
    """
    # These load torch, which takes seconds.
    from kdcore.settings.defaults import defaults_for
    from kdcore.settings.sweeps import parse_vary

    names = settings_words.setting_names() | {NOTHING: _("nothing")}
    state.set_initial("vary_pick", varied())
    chosen = st.selectbox(
        _("Vary a setting"), OFFERED_SETTINGS, key="vary_pick", format_func=names.__getitem__,
        on_change=_on_setting_change, args=(dataset, most_labels),
        help=_("One run over several values of a setting, with a chart of what came out at each."),
    )  # fmt: skip
    state.set_choice(VARY, chosen, OFFERED_SETTINGS)
    if chosen == NOTHING:
        return {}
    text = st.text_input(
        _("Values"), usual_values(chosen, defaults_for(dataset), most_labels), key=VALUES, bind="query-params",
        max_chars=400, help=_("Joined by commas; each of them is trained with all seeds."),
    )  # fmt: skip
    if not text.strip():
        raise ConfigError(_("Enter the values that the setting takes, joined by commas, or choose to vary nothing."))
    return parse_vary([f"{chosen}={text}"])


def usual_values(setting: str, defaults: Defaults, most_labels: int) -> str:
    """Return the values that are suggested for a setting, joined by commas; "" for a setting without suggestions."""
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    # Only methods that work with every teacher and student; the one without a teacher comes last.
    methods = sorted((one for one in METHODS.values() if one.needs_logits_only or one.learns_alone),
                     key=lambda one: one.learns_alone)  # fmt: skip
    shares = {share: round(defaults.labels * share) for share in (0.25, 0.5, 1, 2, 4)}
    lists: dict[str, list[Any]] = {
        "temperature": [1, 2, 4, 8, 20],
        "distill_weight": [0.25, 0.5, 0.75, 0.9, 1],
        "labels": [labels for labels in shares.values() if 0 < labels <= most_labels],
        "student": list(defaults.students),
        "method": [method.name for method in methods],
        "epochs": [max(1, round(defaults.epochs * share)) for share in (0.25, 0.5, 1, 2)],
    }
    return ", ".join(map(str, lists.get(setting, [])))


def preset_sweep(config: Mapping[str, Any]) -> None:
    """Set the widgets to the sweep of a run's configuration, or to nothing if the form does not offer such a sweep.

    Call it in a widget callback, before the widgets are drawn.
    """
    setting, values = _offered_sweep(config)
    state.set_widget("vary_pick", setting)
    state.set_choice(VARY, setting, OFFERED_SETTINGS)
    if setting != NOTHING:
        state.set_widget(VALUES, values)


def sweep_query(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's sweep as query parameters of the Distil page; empty where the form does not offer such a sweep."""
    setting, values = _offered_sweep(config)
    return {} if setting == NOTHING else {VARY: setting, VALUES: values}


def _offered_sweep(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return the one setting that a run varies, and its values joined by commas.

    Returns `(NOTHING, "")` for a plain run, for a run that varies several settings, and for a setting that only the
    command line can vary.
    """
    vary = dict(config.get("vary") or {})
    if "method" in vary:  # a single value holds for all methods and is set in its own widget
        vary = {name: some for name, some in vary.items() if name not in SOFT_SETTINGS or len(some) > 1}
    name, values = next(iter(vary.items()), (NOTHING, ()))
    if len(vary) != 1 or name not in OFFERED_SETTINGS:
        return NOTHING, ""
    return name, ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def _on_setting_change(dataset: str, most_labels: int) -> None:
    from kdcore.settings.defaults import defaults_for  # loads torch, which takes seconds

    chosen = str(state.widget_value("vary_pick"))
    state.set_choice(VARY, chosen, OFFERED_SETTINGS)
    if chosen != NOTHING:
        state.set_widget(VALUES, usual_values(chosen, defaults_for(dataset), most_labels))
