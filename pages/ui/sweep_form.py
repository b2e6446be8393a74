"""The settings of a sweep: which setting varies, and over which values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore.errors import ConfigError
from pages.ui import config_words, method_form, state
from pages.ui.i18n import _

if TYPE_CHECKING:
    from kdcore.defaults import Defaults

VARY, VALUES = "vary", "vary_values"  # names in the URL
NOTHING = "nothing"
OFFERED = (NOTHING, "temperature", "distill_weight", "labels", "student", "method", "epochs")


def varied() -> str:
    """The setting that the URL varies; before any widget is drawn too."""
    return state.choice(VARY, OFFERED)


def asked_for(settings: Mapping[str, Any], vary: Mapping[str, tuple[Any, ...]], defaults: Defaults) -> dict[str, Any]:
    """Of the widgets' settings, those that a sweep leaves: one that varies says at most which of its values the run is
    about. Where methods vary, each brings its own temperature and weight, unless the visitor changed them."""
    asked = {name: value for name, value in settings.items() if value in vary.get(name, (value,))}
    if "method" in vary:
        usual = {name: method_form.usual(defaults, name) for name in config_words.SOFT}
        asked = {name: value for name, value in asked.items() if usual.get(name) != value}
        if "method" not in asked:
            asked.pop("parameters", None)
    return asked


def sweep_form(dataset: str, most_labels: int) -> dict[str, tuple[Any, ...]]:
    """Draw the choice of a setting and its values; empty unless one is varied.

    Raises:
        ConfigError: the values are not understood; one sentence.
    """
    from kdcore.sweeps import parse_vary

    names = config_words.setting_names() | {NOTHING: _("nothing")}
    state.begin("vary_pick", varied())
    chosen = st.selectbox(
        _("Vary a setting"), OFFERED, key="vary_pick", format_func=names.__getitem__,
        on_change=_another_setting, args=(dataset, most_labels),
        help=_("One run over several values of a setting, with a chart of what came out at each."),
    )  # fmt: skip
    state.set_choice(VARY, chosen, OFFERED)
    if chosen == NOTHING:
        return {}
    from kdcore.defaults import defaults_for

    text = st.text_input(
        _("Values"), usual_values(chosen, defaults_for(dataset), most_labels), key=VALUES, bind="query-params",
        max_chars=400, help=_("Joined by commas; each of them is trained with all seeds."),
    )  # fmt: skip
    if not text.strip():
        raise ConfigError(_("Say over which values it varies, joined by commas, or choose to vary nothing."))
    return parse_vary([f"{chosen}={text}"])


def usual_values(setting: str, defaults: Defaults, most_labels: int) -> str:
    """A sensible list of values of a setting, joined by commas."""
    shares = {share: round(defaults.labels * share) for share in (0.25, 0.5, 1, 2, 4)}
    lists: dict[str, list[Any]] = {
        "temperature": [1, 2, 4, 8, 20],
        "distill_weight": [0.25, 0.5, 0.75, 0.9, 1],
        "labels": [labels for labels in shares.values() if 0 < labels <= most_labels],
        "student": list(defaults.students),
        "method": ["kd", "standardised-kd", "dkd", "dist", "label-smoothing"],
        "epochs": [max(1, round(defaults.epochs * share)) for share in (0.25, 0.5, 1, 2)],
    }
    return ", ".join(map(str, lists.get(setting, [])))


def take_sweep(config: Mapping[str, Any]) -> None:
    """Set the widgets to what a run varies, where the page offers it; for a callback."""
    setting, values = _offered(config)
    state.preset("vary_pick", setting)
    state.set_choice(VARY, setting, OFFERED)
    if setting != NOTHING:
        state.preset(VALUES, values)


def sweep_query(config: Mapping[str, Any]) -> dict[str, str]:
    """What a run varies as the Distil page's URL has it."""
    setting, values = _offered(config)
    return {} if setting == NOTHING else {VARY: setting, VALUES: values}


def _offered(config: Mapping[str, Any]) -> tuple[str, str]:
    """The one setting that a run varies and its values; nothing for several, or for one that only the command line
    varies."""
    vary = dict(config.get("vary") or {})
    if "method" in vary:  # what is held for all methods is in the widget of its own
        vary = {name: some for name, some in vary.items() if name not in config_words.SOFT or len(some) > 1}
    name, values = next(iter(vary.items()), (NOTHING, ()))
    if len(vary) != 1 or name not in OFFERED:
        return NOTHING, ""
    return name, ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def _another_setting(dataset: str, most_labels: int) -> None:
    from kdcore.defaults import defaults_for

    chosen = str(state.widget("vary_pick"))
    state.set_choice(VARY, chosen, OFFERED)
    if chosen != NOTHING:
        state.preset(VALUES, usual_values(chosen, defaults_for(dataset), most_labels))
