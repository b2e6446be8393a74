"""The Datasets page: the list, one dataset in full, its download, and the form that adds the visitor's own."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import DatasetUnavailable, KdError
from pages.ui.datasets import cached, views
from pages.ui.engine import cache
from pages.ui.frame import download_bar
from pages.ui.frame.shell import link_only
from pages.ui.kit import look
from pages.ui.kit.formats import as_markdown
from pages.ui.session import browser, state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.datasets import DatasetInfo, DatasetStatus

SHOWN_KEY = "dataset_shown"  # key in the URL of the dataset that the page shows
_DOWNLOADS = download_bar.Downloads("dataset")
_ADDED = "dataset_added"  # session slot: the dataset that was added last, until the page has chosen it


def style() -> None:
    """Add the style sheet of the Datasets page."""
    st.html(look.style_html(Path(__file__).with_name("datasets.css")))


def pick_dataset() -> DatasetInfo:
    """Draw the list of all datasets and return the chosen one; the URL keeps the choice as `dataset_shown`."""
    infos = {info.name: info for info in cache.dataset_infos()}
    statuses = _statuses()
    names = list(infos)
    added = state.kept(_ADDED)
    if added in infos:
        state.keep(_ADDED, None)
        state.set_choice(SHOWN_KEY, str(added), names)
        state.set_widget("dataset_pick", added)
    elif state.widget_value("dataset_pick") not in infos:
        state.set_widget("dataset_pick", state.choice(SHOWN_KEY, names))
    chosen = st.radio(
        _("Dataset"),
        names,
        format_func=lambda name: f"**{infos[name].title}**",
        captions=[views.row_caption(infos[name], statuses[name]) for name in names],
        label_visibility="collapsed",
        key="dataset_pick",
        on_change=state.on_choice,
        args=(SHOWN_KEY, "dataset_pick", names),
    )
    state.set_choice(SHOWN_KEY, chosen, names)
    return infos[chosen]


def show_dataset(info: DatasetInfo) -> None:
    """Draw one dataset in full: its description and facts, and pictures of each class or a way to download it."""
    status = _statuses()[info.name]
    st.subheader(info.title, anchor=False)
    st.html(f'<p class="kd-lead">{_description(info)}</p>')
    if status.ready and _DOWNLOADS.running != info.name:
        _pictures(info, status)
    else:
        st.html(views.facts_html(info, status, None, browser.is_local()))
        show_missing(info, status)


def _pictures(info: DatasetInfo, status: DatasetStatus) -> None:
    try:
        with st.spinner(_("Reading {title}: the first time can take half a minute…").format(title=info.title)):
            view = cached.dataset_view(info.name)
    except DatasetUnavailable as error:
        st.error(str(error) if browser.is_local() else views.not_here_sentence(info))
        if info.download_bytes is not None:
            _fetch_button(info, _("Fetch it again"))
        if _is_own(info):
            _remove_button(info)
        return
    st.html(views.facts_html(info, status, view, browser.is_local()))
    with st.container(key="kd_dataset_next", horizontal=True, gap="small", vertical_alignment="center"):
        link_only("distil", _("Train a student on it"), {"dataset": info.name})
        if _is_own(info):
            _remove_button(info)
    groups = views.class_groups(view)
    group = groups[0]
    if len(groups) > 1:
        group = st.selectbox(
            _("Classes"), groups, format_func=lambda one: one.label, key=f"classes_of_{info.name}", width=380,
            persist_state="session",
        )  # fmt: skip
    st.html(views.classes_html(view, group.classes))
    st.caption(as_markdown(views.balance_sentence(view)))


def show_missing(info: DatasetInfo, status: DatasetStatus) -> None:
    """Draw what is missing for a dataset to be used, and a button that downloads it."""
    if _DOWNLOADS.running == info.name and browser.is_local():
        _fetch(info)
        return
    problem = _DOWNLOADS.problem
    if problem is not None and problem[0] == info.name and browser.is_local():
        st.error(problem[1])
    elif browser.is_local():
        st.info(status.needs, icon=":material/download:")
    else:  # `status.needs` names folders of this machine, which other visitors should not see
        st.info(views.not_here_sentence(info), icon=":material/download:")
    if info.download_bytes is not None:
        _fetch_button(info, _("Download"))
    ready = {name for name, status in _statuses().items() if status.ready}
    st.caption(views.ready_sentence(cache.dataset_infos(), ready))


def _fetch_button(info: DatasetInfo, label: str) -> None:
    """Draw the download button, only for the person at the machine: a download fills that machine's disk."""
    if not browser.is_local():
        return
    st.button(
        label,
        key="dataset_fetch",
        type="primary",
        icon=":material/download:",
        on_click=_DOWNLOADS.start,
        args=(info.name,),
    )


