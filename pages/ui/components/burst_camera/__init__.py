"""A camera that takes a burst of pictures while its button is held down."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pages.ui.session import state
from pages.ui.session.i18n import _

MOST_SHOTS = 40  # of one burst
_MOST_CHARACTERS = 400_000  # of one shot, as a data URL
_PREFIX = "data:image/jpeg;base64,"
_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "kd_burst_camera",
    css=(_HERE / "burst_camera.css").read_text(encoding="utf-8"),
    js=(_HERE / "burst_camera.js").read_text(encoding="utf-8"),
)


def burst_camera(*, key: str, on_shots: Callable[..., None], args: tuple[object, ...]) -> None:
    """Draw the camera; when its button is let go, `on_shots` is called with `args` and the pictures as JPEG files."""

    def taken() -> None:
        on_shots(*args, decode_shots(state.component_value(key, "shots")))

    texts = {
        "hold": _("Hold to take pictures"),
        "taking": _("{n} taken: let go to add them"),
        "refused": _("The browser gives no picture of a camera. If you refused it once, allow the camera beside the "
                     "address and open this page again."),
        "wait": _("The browser asks whether this page may use the camera."),
    }  # fmt: skip
    _component(key=key, data={"texts": texts, "most": MOST_SHOTS}, on_shots_change=taken)


def decode_shots(value: object) -> list[bytes]:
    """Return the JPEG files of a burst; whatever else a browser sends is left out."""
    shots = []
    for url in value[:MOST_SHOTS] if isinstance(value, list) else ():
        if isinstance(url, str) and url.startswith(_PREFIX) and len(url) <= _MOST_CHARACTERS:
            try:
                shots.append(base64.b64decode(url.removeprefix(_PREFIX), validate=True))
            except (binascii.Error, ValueError):
                continue
    return shots
