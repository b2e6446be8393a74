"""Download of published teachers that are not on this machine yet."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.ui.engine import cache
from pages.ui.frame import download_bar
from pages.ui.session import browser, state
from pages.ui.session.i18n import _
from pages.ui.teachers import cached, offers

_DOWNLOADS = download_bar.Downloads("teacher")
_DOWNLOADED = "teacher_arrived"  # session slot: the teacher that was downloaded last, until the page has said so
# The style puts the button beside the text where the line has room for both.
_STYLE = """<style>[class*="st-key-offer_"] > :has(.kd-offer) { flex: 1 1 17rem !important; width: auto !important;
  min-width: 0; }
.kd-offer b, .kd-offer span, .kd-offer small { display: block; }
.kd-offer span { font-size: .92rem; }
.kd-offer small { font-size: .84rem; opacity: .72; line-height: 1.35; }</style>"""


def offer_published() -> None:
    """List the published teachers that are not on this machine, each with a button that downloads it.

    Call this at the end of a page: while a download runs, nothing below it is drawn. Only the person at the machine
    may download, because it fills that machine's disk; other visitors read how it is done. Nothing is drawn where this
    machine has all published teachers.
    """
    downloaded = state.kept(_DOWNLOADED)
    if downloaded:
        state.keep(_DOWNLOADED, None)
        st.success(_("{name} is on this machine now; choose it as the teacher.").format(name=downloaded))
    missing = offers.missing_offers(cached.published_offers(), {card.name for card in cache.model_cards()})
    if missing and not browser.is_local():
        st.caption(offers.how_to_fetch_sentence(missing))
    elif missing:
        _list_offers(missing)


def _list_offers(missing: Sequence[offers.Offer]) -> None:
    """Draw the teachers that can be downloaded, each with its button, and the one that is being downloaded."""
    running, problem = _DOWNLOADS.running, _DOWNLOADS.problem
    with st.expander(_("More teachers"), expanded=bool(running or problem), key="more_teachers"):
        st.html(_STYLE)
        st.caption(
            _("Trained on ImageNet's 1.28 million photos of 1,000 kinds of things, published with torchvision. Fetched "
              "once, they work without network.")
        )  # fmt: skip
        if problem is not None:
            st.error(problem[1])
        for offer in missing:
            with st.container(key=f"offer_{offer.name}", horizontal=True, vertical_alignment="center", gap="small"):
                st.html(offers.offer_html(offer), width="stretch")
                st.button(
                    _("Download"), key=f"teacher_get_{offer.name}", icon=":material/download:",
                    on_click=_DOWNLOADS.start, args=(offer.name,), disabled=bool(running),
                    help=_("Fetch {name}").format(name=offer.name),
                )  # fmt: skip
            if offer.name == running:
                _fetch(offer.name)


def _fetch(name: str) -> None:
    """Download a teacher while this script runs, and then draw the page anew."""
    from kdcore.teachers.sources.torchvision import fetch_published  # loads torchvision, which takes seconds

    bar = st.progress(0.0, text=_("Looking for what is here already…"))
    _DOWNLOADS.stop_button()
    st.caption(download_bar.stay_on_page_sentence())
    if _DOWNLOADS.run(name, fetch_published, bar, _("Checking and converting the file…")):
        state.keep(_DOWNLOADED, name)
    cache.clear_teacher_cache()
    st.rerun()
