"""The only reader and writer of `st.session_state`, `st.query_params` and `st.context`.

What a link shares lives in the URL; what is only this visitor's lives in the session. Native widgets look
after themselves with `bind="query-params"` or `persist_state="session"`; a key bound that way cannot be
written here.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast
from urllib.parse import urlsplit

import streamlit as st

T = TypeVar("T")

VISITOR_COOKIE = "kd_visitor"
TEMPERATURE_RANGE = (0.2, 20.0)
# What a link to another page takes along, so that going there and back changes nothing.
SHARED_KEYS = (
    "source", "teacher", "t", "dataset", "labels", "distil_teacher", "student", "temperature", "distill_weight",
    "epochs", "seeds", "seed", "run", "lang", "present",
    "method", "controls", "vary", "vary_values",
    "smoothing", "target_weight", "non_target_weight", "between_weight", "within_weight", "hint_share",
    "attention_weight", "distance_weight", "angle_weight", "generations", "assistants", "student_layer",
    "teacher_layer",
    "words", "in_dataset", "tag", "status", "sort", "compare", "dataset_shown", "sample_of", "model", "networks",
)  # fmt: skip

_PICTURES, _CURRENT, _VISITOR = "_pictures", "_current_picture", "_visitor_id"
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class VisitorPicture:
    """The picture that the visitor last looked at.

    Attributes:
        png: the decoded picture (RGB or grey, at most 1024 pixels a side), lossless, at most about 3 MB.
        name: what to call it on the page.
        source: "upload", "creature", "digit" or "dataset".
    """

    png: bytes
    name: str
    source: str


# --- the visitor


def visitor_id() -> str:
    """Who this browser is: 32 hexadecimal digits, in a cookie, unguessable, and the same after a reload."""
    if _VISITOR not in st.session_state:
        kept = str(st.context.cookies.get(VISITOR_COOKIE, ""))
        st.session_state[_VISITOR] = kept if _ID.fullmatch(kept) else uuid.uuid4().hex
    return str(st.session_state[_VISITOR])


def visitor_is_remembered() -> bool:
    """True when the browser already sent the cookie, so that it need not be written again."""
    return st.context.cookies.get(VISITOR_COOKIE) == visitor_id()


def is_local() -> bool:
    """True for the person at the machine itself: loopback, under a loopback name, and through no proxy."""
    headers = st.context.headers
    if any(headers.get(name) for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded")):
        return False
    host = str(headers.get("Host", "")).rsplit(":", 1)[0].strip("[]")
    address = st.context.ip_address
    return host in ("localhost", "127.0.0.1", "::1") and (address is None or address in ("127.0.0.1", "::1"))


def may_use_camera() -> bool:
    """False when no browser would give its camera to a page at this address: neither HTTPS nor the machine itself."""
    found = urlsplit(st.context.url or "")
    host = found.hostname or "localhost"
    here = host in ("localhost", "::1") or host.endswith(".localhost") or re.fullmatch(r"127(\.\d+){3}", host)
    return found.scheme != "http" or bool(here)


def is_dark() -> bool:
    """True when this visitor reads light text on a dark page."""
    return st.context.theme.type == "dark"


def picture(source: str | None = None) -> VisitorPicture | None:
    """The visitor's current picture, on every page; or the last one from one source."""
    kept = st.session_state.get(_PICTURES, {})
    return kept.get(source or st.session_state.get(_CURRENT, ""))


def keep_picture(chosen: VisitorPicture) -> None:
    """Make `chosen` the visitor's current picture; one of each source is kept."""
    st.session_state[_PICTURES] = {**st.session_state.get(_PICTURES, {}), chosen.source: chosen}
    st.session_state[_CURRENT] = chosen.source


# --- what else the session keeps


def keep(slot: str, value: object) -> None:
    """Keep `value` for this session, such as a measurement, or what was read of a run so far."""
    st.session_state[f"_kept_{slot}"] = value


def kept(slot: str) -> object:
    """What was kept, None if nothing was."""
    return st.session_state.get(f"_kept_{slot}")


# --- widgets whose value another control sets


def preset(key: str, value: object) -> None:
    """Give the widget `key` a value before it is drawn in this run (or in a callback)."""
    st.session_state[key] = value


def begin(key: str, value: object) -> None:
    """The value of the widget `key` when it is drawn first on this visit to the page."""
    if key not in st.session_state:
        st.session_state[key] = value


