"""The part of the settings form for the distillation method, its parameters and the controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore.methods.method import SOFT_SETTINGS
from kdcore.settings.controls import CONTROLS
from pages.ui.kit import formats, settings_words
from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.methods.method import Method, Parameter
    from kdcore.settings.defaults import Defaults

METHOD_KEY, CONTROLS_KEY = "method", "controls"  # URL parameters; the key of the widget is this name plus "_pick"


def chosen_method() -> Method:
    """Return the method that the URL names, or plain distillation (Hinton's). It works before any widget is drawn."""
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    return METHODS[state.choice(METHOD_KEY, tuple(METHODS))]


def default_soft_setting(defaults: Defaults, name: str) -> float:
    """Return the default of a setting: the chosen method's own value, or the dataset's where the method has none.

    Args:
        defaults: the defaults of the chosen dataset.
        name: "temperature" or "distill_weight".
    """
    of_method = getattr(chosen_method(), name)
    return float(getattr(defaults, name) if of_method is None else of_method)


def method_form(dataset: str, disabled: bool = False) -> dict[str, Any]:
    """Draw the widgets of the method and its parameters.

    Args:
        dataset: whose default temperature and distill weight are set when the visitor changes the method.
        disabled: whether the method cannot be chosen, because the sweep varies it.

    Returns:
        The fields "method" (a name) and "parameters" (value by name) of a run's configuration.
    """
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    state.set_initial("method_pick", chosen_method().name)
    chosen = st.selectbox(
        _("Method"), list(METHODS), key="method_pick", format_func=settings_words.method_title,
        on_change=_on_method_change, args=(dataset,), disabled=disabled,
        help=_("How the distilled student learns; the baseline stays as it is."),
    )  # fmt: skip
    state.set_choice(METHOD_KEY, chosen, tuple(METHODS))
    method = METHODS[chosen]
    st.caption(f"{_(method.sentence)} ({method.paper})")
    return {"method": method.name, "parameters": {one.name: _parameter_field(one) for one in method.parameters}}


def _parameter_field(parameter: Parameter) -> float | str:
    label, meaning = settings_words.parameter_name(parameter.name), _(parameter.meaning)
    key, default = parameter.name, parameter.default
    if isinstance(default, str):
        return st.text_input(label, default, key=key, bind="query-params", max_chars=200, help=meaning)
    low, high = float(parameter.low), float(parameter.high)
    step = 1.0 if default >= 1.0 else 0.05
    return st.number_input(
        label, low, high, float(default), step=step, format="%g", key=key, bind="query-params", help=meaning
    )


def controls_form(method: Method) -> tuple[str, ...]:
    """Draw the choice of controls and return the names of the chosen ones.

    Controls exist only for methods that learn from one teacher's soft labels alone; for any other method nothing is
    drawn and the result is empty.
    """
    if not method.needs_logits_only:
        return ()
    state.set_initial("controls_pick", state.choices(CONTROLS_KEY, tuple(CONTROLS)))
    chosen = st.multiselect(
        _("Controls"), list(CONTROLS), key="controls_pick", format_func=formats.arm_name,
        on_change=state.on_choices, args=(CONTROLS_KEY, "controls_pick"),
        placeholder=_("none"), help=_("Further students that lack one thing, to see what carries the gain."),
    )  # fmt: skip
    for name in chosen:
        different, theory = settings_words.control_sentences(name)
        st.caption(f"**{formats.arm_name(name)}**: {different} {_('Theory: {sentence}').format(sentence=theory)}")
    return tuple(chosen)


def preset_method(config: Mapping[str, Any]) -> None:
    """Set the widgets to the method, parameters and controls of a run's configuration.

    Call it in a widget callback, before the widgets are drawn.
    """
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    name = settings_words.method_of(config)
    _set_method(name)
    values = dict(config.get("parameters") or {})
    if name in METHODS:
        for parameter in METHODS[name].parameters:
            state.set_widget(parameter.name, values.get(parameter.name, parameter.default))
    controls = list(config.get("controls") or ())
    state.set_widget("controls_pick", controls)
    state.set_choices(CONTROLS_KEY, controls)


def method_query(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's method, parameters and controls as query parameters of the Distil page, without the empty ones."""
    query = {METHOD_KEY: settings_words.method_of(config), CONTROLS_KEY: ",".join(config.get("controls") or ())}
    for name, value in dict(config.get("parameters") or {}).items():
        query[name] = repr(value) if isinstance(value, float) else str(value)
    return {name: value for name, value in query.items() if value}


def _set_method(name: str) -> None:
    from kdcore.methods.registry import METHODS  # loads torch, which takes seconds

    state.set_widget("method_pick", name)
    state.set_choice(METHOD_KEY, name, tuple(METHODS))


def _on_method_change(dataset: str) -> None:
    """Callback of the method widget: set temperature, distill weight and parameters to the new method's defaults.

    Temperature or weight is reset only if the new or the previous method has a value of its own for it; otherwise the
    visitor's value stays.
    """
    # These load torch, which takes seconds.
    from kdcore.methods.registry import METHODS
    from kdcore.settings.defaults import defaults_for

    previous, method = chosen_method(), METHODS[str(state.widget_value("method_pick"))]
    _set_method(method.name)
    for name in SOFT_SETTINGS:
        if getattr(method, name) is not None or getattr(previous, name) is not None:
            state.set_widget(name, default_soft_setting(defaults_for(dataset), name))
    for parameter in method.parameters:
        state.set_widget(parameter.name, parameter.default)
