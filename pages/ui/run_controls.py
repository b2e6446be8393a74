"""What a visitor can do to a run on the page: let it leave the queue, stop it, resume it. Only to one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError, RunNotFound
from pages.ui import cache, state
from pages.ui.i18n import _

if TYPE_CHECKING:
    from kdcore.store import RunRow, Store

_REFUSAL = "control_refusal"  # the slot of the session for what the last button could not do


def may_stop(run: RunRow) -> bool:
    """A visitor's own runs, and all of them for the person at the machine."""
    return run.visitor == state.visitor_id() or state.is_local()


def most_runs() -> int | None:
    """How many runs this visitor may have in the queue: for the person at the machine as many as it holds; None for the
    engine's own limit."""
    from kdcore import jobs

    return jobs.MAX_QUEUED if state.is_local() else None


def parent_run() -> str | None:
    """The run that the URL's settings were taken from, if there is or was one."""
    parent = state.parent_run()
    if parent is None:
        return None
    try:
        return cache.store().run(parent, deleted=True).id
    except RunNotFound:
        return None


def stop_button(run: RunRow, waiting: bool) -> None:
    """For a run that waits or trains; nothing for another visitor's."""
    if may_stop(run):
        label = _("Leave the queue") if waiting else _("Stopping") if run.cancel_requested else _("Stop")
        st.button(
            label, key="kd-stop", on_click=_stop, args=(run.id,), disabled=run.cancel_requested,
            icon=":material/stop_circle:", width="stretch",
        )  # fmt: skip


def resume_button(run: RunRow) -> None:
    """For a run that ended early; nothing for another one, or for another visitor's."""
    if run.done and run.result is None and may_stop(run):
        st.button(
            _("Resume"), key="kd-resume", on_click=_resume, args=(run.id,), icon=":material/play_arrow:",
            help=_("Goes on from the last checkpoint when its turn comes."),
        )  # fmt: skip


def say_refusal() -> None:
    """What the last button could not do, once, in the engine's sentence."""
    if sentence := state.kept(_REFUSAL):
        state.keep(_REFUSAL, None)
        st.error(str(sentence))


def _stop(run_id: str) -> None:
    from kdcore import jobs

    _do(run_id, jobs.cancel)


def resume(store: Store, run_id: str) -> None:
    """Put a run that ended early back into the queue, within this visitor's limit.

    Raises:
        KdError: it cannot go on.
    """
    from kdcore import jobs

    jobs.resume(store, run_id, most=most_runs())
    jobs.advance(store)


def _resume(run_id: str) -> None:
    _do(run_id, resume)


def _do(run_id: str, action: Callable[[Store, str], None]) -> None:
    """Callbacks trust no button: whose run it is, and how it stands, is looked up anew."""
    try:
        store = cache.store()
        if may_stop(store.run(run_id)):
            action(store, run_id)
    except KdError as error:
        state.keep(_REFUSAL, str(error))
