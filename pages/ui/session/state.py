"""What the app keeps in a visitor's session and in the URL; this room alone reads and writes them.

Values that a link must share are kept in the URL (`st.query_params`); values that concern only this visitor are kept in
the session (`st.session_state`).
Streamlit itself stores the values of widgets that have `bind="query-params"` or `persist_state="session"`; the URL
keys of such widgets must not be written here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeVar, cast

import streamlit as st

T = TypeVar("T")

TEMPERATURE_RANGE = (0.2, 20.0)
# The URL keys that every link to another page carries, beside parameters of methods, so that no choice is lost.
SHARED_KEYS = (
    "source", "teacher", "t", "dataset", "labels", "distil_teacher", "student", "temperature", "distill_weight",
    "epochs", "seeds", "seed", "run", "lang", "present", "method", "controls", "vary", "vary_values",
    "words", "in_dataset", "tag", "status", "sort", "compare", "dataset_shown", "sample_of", "model", "networks",
    "picture", "where",
)  # fmt: skip


# --- values kept in the session


def keep(slot: str, value: object) -> None:
    """Keep `value` under the name `slot` for the rest of this session."""
    st.session_state[f"_kept_{slot}"] = value


def kept(slot: str) -> object:
    """Return the value that `keep` stored under `slot`; None if there is none."""
    return st.session_state.get(f"_kept_{slot}")


# --- values of widgets


def set_widget(key: str, value: object) -> None:
    """Set the value of the widget `key`; call this before the widget is drawn, or in a callback."""
    st.session_state[key] = value


def set_initial(key: str, value: object) -> None:
    """Set the value with which the widget `key` starts; a widget that already has a value keeps it."""
    if key not in st.session_state:
        st.session_state[key] = value


def value_at_first_drawing(key: str, value: T) -> T:
    """Return the `value` that was given when the component `key` was first drawn after the visitor opened the page.

    Streamlit drops a component's state when the visitor leaves its page. A component without state has therefore just
    been opened, and `value` is remembered anew; otherwise this is a rerun, and the remembered value is returned.
    """
    slot = f"_{key}_at_first_drawing"
    if key not in st.session_state or slot not in st.session_state:
        st.session_state[slot] = value
    return cast(T, st.session_state[slot])


def widget_value(key: str) -> object:
    """Return the current value of the widget `key`; None before it was first drawn."""
    return st.session_state.get(key)


def component_value(key: str, name: str) -> object:
    """Return what the component `key` sent last under `name`; None if it sent nothing. For callbacks of components."""
    try:
        return cast(object, st.session_state[key][name])
    except (KeyError, TypeError):
        return None


# --- the URL


def language(offered: tuple[str, ...]) -> str:
    """Return the first of these that is in `offered`: the URL's `lang`, the browser's language, `offered[0]`."""
    if len(offered) == 1:
        return offered[0]
    wanted = (_query("lang"), str(st.context.locale or "").split("-")[0])
    return next((name for name in wanted if name in offered), offered[0])


def temperature(default: float = 1.0) -> float:
    """Return the temperature of the soft labels shown: the URL's `t`, limited to `TEMPERATURE_RANGE`.

    Returns `default` where `t` is missing or not a finite positive number.
    """
    try:
        value = float(_query("t"))
    except ValueError:
        return default
    low, high = TEMPERATURE_RANGE
    return min(high, max(low, value)) if math.isfinite(value) and value > 0 else default


def set_temperature(value: float) -> None:
    """Write the temperature of the soft labels shown into the URL, unless it is there already."""
    if not math.isclose(value, temperature()):
        _set_query("t", f"{value:.3g}")


def on_temperature(component_key: str) -> None:
    """Write the temperature at which the visitor released the slider into the URL; the callback of a component.

    Streamlit runs callbacks before the page's script, so that the links at the top already carry the new value.
    """
    try:
        value = float(st.session_state[component_key]["temperature"])
    except (KeyError, TypeError, ValueError):
        return
    low, high = TEMPERATURE_RANGE
    if math.isfinite(value):
        set_temperature(min(high, max(low, value)))


def on_choice(key: str, widget_key: str, legal: Sequence[str]) -> None:
    """Write the choice of the widget `widget_key` into the URL before the page is drawn; the callback of a widget."""
    set_choice(key, str(st.session_state.get(widget_key)), legal)


def choice(key: str, legal: Sequence[str]) -> str:
    """Return the URL's value of `key` if it is in `legal`, else `legal[0]`."""
    value = _query(key)
    return value if value in legal else legal[0]


