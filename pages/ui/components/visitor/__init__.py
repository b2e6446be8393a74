"""A component with nothing to see: it keeps the visitor's id in the browser."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_component = st.components.v2.component(
    "kd_visitor", js=Path(__file__).with_name("visitor.js").read_text(encoding="utf-8")
)


def remember(name: str, value: str) -> None:
    """Write the cookie `name`; both texts are the app's own, never a visitor's."""
    _component(key="kd_visitor", data={"name": name, "value": value}, height=1)
