"""A chart of curves that grow while a run trains.

It is redrawn in place; a Plotly chart is rebuilt at every change, which makes it flicker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "kd_curves",
    css=(_HERE / "curves.css").read_text(encoding="utf-8"),
    js=(_HERE / "curves.js").read_text(encoding="utf-8"),
)


def curves(data: dict[str, Any], *, key: str) -> None:
    """Draw the chart from `data` (see `curves_data`); the chart returns no value."""
    _component(key=key, data=data)
