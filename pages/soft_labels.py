"""The Soft labels page: any teacher's soft labels for any picture, with the hard label beside them."""

from __future__ import annotations

import streamlit as st

from kdcore.errors import KdError
from pages.ui.components.instrument import instrument
from pages.ui.frame.shell import link, open_page, page_title
from pages.ui.pictures import cached, creature_picker, occlusion_panel, pickers, sample_picker
from pages.ui.session import visitor_picture
from pages.ui.session.i18n import _, language
from pages.ui.session.visitor_picture import VisitorPicture
from pages.ui.teachers import fetch_panel, opinion_panel

open_page("soft_labels")
page_title(_("What does a teacher see in a picture?"))

LEAD = (
    _("The hard label is the answer. The soft labels are the opinion behind it."),
    _("The answer is hidden. What is left is the dark knowledge in this picture."),
)

try:
    with st.container(key="kd_choices", horizontal=True, gap="small"):
        source = pickers.pick_source()
        if source == "digit":
            chosen = VisitorPicture(pickers.pick_digit(), _("Handwritten digit"), source)
        if source == "dataset":
            chosen, sampled = pickers.pick_sample()
        card = pickers.pick_teacher(source)
        if source == "upload":
            upload_way = pickers.pick_way()
            if upload_way == "file":
                chosen = pickers.pick_file(width=300)
    if source == "creature":
        main, beside = st.columns([7, 2], gap="medium")
        with beside:
            traits = creature_picker.pick_creature()
            st.caption(pickers.teacher_description(card))
        chosen = VisitorPicture(cached.creature_picture(traits), _("Drawn creature"), source)
        scene = cached.creature(card.name, traits, language())
    else:
        sample = sample_picker.pick_sample_picture() if source == "upload" else None
        main = st.container()
        if source == "upload" and upload_way == "camera":
            beside, main = st.columns([2, 5], gap="medium")
            with beside:
                chosen = pickers.take_photo()
        chosen = sample or chosen
        if chosen is not None:
            scene = cached.picture(card.name, chosen.png, chosen.name)
    with main:
        if chosen is None:
            st.info(_("Choose or take a picture, and the teacher answers here at once."), icon=":material/image:")
            cached.warm_up(card.name)
        else:
            visitor_picture.keep_picture(chosen)
            opinion_panel.show_none_of_these_warning(card, scene)
            positions = instrument(scene.data(lead=LEAD), key="instrument")
            opinion_panel.show_members(card, scene, positions)
            occlusion_panel.show_where_it_looks(card, chosen.png)
        if source == "dataset" and card.dataset != sampled:
            st.caption(_("This teacher learned {other}, not {name}.").format(other=card.dataset, name=sampled))
        if source != "creature":
            st.caption(pickers.teacher_description(card))
except KdError as error:
    st.error(str(error))
if source == "upload":
    link("own_classes", _("Teach it classes of your own"))
fetch_panel.offer_published()
