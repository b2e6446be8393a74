"""What a visitor may do with a run: the buttons that take it out of the queue, stop it or resume it.

A visitor has them only for their own runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from kdcore import jobs
from kdcore.errors import KdError, RunNotFound
from pages.ui.engine import cache
from pages.ui.session import browser, state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.store import RunRow, Store

_REFUSAL = "control_refusal"  # session slot: the error message of the last button that failed


def may_stop(run: RunRow) -> bool:
    """Return whether this visitor may stop a run, and change it in any other way.

    A visitor may for their own runs, the person at the machine for any run; everybody may read a run that a link opens.
    """
    return run.visitor == browser.visitor_id() or browser.is_local()


def max_unfinished_runs() -> int | None:
    """Return how many runs this visitor may have waiting or training at a time.

    For the person at the machine that is the size of the queue; None stands for the engine's limit per visitor.
    """
    return jobs.MAX_QUEUED if browser.is_local() else None


def parent_run() -> str | None:
    """Return the id of the run that the settings in the URL were taken from, or None. A deleted run counts."""
    parent = state.parent_run()
    if parent is None:
        return None
    try:
        return cache.store().run(parent, deleted=True).id
    except RunNotFound:
        return None


def stop_button(run: RunRow, waiting: bool) -> None:
    """Draw the button that stops a run or takes it out of the queue; nothing for a run of another visitor.

    Args:
        run: a run that waits or trains.
        waiting: whether it waits in the queue.
    """
    if may_stop(run):
        label = _("Stop")
        if waiting:
            label = _("Leave the queue")
        elif run.cancel_requested:
            label = _("Stopping")
        st.button(
            label, key="kd-stop", on_click=_stop, args=(run.id,), disabled=run.cancel_requested,
            icon=":material/stop_circle:", width="stretch",
        )  # fmt: skip


def resume_button(run: RunRow, before: Callable[[], None] | None = None) -> None:
    """Draw the Resume button for a run that ended before it was finished; nothing for other runs or another visitor's.

    Args:
        before: what the click does besides, first.
    """
    if run.done and run.status != "finished" and may_stop(run):
        st.button(
            _("Resume"), key="kd-resume", on_click=_resume, args=(run.id, before), icon=":material/play_arrow:",
            help=_("Goes on from the last checkpoint when its turn comes."),
        )  # fmt: skip


def act_on_own_run(run_id: str, action: Callable[[Store, str], object], deleted: bool = False) -> bool:
    """Carry out `action` on a run in the callback of a button; the message of an error is kept for `show_refusal`.

    The run is read from the store again, because its owner must be checked on the server: the browser could send a
    click for a button that was never drawn.

    Args:
        deleted: whether the run may be a deleted one; otherwise that is an error.

    Returns:
        Whether the action was carried out: False after an error, or for a run that this visitor may not change.
    """
    try:
        store = cache.store()
        if not may_stop(store.run(run_id, deleted=deleted)):
            return False
        action(store, run_id)
    except KdError as error:
        state.keep(_REFUSAL, str(error))
        return False
    return True


def show_refusal() -> None:
    """Show the error message of the last button that failed, once."""
    if sentence := state.kept(_REFUSAL):
        state.keep(_REFUSAL, None)
        st.error(str(sentence))


def _stop(run_id: str) -> None:
    act_on_own_run(run_id, jobs.cancel)


def _resume(run_id: str, before: Callable[[], None] | None = None) -> None:
    """Callback of the Resume button: put the run back into the queue, within this visitor's limit of runs."""

    def resume(store: Store, run_id: str) -> None:
        jobs.resume(store, run_id, limit=max_unfinished_runs())
        jobs.advance(store)

    if before is not None:
        before()
    act_on_own_run(run_id, resume)
