"""Small pictures side by side, each with a button that removes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from pages.ui.session import state
from pages.ui.session.i18n import _

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "kd_thumbnails",
    css=(_HERE / "thumbnails.css").read_text(encoding="utf-8"),
    js=(_HERE / "thumbnails.js").read_text(encoding="utf-8"),
)


def thumbnails(
    pictures: Sequence[tuple[str, str, str]], *, key: str, on_remove: Callable[..., None], args: tuple[object, ...]
) -> None:
    """Draw pictures; a click on the cross of one calls `on_remove` with `args` and the picture's key.

    Args:
        pictures: the key, name and data URL of each.
    """

    def removed() -> None:
        value = state.component_value(key, "removed")
        if isinstance(value, str):
            on_remove(*args, value)

    shown = [{"key": name_key, "name": name, "url": url} for name_key, name, url in pictures]
    _component(key=key, data={"pictures": shown, "remove": _("Remove {name}")}, on_removed_change=removed)
