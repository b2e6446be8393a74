"""The Home page, which is also the script that Streamlit starts: it shows what dark knowledge is on one screen."""

from __future__ import annotations

import streamlit as st

from kdcore.errors import KdError
from pages.ui.components.instrument import instrument
from pages.ui.engine import status_line
from pages.ui.frame.shell import link, open_page, page_title
from pages.ui.pictures import cached
from pages.ui.session.i18n import _, language

open_page("home")
page_title(_("What does a network know about what it did *not* choose?"))

LEAD = (
    _(
        "The hard label says one word. The soft labels say what it resembles. Raise the temperature, then turn "
        "off the lights."
    ),
    _("The winner is gone. What is left is the dark knowledge: which animals this one resembles, and how much."),
)

sharp = True
try:
    with st.spinner(_("Drawing the animals, and asking the teacher about each…")):
        scene, sharp = cached.morph("creatures", language())
    instrument(scene.data(lead=LEAD), key="instrument")
except KdError as error:
    st.error(str(error))

with st.container(key="kd_next", horizontal=True, vertical_alignment="center", gap="medium"):
    link("distil", _("Train a student on it"), primary=True)
    link("soft_labels", _("Try your own picture"), source="upload")
    with st.container(key="kd_ready", width="content"):
        st.caption(status_line.sentence())

if not sharp:  # the page already works with drafts; now draw the pictures at full resolution
    cached.sharpen_morph("creatures", language())
    st.rerun()
