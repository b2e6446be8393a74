"""Curves that grow while a run trains, redrawn in place: a Plotly chart is torn down at every change, and blinks."""

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
    """Draw the view-model's `data` (see `drawings.curves_data`); nothing comes back."""
    _component(key=key, data=data)
