"""The pictures that the visitor looked at, kept in the session so that every page shows the same one."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

_PICTURES, _CURRENT = "_pictures", "_current_picture"


@dataclass(frozen=True)
class VisitorPicture:
    """A picture that the visitor looked at.

    Attributes:
        png: the decoded picture (RGB or grey, at most 1024 pixels a side) as a lossless PNG of at most about 3 MB.
        name: the name that the page shows for it.
        source: where it came from: "upload", "sample", "creature", "digit" or "dataset".
    """

    png: bytes
    name: str
    source: str


def last_picture(source: str | None = None) -> VisitorPicture | None:
    """Return the visitor's current picture, or the last one from `source`; None where there is none."""
    by_source = st.session_state.get(_PICTURES, {})
    return by_source.get(source or st.session_state.get(_CURRENT, ""))


def keep_picture(picture: VisitorPicture) -> None:
    """Make `picture` the visitor's current picture; the session keeps the last picture of each source."""
    st.session_state[_PICTURES] = {**st.session_state.get(_PICTURES, {}), picture.source: picture}
    st.session_state[_CURRENT] = picture.source