def at_first_drawing(key: str, value: T) -> T:
    """`value` as it was when the component `key` was first drawn since the visitor came to this page.

    A component's state leaves the session with the page that draws it, which is how a return is told from a rerun.
    """
    slot = f"_{key}_at_first_drawing"
    if key not in st.session_state or slot not in st.session_state:
        st.session_state[slot] = value
    return cast(T, st.session_state[slot])


def widget(key: str) -> object:
    """The value that the widget `key` has now, None before it was ever drawn."""
    return st.session_state.get(key)


# --- the URL


def language(offered: tuple[str, ...]) -> str:
    """The language to speak: the URL's `lang`, else the browser's, else the first on offer."""
    if len(offered) == 1:
        return offered[0]
    wanted = (_query("lang"), str(st.context.locale or "").split("-")[0])
    return next((name for name in wanted if name in offered), offered[0])


def temperature(default: float = 1.0) -> float:
    """The temperature that soft labels are shown at: the URL's `t` when it is a legal number."""
    try:
        value = float(_query("t"))
    except ValueError:
        return default
    low, high = TEMPERATURE_RANGE
    return min(high, max(low, value)) if math.isfinite(value) and value > 0 else default


def set_temperature(value: float) -> None:
    """Put the temperature of the shown soft labels into the URL, unless it says so already."""
    if not math.isclose(value, temperature()):
        _set_query("t", f"{value:.3g}")


def hear_temperature(component_key: str) -> None:
    """A component's callback: put the temperature that was let go into the URL.

    Callbacks run before the page, so that the links at its top already carry the new value.
    """
    try:
        value = float(st.session_state[component_key]["temperature"])
    except (KeyError, TypeError, ValueError):
        return
    low, high = TEMPERATURE_RANGE
    if math.isfinite(value):
        set_temperature(min(high, max(low, value)))


def hear_choice(key: str, widget_key: str, legal: Sequence[str]) -> None:
    """A widget's callback: put its choice into the URL before the page is drawn."""
    set_choice(key, str(st.session_state.get(widget_key)), legal)


def choice(key: str, legal: Sequence[str]) -> str:
    """The URL's value of `key` when it is a legal one, else the first of them."""
    found = _query(key)
    return found if found in legal else legal[0]


def set_choice(key: str, value: str, legal: Sequence[str]) -> None:
    """Put a choice into the URL; the first of the legal ones goes without saying.

    For widgets whose options have translated labels: `bind="query-params"` would write the labels into the URL.
    """
    _set_query(key, None if value == legal[0] else value)


def choices(key: str, legal: Sequence[str]) -> list[str]:
    """The URL's values of `key` that are legal, joined by commas there."""
    asked = _query(key).split(",")
    return [name for name in legal if name in asked]


def set_choices(key: str, values: Sequence[str]) -> None:
    """Put several choices into the URL; none take the key out."""
    _set_query(key, ",".join(values) or None)


def hear_choices(key: str, widget_key: str) -> None:
    """A widget's callback: put its choices into the URL before the page is drawn."""
    set_choices(key, list(cast("list[str]", st.session_state.get(widget_key) or [])))


def run_id() -> str | None:
    """The run that the URL names, if it can be one."""
    return _as_run_id(_query("run"))


def parent_run() -> str | None:
    """The run that the settings in the URL were taken from, if it can be one."""
    return _as_run_id(_query("parent"))


def forget_parent_run() -> None:
    """The run that repeats it was started; the next one is another."""
    _set_query("parent", None)


def set_run_id(value: str | None) -> None:
    """Put a run into the URL, so that a reload or another screen finds it; None takes it out."""
    _set_query("run", value)


def link_params() -> dict[str, list[str]]:
    """What every link to another page carries along."""
    return {key: st.query_params.get_all(key) for key in SHARED_KEYS if key in st.query_params}


def _as_run_id(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9A-Za-z_-]{6,64}", text) else None


def asked_student() -> str:
    """The student that the settings or a link ask for, on the list or not; "" without one."""
    return str(st.session_state.get("student") or _query("student"))


def asked_teacher(key: str) -> str:
    """The teacher that a link asks for under this key, whether it is here or not; "" without one.

    A "+" that somebody typed into the address, and did not write as %2B, arrives as a space.
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
    """The runs that the URL puts beside each other, in its order and each once."""
    ids = [part for part in _query("compare").split(",") if re.fullmatch(r"[0-9A-Za-z]{6,64}", part)]
    return list(dict.fromkeys(ids))


def set_compared_runs(run_ids: Sequence[str]) -> None:
    """Put runs beside each other; none takes the comparison out of the URL."""
    _set_query("compare", ",".join(run_ids) or None)
