"""Download of published teachers that are not on this machine yet."""

from __future__ import annotations

import streamlit as st

from kdcore.errors import KdError
from pages.ui.engine import cache
from pages.ui.frame import download_bar
from pages.ui.session import state
from pages.ui.session.i18n import _
from pages.ui.teachers import cached
from pages.ui.teachers import offers as teacher_offers

_DOWNLOADING, _PROBLEM, _DOWNLOADED = "teacher_fetched", "teacher_problem", "teacher_arrived"
# The style puts the button beside the text where the line has room for both.
_STYLE = """<style>[class*="st-key-offer_"] > :has(.kd-offer) { flex: 1 1 17rem !important; width: auto !important;
  min-width: 0; }
.kd-offer b, .kd-offer span, .kd-offer small { display: block; }
.kd-offer span { font-size: .92rem; }
.kd-offer small { font-size: .84rem; opacity: .72; line-height: 1.35; }</style>"""


def offer_published() -> None:
    """List the published teachers that are not on this machine, each with a button that downloads it.

    Call this at the end of a page: while a download runs, nothing below it is drawn. Only the person at the machine
    may download, because it fills that machine's disk; other visitors read how it is done. Nothing is drawn where all
    are here.
    """
    arrived = state.kept(_DOWNLOADED)
    if arrived:
        state.keep(_DOWNLOADED, None)
        st.success(_("{name} is on this machine now; choose it as the teacher.").format(name=arrived))
    here = {card.name for card in cache.model_cards()}
    offers = teacher_offers.missing_offers(cached.published_offers(), here)
    if not offers:
        return
    if not state.is_local():
        st.caption(teacher_offers.other_machine_sentence(offers))
        return
    fetched, problem = state.kept(_DOWNLOADING), state.kept(_PROBLEM)
    with st.expander(_("More teachers"), expanded=bool(fetched or problem), key="more_teachers"):
        st.html(_STYLE)
        st.caption(
            _("Trained on ImageNet's 1.28 million photos of 1,000 kinds of things, published with torchvision. Fetched "
              "once, they work without network.")
        )  # fmt: skip
        if isinstance(problem, str):
            st.error(problem)
        for offer in offers:
            with st.container(key=f"offer_{offer.name}", horizontal=True, vertical_alignment="center", gap="small"):
                st.html(teacher_offers.offer_html(offer), width="stretch")
                st.button(
                    _("Download"), key=f"teacher_get_{offer.name}", icon=":material/download:",
                    on_click=_start_download, args=(offer.name,), disabled=bool(fetched),
                    help=_("Fetch {name}").format(name=offer.name),
                )  # fmt: skip
            if offer.name == fetched:
                _fetch(offer.name)


def _start_download(name: str) -> None:
    state.keep(_PROBLEM, None)
    state.keep(_DOWNLOADING, name)


def _fetch(name: str) -> None:
    from kdcore.teachers.sources.torchvision import fetch_published

    shown = st.progress(0.0, text=_("Looking for what is here already…"))
    st.button(
        _("Stop"), key="teacher_stop", icon=":material/stop_circle:", on_click=state.keep, args=(_DOWNLOADING, None)
    )
    st.caption(download_bar.stay_on_page_sentence())
    try:
        download_bar.show_progress(fetch_published(name), shown, _("Checking and converting the file…"))
        state.keep(_DOWNLOADED, name)
    except KdError as error:
        state.keep(_PROBLEM, str(error))
    state.keep(_DOWNLOADING, None)
    cache.clear_teacher_cache()
    st.rerun()
