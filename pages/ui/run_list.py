"""The list of past runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.store import RunDeleted
from pages.ui import cache, config_words, run_actions, run_compare, run_panels, state, tables
from pages.ui import sentences as say
from pages.ui import viewmodels as vm
from pages.ui.i18n import _
from pages.ui.shell import link

if TYPE_CHECKING:
    from kdcore.run_selection import Selection
    from kdcore.store import RunRow

FEW = 15  # runs on the screen at a time: each is a dozen elements, and hundreds of them take seconds to draw
MOST = 500  # runs that are looked through
WIDTHS = (0.75, 1.15, 2.7, 3.1, 0.9)


def visitor() -> str | None:
    """Whose runs are listed: this visitor's; all of them (None) for the person at the machine."""
    return None if state.is_local() else state.visitor_id()


def visible_runs() -> list[RunRow]:
    """The runs that this visitor may see without a link, newest first."""
    return cache.store().list_runs(visitor=visitor(), limit=MOST, short=True)


def opened_run() -> RunRow | None:
    """The run that the URL opens; None without one, and for one that was deleted, which is said.

    Raises:
        RunNotFound: there is none with this id.
    """
    try:
        return run_panels.run_in_url()
    except RunDeleted as error:
        st.error(str(error))
        run_actions.offer_restore(state.run_id() or "")
        return None


def run_list(runs: Sequence[RunRow], asked: Selection, opened: RunRow | None, known_tags: list[str]) -> None:
    """A row a run: when and how it is, what was trained, what came out; an opened one is whole, in its place.

    Args:
        runs: those that are asked for, in their order; a screenful of them is drawn.
        known_tags: those of other runs, to choose from.
    """
    kept = state.kept("runs_first")
    first = kept[1] if isinstance(kept, tuple) and kept[0] == asked and kept[1] < len(runs) else 0
    state.keep("runs_first", (asked, first))  # another question begins at its start
    shown = list(runs[first : first + FEW])
    if opened is not None and opened.id not in {run.id for run in shown}:
        shown = [opened, *shown]  # a link to another visitor's run, or to one that is not on this screen
    places = {run_id: place for place, run_id in enumerate(state.compared_runs()[: run_compare.MOST])}
    for run in shown:
        whole = opened is not None and run.id == opened.id
        with st.container(key=f"kd-run-{run.id}"):
            _row(run, whole, places)
            if whole:
                _open(run, known_tags)
    if len(runs) > FEW:
        _turn(asked, first, len(runs))


def _turn(asked: Selection, first: int, count: int) -> None:
    """Which runs are on the screen, and the buttons to the others."""
    with st.container(horizontal=True, vertical_alignment="center", key="kd-turn"):
        for name, key, to in ((_("Back"), "kd-back", first - FEW), (_("More runs"), "kd-more", first + FEW)):
            out = not 0 <= to < count
            st.button(name, key=key, on_click=state.keep, args=("runs_first", (asked, to)), disabled=out)
        text = _("{first} to {last} of {count} runs").format(first=first + 1, last=min(count, first + FEW), count=count)
        st.html(run_panels.paragraph(text, "kd-what"), width="content")


def _row(run: RunRow, whole: bool, places: dict[str, int]) -> None:
    choice, when, what, outcome, button = st.columns(WIDTHS, vertical_alignment="center", gap="small")
    with choice:
        run_compare.pick(run, places)
    when.html(tables.status_html(run.status, say.status_name(run.status), vm.format_when(run.created)))
    tags = "" if whole else run_actions.tag_html(run.tags)
    what.html(run_panels.paragraph(config_words.config_sentence(run.config), "kd-what") + tags)
    outcome.html(run_panels.paragraph(say.short_outcome(run.status, run.result), "kd-what"))
    button.button(
        _("Close") if whole else _("Open"), key=f"kd-open-{run.id}", on_click=_toggle,
        args=(None if whole else run.id,), width="stretch",
    )  # fmt: skip


def _toggle(run_id: str | None) -> None:
    run_actions.forget_undo()
    state.set_run_id(run_id)


def _open(run: RunRow, known_tags: list[str]) -> None:
    """What can be done with it, how it ended, its curves, its settings, and where to go with it."""
    with st.container(key="kd-opened"):
        run_actions.say_refusal()
        run_actions.actions(run, known_tags)
        run_panels.show_run(run, settings=False)
        st.html(tables.facts_html([*config_words.config_facts(run.config), (_("Run"), run.id)]))
        with st.container(horizontal=True):
            link("distil", _("Open on the Distil page"), primary=True)
            if run.result is not None:
                link("compare", _("Compare speed, size and answers"))
            if run.parent is not None:
                parent = _("Repeats run {id} with a change").format(id=run.parent)
                st.button(parent, key="kd-parent", on_click=_toggle, args=(run.parent,), type="tertiary")