def set_choice(key: str, value: str, legal: Sequence[str]) -> None:
    """Write a choice into the URL; the default, `legal[0]`, is left out of the URL.

    For widgets whose options have translated labels: `bind="query-params"` would write the labels into the URL.
    """
    _set_query(key, None if value == legal[0] else value)


def choices(key: str, legal: Sequence[str]) -> list[str]:
    """Return the values in the URL's comma-separated list `key` that are in `legal`, in the order of `legal`."""
    in_url = _query(key).split(",")
    return [name for name in legal if name in in_url]


def set_choices(key: str, values: Sequence[str]) -> None:
    """Write choices into the URL as a comma-separated list; an empty list removes the key."""
    _set_query(key, ",".join(values) or None)


def on_choices(key: str, widget_key: str) -> None:
    """Write the choices of the widget `widget_key` into the URL before the page is drawn; the callback of a widget."""
    set_choices(key, list(cast("list[str]", st.session_state.get(widget_key) or [])))


def run_id() -> str | None:
    """Return the run_id in the URL's `run`; None where it is missing or malformed. The run need not exist."""
    return _run_id_or_none(_query("run"))


def parent_run() -> str | None:
    """Return the run_id in the URL's `parent`, the run whose settings are in the URL.

    None where it is missing or malformed. The run need not exist.
    """
    return _run_id_or_none(_query("parent"))


def clear_parent_run() -> None:
    """Remove `parent` from the URL once a run has started, so that the next run does not count as a repetition."""
    _set_query("parent", None)


def set_run_id(value: str | None) -> None:
    """Write a run_id into the URL, so that a reload or a copied link shows the run; None removes it."""
    _set_query("run", value)


def link_params() -> dict[str, list[str]]:
    """Return the keys and values of the URL that every link to another page carries."""
    present = set(st.query_params)  # asked once: every page draws many links, and each look at the URL takes a lock
    parameters = [key for key in present if key not in SHARED_KEYS and is_parameter(key)]
    return {key: st.query_params.get_all(key) for key in (*SHARED_KEYS, *parameters) if key in present}


def is_parameter(key: str) -> bool:
    """Whether the URL's `key` is a parameter of a method."""
    from kdcore.methods.registry import parameters_by_name  # loads torch, which takes seconds

    return key in parameters_by_name()


def _run_id_or_none(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9A-Za-z_-]{6,64}", text) else None


def requested_student() -> str:
    """Return the student that the form or the URL names, whether it is offered or not; "" where neither names one."""
    return str(st.session_state.get("student") or _query("student"))


def requested_teacher(key: str) -> str:
    """Return the teacher that the URL's `key` names, whether it is on this machine or not; "" where there is none.

    A "+" that was typed into the address instead of %2B arrives as a space, so spaces are read as "+".
    """
    return _query(key).strip().replace(" ", "+")


def _query(key: str) -> str:
    return str(st.query_params.get(key, ""))


def _set_query(key: str, value: str | None) -> None:
    if value is None:
        if key in st.query_params:
            del st.query_params[key]
    elif _query(key) != value:
        st.query_params[key] = value


def compared_runs() -> list[str]:
    """Return the run_ids in the URL's `compare`, in order and without duplicates."""
    ids = [part for part in _query("compare").split(",") if re.fullmatch(r"[0-9A-Za-z]{6,64}", part)]
    return list(dict.fromkeys(ids))


def set_compared_runs(run_ids: Sequence[str]) -> None:
    """Write the runs to compare into the URL; an empty list removes the key."""
    _set_query("compare", ",".join(run_ids) or None)