def _fetch(info: DatasetInfo) -> None:
    """Download a dataset while this script runs.

    A rerun stops the download at its next step; the bytes that have arrived are kept, and the next download continues.
    """
    from kdcore.datasets import fetch_dataset  # loads torch, which takes seconds

    wide, narrow = st.columns((5, 1), vertical_alignment="bottom", gap="medium")
    with narrow:
        _DOWNLOADS.stop_button(width="stretch")
    bar = wide.progress(0.0, text=_("Looking for what is here already…"))
    st.caption(download_bar.stay_on_page_sentence())
    _DOWNLOADS.run(info.name, fetch_dataset, bar)
    cache.clear_dataset_cache()
    st.rerun()


def own_data_form() -> None:
    """Draw the form that adds a folder or a parquet file of this machine, only for the person at the machine."""
    if not browser.is_local():
        st.caption(_("Your own pictures are added on the machine itself: `kdcore datasets add PATH`."))
        return
    with st.expander(_("Add your own pictures"), key="own_data"):
        link_only("own_classes", _("Give a few pictures and teach them at once"), {})
        path = st.text_input(
            _("Folder or parquet file"), key="own_path", placeholder="~/pictures/leaves",
            help=_("A folder with one folder of pictures a class, or parquet files as the Hugging Face Hub has them."),
        )  # fmt: skip
        name = st.text_input(
            _("Name"), key="own_name", placeholder=_("made from the folder's name"),
            help=_("Small letters, digits and hyphens. A dataset that you added under this name before is replaced. "
                   "Without a name, nothing is replaced but a copy of the same folder."),
        )  # fmt: skip
        if st.button(_("Add"), key="own_add", type="primary", disabled=not path.strip()):
            _add(path.strip(), name.strip() or None)
        st.caption(
            _("The pictures stay where they are; a small copy is kept for training. Adding pictures under the same "
              "name again replaces that copy.")
        )  # fmt: skip


def _add(path: str, name: str | None) -> None:
    """Add a folder or file as a dataset, and then draw the page anew with that dataset chosen."""
    # These load torch, which takes seconds.
    from kdcore.datasets import add_dataset
    from kdcore.teachers.building.catalog import is_teacher_name

    bar, drawn_at = st.progress(0.0, text=_("Reading the pictures…")), 0.0

    def show_progress(done: int, total: int) -> None:
        nonlocal drawn_at
        if time.monotonic() - drawn_at >= download_bar.REDRAW_SECONDS:
            drawn_at = time.monotonic()
            text = _("Reading picture {done:,} of {total:,}").format(done=done, total=total)
            bar.progress(min(1.0, done / max(1, total)), text=text)

    try:
        added = add_dataset(Path(path), name, progress=show_progress, is_teacher_name=is_teacher_name)
    except KdError as error:
        bar.empty()
        st.error(str(error))
        return
    state.keep(_ADDED, added.name)
    cache.clear_dataset_cache()
    st.rerun()


def _remove_button(info: DatasetInfo) -> None:
    """Draw the button that removes a dataset the visitor added, only for the person at the machine."""
    if not browser.is_local():
        return
    with st.popover(_("Remove"), key="own_remove"):
        st.write(_("Forget {name}? The pictures that it was made from stay where they are.").format(name=info.title))
        st.button(_("Yes, forget it"), key="own_forget", on_click=_forget, args=(info.name,))


def _forget(name: str) -> None:
    from kdcore.datasets import remove_dataset  # loads torch, which takes seconds

    try:
        remove_dataset(name)
    except KdError as error:
        _DOWNLOADS.report(name, error)
    cache.clear_dataset_cache()


def _description(info: DatasetInfo) -> str:
    return escape(f"{info.description} {info.terms}".strip().replace("`", ""))


def _is_own(info: DatasetInfo) -> bool:
    from kdcore.datasets import DATASETS  # loads torch, which takes seconds

    return info.name not in DATASETS


def _statuses() -> dict[str, DatasetStatus]:
    return {status.name: status for status in cache.dataset_statuses()}
