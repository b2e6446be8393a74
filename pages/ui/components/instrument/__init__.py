"""The instrument: a picture beside a teacher's soft labels; the browser redraws it while the visitor moves a slider."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui.session import state

_HERE = Path(__file__).parent
SCRIPTS = ("numbers.js", "rows.js", "parts.js", "instrument.js")  # joined to one module in this order


def _read(*names: str) -> str:
    # The files are passed as text, joined to one module: Streamlit accepts paths only from installed packages.
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component("kd_instrument", css=_read("instrument.css"), js=_read(*SCRIPTS))


@dataclass(frozen=True)
class SliderPositions:
    """The positions of the instrument's sliders: where the visitor last released them, at first where they start.

    Attributes:
        temperature: temperature of the soft labels on screen.
        frame: index of the picture on screen among the frames of a morph; 0 for a single picture.
    """

    temperature: float
    frame: int


def instrument(data: dict[str, Any], *, key: str) -> SliderPositions:
    """Draw the instrument from `data` (see `instrument_data`) and return the positions of its sliders.

    The temperature is read from the URL when the instrument is first drawn, and written there whenever the visitor
    releases the slider. Otherwise the browser keeps the positions: as long as the page is open, `data` is sent with
    the same starting values, so that a rerun neither moves a slider nor sends the pictures again.
    """
    start = state.value_at_first_drawing(key, (state.temperature(), data["frame"]))
    result = _component(
        key=key,
        data={**data, "temperature": start[0], "frame": start[1]},
        default={"temperature": start[0], "frame": start[1]},
        on_temperature_change=partial(state.on_temperature, key),
        on_frame_change=_ignore,
    )
    return _limited(result, data, start)


def _limited(result: Any, data: dict[str, Any], start: tuple[float, int]) -> SliderPositions:
    """Limit the values from the browser to their legal ranges; a browser may send anything."""
    low, high = data["temperature_range"]
    frames = len(data["logits"])
    try:
        return SliderPositions(
            min(high, max(low, float(result.temperature))), min(frames - 1, max(0, int(result.frame)))
        )
    except (TypeError, ValueError, OverflowError):
        return SliderPositions(start[0], min(frames - 1, max(0, start[1])))


def _ignore() -> None:
    """Do nothing: Streamlit requires a callback for each state value, but the frame is read from the result."""
