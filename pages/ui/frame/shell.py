"""The frame around every page: configuration, navigation, style sheet, title and links.

Each page's script calls `open_page` with its own key first, and then draws its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.ui.components.visitor import remember
from pages.ui.frame.cached import keep_spare_worker, start_collector
from pages.ui.kit import look
from pages.ui.session import browser, state, uploads
from pages.ui.session.i18n import _

_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Page:
    """One entry of the navigation.

    Attributes:
        key: the script's name, which is also its path in the URL ("home" for the start page).
        script: the script's path.
        title: the title in the visitor's language.
    """

    key: str
    script: str
    title: str


def pages() -> tuple[Page, ...]:
    """Return all pages in the order in which a visit goes through them, titled in the visitor's language."""
    return (
        Page("home", "app.py", _("Home")),
        Page("soft_labels", "pages/soft_labels.py", _("Soft labels")),
        Page("distil", "pages/distil.py", _("Distil")),
        Page("compare", "pages/compare.py", _("Compare")),
        Page("runs", "pages/runs.py", _("Runs")),
        Page("own_classes", "pages/own_classes.py", _("Own classes")),
        Page("datasets", "pages/datasets.py", _("Datasets")),
        Page("models", "pages/models.py", _("Model cards")),
    )


def open_page(key: str, *, uploads_kept: int = 2) -> None:
    """Configure the page, draw the navigation and apply the style sheet; every page script calls this first.

    Args:
        uploads_kept: how many of this session's newest files stay in memory. A page that takes many files at once
            needs more than an upload and a photo, because some are still on their way while it is drawn.
    """
    uploads.keep_uploads_in_memory()
    uploads.remove_old_uploads(uploads_kept)
    start_collector()
    keep_spare_worker()
    this_page = next(page for page in pages() if page.key == key)
    name = _("Dark Knowledge Lab")
    st.set_page_config(
        page_title=name if key == "home" else f"{this_page.title} · {name}",
        page_icon=str(_ROOT / "assets" / "icon.svg"),  # Streamlit fetches an icon given by name from the network
        layout="wide",
        initial_sidebar_state="collapsed",
        # Streamlit shows the menu, with its choice of light or dark, only when the menu has an entry such as "About".
        menu_items={"About": _("What a trained network knows about the classes that it did not choose.")},
    )
    with st.container(key="kd_nav", horizontal=True, vertical_alignment="center", gap="small"):
        _draw_links(key)
        presenter = st.toggle(_("Large type"), key="present", bind="query-params")
    st.html(look.style_html(look.LOOK_CSS, more=look.PRESENTER_CSS if presenter else ""))
    if not browser.visitor_is_remembered():
        remember(browser.VISITOR_COOKIE, browser.visitor_id())


def _draw_links(here: str) -> None:
    """Draw a link to each page; the one to the page `here` stands in a container of its own, by which it is found.

    What the links carry is asked once, and the others have no containers, because each visit of a page draws them all.
    """
    query = state.link_params()
    for page in pages():
        place = st.container(key=f"kd_here_{page.key}", width="content") if page.key == here else st
        place.page_link(page.script, label=page.title, query_params=query)


def page_title(text: str) -> None:
    """Draw the page's only headline; `text` may contain Markdown emphasis."""
    st.title(text, anchor=False)


def link(key: str, label: str, *, primary: bool = False, **query: str) -> None:
    """Draw a link to another page that carries the shared keys of the URL and adds `query`.

    Args:
        key: the page to link to.
        primary: whether the link is drawn as the page's main button.
    """
    _link(key, label, "main" if primary else "side", **query)


def link_only(key: str, label: str, query: dict[str, str]) -> None:
    """Draw a link to another page that carries `query` and, of the URL, only the language and the type size."""
    page = next(page for page in pages() if page.key == key)
    display = {name: value for name, value in state.link_params().items() if name in ("lang", "present")}
    with st.container(key=f"kd_side_{key}_afresh", width="content"):
        st.page_link(page.script, label=label, query_params={**display, **query})


def _link(key: str, label: str, kind: str, **query: str) -> None:
    page = next(page for page in pages() if page.key == key)
    with st.container(key=f"kd_{kind}_{key}", width="content"):
        st.page_link(page.script, label=label, query_params={**state.link_params(), **query})
