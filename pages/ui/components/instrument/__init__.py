"""The instrument: a picture beside what a teacher says about it, following the hand in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import state

_HERE = Path(__file__).parent
SCRIPTS = ("numbers.js", "parts.js", "instrument.js")  # one module, in this order


def _read(*names: str) -> str:
    # Inline text and one module: paths work only for components of installed packages.
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component("kd_instrument", css=_read("instrument.css"), js=_read(*SCRIPTS))


@dataclass(frozen=True)
class Hand:
    """Where the visitor let go.

    Attributes:
        temperature: of the soft labels on screen.
        frame: index of the frame on screen.
    """

    temperature: float
    frame: int


def instrument(data: dict[str, Any], *, key: str) -> Hand:
    """Mount the instrument with the view-model's `data` (see `instrument_model`) and hear what was let go.

    The temperature comes from the URL at the first drawing and is written there at each release. In between the
    browser is the owner: the data says the same starting values for as long as the page is open, so that a rerun
    neither moves a slider nor sends the pictures again.
    """
    start = state.at_first_drawing(key, (state.temperature(), data["frame"]))
    result = _component(
        key=key,
        data={**data, "temperature": start[0], "frame": start[1]},
        default={"temperature": start[0], "frame": start[1]},
        on_temperature_change=partial(state.hear_temperature, key),
        on_frame_change=_ignore,
    )
    return _legal(result, data, start)


def _legal(result: Any, data: dict[str, Any], start: tuple[float, int]) -> Hand:
    """What came from the browser, which may send anything, forced into its legal range."""
    low, high = data["temperature_range"]
    frames = len(data["logits"])
    try:
        return Hand(min(high, max(low, float(result.temperature))), min(frames - 1, max(0, int(result.frame))))
    except (TypeError, ValueError, OverflowError):
        return Hand(start[0], min(frames - 1, max(0, start[1])))


def _ignore() -> None:
    """A state value needs a callback; the value is read from the result."""
