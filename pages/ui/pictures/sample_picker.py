"""The row of sample photos from which a visitor without a picture at hand takes one."""

from __future__ import annotations

import streamlit as st

from pages.ui.pictures import cached
from pages.ui.pictures.sample_pictures import SamplePicture, credit_line
from pages.ui.session import state
from pages.ui.session.i18n import _
from pages.ui.session.visitor_picture import VisitorPicture

URL_KEY, WIDGET_KEY = "picture", "picture_pick"


def pick_sample_picture() -> VisitorPicture | None:
    """Let the visitor take one of the photos that come with the app; the URL keeps its name as `picture`.

    Returns:
        The photo; None while none is taken, or after the visitor clicked the one taken again or chose a file.
    """
    samples = {sample.name: sample for sample in cached.sample_pictures()}
    if not samples:
        return None
    with st.container(key="kd_samples"):
        taken = st.pills(
            _("Or one of these"),
            list(samples),
            default=state.choice(URL_KEY, ("", *samples)) or None,
            format_func=lambda name: _label(samples[name]),
            key=WIDGET_KEY,
            on_change=_on_change,
        )
        if taken is None:
            return None
        sample = samples[taken]
        st.caption(credit_line(sample))
    state.set_choice(URL_KEY, taken, ("", *samples))
    return VisitorPicture(cached.opened_picture(sample.path.read_bytes(), sample.title), sample.alt, "sample")


def let_go() -> None:
    """Take no sample any more; the callback of the controls with which the visitor chooses an own picture."""
    state.set_choice(URL_KEY, "", ("",))
    if state.widget_value(WIDGET_KEY) is not None:
        state.set_widget(WIDGET_KEY, None)


def _label(sample: SamplePicture) -> str:
    """Return a photo's thumbnail and title as Markdown."""
    return f"![{sample.alt}]({cached.sample_thumbnail(sample)}) {sample.title}"


def _on_change() -> None:
    """Write the sample that the visitor took into the URL, before the page is drawn."""
    state.set_choice(URL_KEY, str(state.widget_value(WIDGET_KEY) or ""), ("",))
