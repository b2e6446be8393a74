"""An invisible component that stores the visitor's id in a cookie of the browser."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_component = st.components.v2.component(
    "kd_visitor", js=Path(__file__).with_name("visitor.js").read_text(encoding="utf-8")
)


def remember(name: str, value: str) -> None:
    """Write `value` into the cookie `name`; neither may contain text that a visitor entered, as nothing is escaped."""
    _component(key="kd_visitor", data={"name": name, "value": value}, height=1)
