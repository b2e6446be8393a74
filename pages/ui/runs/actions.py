"""The actions on an opened run: tag it, rerun it with a change, resume it, export it, delete it and restore it."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import RunNotFound
from kdcore.reports import export
from pages.ui.engine import cache
from pages.ui.frame import page_parts
from pages.ui.frame.shell import link_only
from pages.ui.kit import formats, settings_words
from pages.ui.run import controls
from pages.ui.run.controls import may_stop
from pages.ui.session import state
from pages.ui.session.i18n import _, ngettext
from pages.ui.settings_form import run_form

if TYPE_CHECKING:
    from kdcore.store import RunRow, Store

_LAST_DELETED = "run_undo"  # session slot: the id of the run that was deleted last


def draw_actions(run: RunRow, known_tags: list[str]) -> None:
    """Draw the tags and the buttons of an opened run; only the actions that this visitor may carry out.

    Args:
        known_tags: tags of other runs, offered as suggestions.
    """
    if may_stop(run):
        _draw_tags(run, known_tags)
    elif run.tags:
        st.html(tag_html(run.tags))
    with st.container(horizontal=True, vertical_alignment="center", key="kd-run-actions"):
        link_only("distil", _("Rerun with a change"), settings_query(run))
        controls.resume_button(run, before=forget_undo)
        with st.popover(_("Export"), key="kd-export", icon=":material/download:"):
            _export_buttons(run)
        if may_stop(run) and run.done:
            st.button(_("Delete"), key="kd-delete", on_click=_delete, args=(run.id,), icon=":material/delete:")


def undo_bar() -> None:
    """Draw an Undo button for the run that was deleted last; it disappears once the visitor acts on another run."""
    run = _deleted_run(str(state.kept(_LAST_DELETED) or ""))
    if run is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="kd-undo-bar"):
        st.html(f'<p class="kd-what">{_("Deleted:")} {escape(settings_words.config_sentence(run.config))}</p>')
        st.button(_("Undo"), key="kd-undo", on_click=_restore, args=(run.id, True), icon=":material/undo:")


def deleted_runs(visitor: str | None) -> None:
    """Draw a folded list of the deleted runs that can still be restored; nothing when there is none.

    Args:
        visitor: whose runs; None for all.
    """
    runs = cache.store().list_runs(visitor=visitor, limit=50, deleted=True, whole_results=False)
    if not runs:
        return
    label = ngettext("{n} deleted run", "{n} deleted runs", len(runs)).format(n=len(runs))
    with st.expander(label, key="kd-deleted"):
        st.caption(_("They can be restored for some days, and are then removed with their files."))
        for run in runs:
            what, button = st.columns((5, 1), vertical_alignment="center")
            when = formats.format_when(run.created)
            what.html(page_parts.paragraph(f"{settings_words.config_sentence(run.config)} ({when})", "kd-what"))
            button.button(_("Restore"), key=f"kd-restore-{run.id}", on_click=_restore, args=(run.id,), width="stretch")


def offer_restore(run_id: str) -> None:
    """Draw a Restore button for a deleted run that a link opened, if this visitor may change the run."""
    if (run := _deleted_run(run_id)) is not None:
        st.button(_("Restore"), key="kd-restore-opened", on_click=_restore, args=(run.id, True))


def forget_undo() -> None:
    """Remove the Undo button, because the visitor did something else. The list of deleted runs still has the run."""
    state.keep(_LAST_DELETED, None)


def tag_html(tags: tuple[str, ...]) -> str:
    """Return the tags of a run as HTML, escaped; "" when there is none."""
    return f'<p class="kd-tags">{"".join(f"<span>{escape(tag)}</span>" for tag in tags)}</p>' if tags else ""


def settings_query(run: RunRow) -> dict[str, str]:
    """Return a run's settings as query parameters of the Distil page, with the run's id as "parent"."""
    return {**run_form.settings_query(run.config), "parent": run.id}


def _draw_tags(run: RunRow, known_tags: list[str]) -> None:
    key = f"kd-tags-{run.id}"
    state.set_widget(key, list(run.tags))  # always take the tags from the store: another tab may have changed them
    st.multiselect(
        _("Tags"), sorted({*known_tags, *run.tags}, key=str.casefold), key=key, accept_new_options=True,
        on_change=_retag, args=(run.id,), placeholder=_("Add a word, such as: class 7b"), width=620,
    )  # fmt: skip


def _export_buttons(run: RunRow) -> None:
    names = {
        "html": (_("Report"), _("one page to read and print")),
        "csv": (_("Curves, CSV"), _("one line an epoch, arm and seed")),
        "json": (_("Everything, JSON"), _("settings, result and events")),
    }
    for form, (name, contents) in names.items():
        st.download_button(
            name, partial(_export, cache.store(), run.id, form), export.file_name(run, form), export.MIME_TYPES[form],
            key=f"kd-export-{form}", help=contents, on_click="ignore", width="stretch",
        )  # fmt: skip


def _export(store: Store, run_id: str, form: str) -> str:
    """Return the exported file. Called when the visitor presses the button, so it holds the run as it is then."""
    return export.export_text(store.run(run_id), store.events(run_id), form)


def _deleted_run(run_id: str) -> RunRow | None:
    """Return the run if it is deleted and this visitor may change it, else None; None for "" too."""
    if not run_id:
        return None
    try:
        run = cache.store().run(run_id, deleted=True)
    except RunNotFound:
        return None
    return run if run.deleted is not None and may_stop(run) else None


def _retag(run_id: str) -> None:
    forget_undo()
    tags = state.widget_value(f"kd-tags-{run_id}")
    if isinstance(tags, list):
        controls.act_on_own_run(run_id, lambda store, run_id: store.tag(run_id, tags), deleted=True)


def _delete(run_id: str) -> None:
    if controls.act_on_own_run(run_id, lambda store, run_id: store.delete(run_id), deleted=True):
        state.keep(_LAST_DELETED, run_id)
        state.set_run_id(None)
        state.set_compared_runs([other for other in state.compared_runs() if other != run_id])


def _restore(run_id: str, opened: bool = False) -> None:
    forget_undo()
    restored = controls.act_on_own_run(run_id, lambda store, run_id: store.undelete(run_id), deleted=True)
    if restored and opened:
        state.set_run_id(run_id)
