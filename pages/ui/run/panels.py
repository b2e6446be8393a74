"""Draws a run on a page: its progress while it waits and trains, and its result when it is over."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore import jobs
from kdcore.reports.comparison import claim_counts
from pages.ui.components.curves import curves
from pages.ui.engine import cache
from pages.ui.frame.page_parts import draw_chart, errors_as_sentences, paragraph
from pages.ui.kit import formats, settings_words, tables
from pages.ui.run import charts, control_views, controls, curves_data, queue_words, sentences, sweep_panels
from pages.ui.run import view as vm
from pages.ui.run.controls import may_stop
from pages.ui.session import browser, state
from pages.ui.session.i18n import _
from pages.ui.settings_form.run_form import preset_settings

if TYPE_CHECKING:
    from kdcore.events import Event
    from kdcore.settings.config import RunConfig
    from kdcore.store import RunRow

POLL_SECONDS = 1.0
# While a run begins, the page looks more often, because the first point may be there within a second. It then waits for
# an event before it draws: drawing again and again would take the processor from the training.
FIRST_POLL_SECONDS, EVENT_WAIT_SECONDS, EVENT_LOOK_SECONDS = 0.1, 0.5, 0.03
_DRAWN = "run_drawn"  # session slot: of which run how many events are drawn


def start(config: RunConfig) -> None:
    """Put a run into the queue and its id into the URL.

    Raises:
        KdError: the run cannot be trained on this machine, or the queue or the visitor's limit is full.
    """
    store = cache.store()
    parent, most = controls.parent_run(), controls.max_unfinished_runs()
    state.set_run_id(jobs.submit(store, config, browser.visitor_id(), parent=parent, limit=most))
    state.clear_parent_run()
    jobs.advance(store)


def run_in_url() -> RunRow | None:
    """Return the run that the URL names; None when it names none.

    Raises:
        RunNotFound: no run has this id.
        RunDeleted: the run was deleted.
    """
    run_id = state.run_id()
    return cache.store().run(run_id) if run_id else None


def show_run(run: RunRow, settings: bool = True) -> None:
    """Draw a run in whatever state it is; while it waits or trains, the drawing is updated every second, and at first
    more often, until the curves begin.

    Args:
        settings: whether the page has a settings form. If so, the run's settings are named above it, and buttons below
            it resume the run or copy its settings into the form.
    """
    if settings:
        st.html(paragraph(settings_words.config_sentence(run.config), "kd-what"))
    if not may_stop(run):
        st.caption(queue_words.other_visitors_run_sentence())
    if run.done:
        _draw(run)
    else:
        seconds = _poll_seconds(run, vm.run_view(_events_so_far(run)))
        st.fragment(_poll_run, run_every=seconds)(run.id, seconds)
    if settings:
        with st.container(horizontal=True, key="kd-controls"):
            controls.resume_button(run)
            st.button(_("Use these settings"), key="kd-take", on_click=preset_settings, args=(run.config,))


def _poll_run(run_id: str, seconds: float) -> None:
    """Read the run from the store and draw it, every `seconds` seconds.

    When the run is over, the whole page is rerun, which then no longer calls this fragment; and when the run is to be
    looked at more or less often, the page is rerun too, which then calls it with another pause.
    """
    store = cache.store()
    with errors_as_sentences():
        jobs.advance(store)
        run = store.run(run_id)
        if seconds == FIRST_POLL_SECONDS:
            _wait_for_event(run)
        view = _draw(run)
        if run.done or _poll_seconds(run, view) != seconds:
            st.rerun()


def _poll_seconds(run: RunRow, view: vm.RunView) -> float:
    """Return the pause between two looks at a run that is not over."""
    return FIRST_POLL_SECONDS if vm.begins(view, run.status, run.started, time.time()) else POLL_SECONDS


def _draw(run: RunRow) -> vm.RunView:
    """Draw a run as it is now; return what is known of it."""
    controls.show_refusal()
    events = _events_so_far(run)
    view = vm.run_view(events)
    state.keep(_DRAWN, (_version(run), len(events)))
    top = st.container(key="kd-progress")
    if not run.done:
        with top:
            _draw_progress(run, view)
    elif run.result is not None:
        counts = claim_counts(run.result)
        with top.container(key="kd-outcome"):
            words = sentences.sweep_outcome_sentence(counts) if counts else sentences.outcome_sentence(run.result)
            st.html(paragraph(words, "kd-outcome"))
    else:
        top.warning(sentences.ending_sentence(run.status, run.error, view.epochs_done, view.epochs))
    for note in view.notes:
        st.caption(note)
    if run.config.get("vary") and run.result is None:
        sweep_panels.draw_growing_sweep(run.id, run.config, events)
        return view
    if run.result is not None and run.config.get("vary"):
        sweep_panels.draw_finished_sweep(run.result)
        point = settings_words.own_point_text(run.config)
        st.subheader(_("In detail: {point}").format(point=point), anchor=False)
        st.html(paragraph(sentences.outcome_sentence(run.result), "kd-lead"))
    if not run.done or any(curve.mean for curve in view.accuracy.values()):
        _draw_curves(run, view)
    if run.result is not None:
        _draw_details(run.result, view)
    return view


def _events_so_far(run: RunRow) -> list[Event]:
    """Return all events of a run so far.

    Events are kept in the session, and only new ones are read from the store. When a worker restarts or the run is
    resumed, earlier events may be removed; the number of attempts then changes and everything is read again.
    """
    slot, version = "run_events", _version(run)
    kept = state.kept(slot)
    last_seq, events = kept[1:] if isinstance(kept, tuple) and kept[0] == version else (0, [])
    new = cache.store().events(run.id, after=last_seq)
    if new:
        events = [*events, *(stored.event for stored in new)]
        state.keep(slot, (version, new[-1].seq, events))
    return list(events)


def _version(run: RunRow) -> tuple[object, ...]:
    return run.id, run.attempts, run.done


def _wait_for_event(run: RunRow) -> None:
    """Wait for an event that is not drawn yet, for a moment; not if the run, as it is now, was not drawn at all."""
    end = time.monotonic() + EVENT_WAIT_SECONDS
    while state.kept(_DRAWN) == (_version(run), len(_events_so_far(run))) and time.monotonic() < end:
        time.sleep(EVENT_LOOK_SECONDS)


def _draw_progress(run: RunRow, view: vm.RunView) -> None:
    store = cache.store()
    place = jobs.position(store, run.id)
    if place:
        words = queue_words.waiting_sentence(place, jobs.expected_wait(store, run.id))
    else:
        words = sentences.progress_sentence(view)
    bar, button = st.columns((2.6, 1), vertical_alignment="bottom", gap="medium")
    bar.progress(min(1.0, view.share_done), text=words)
    with button:
        controls.stop_button(run, bool(place))


def _draw_curves(run: RunRow, view: vm.RunView) -> None:
    result = run.result or {}
    readouts = vm.result_readouts(result) if result else vm.live_readouts(view)
    if readouts:
        st.html(tables.readouts_html(readouts))
    teacher = _teacher_accuracy(run)
    references = [] if teacher is None else [curves_data.teacher_reference(teacher)]
    if (ceiling := result.get("bayes_accuracy")) is not None:
        references.append(curves_data.ceiling_reference(ceiling))
    view = replace(view, epochs=run.config["epochs"])  # of the point that is shown
    with st.container(key="kd-chart"):
        note = sentences.empty_chart_note(run.status, view)
        words = f"{note}. {sentences.curves_caption(view)}" if note else sentences.curves_caption(view)
        data = curves_data.curves_data(view.accuracy, view.epochs, references, words, note)
        curves(data, key=f"curves_{run.id}")
    arms = control_views.non_control_arms(view.accuracy)
    grey = " " + _("The thin grey lines are the controls.") if len(arms) < len(view.accuracy) else ""
    st.caption(formats.no_break_percent(sentences.curves_caption(replace(view, accuracy=arms)) + grey))


def _teacher_accuracy(run: RunRow) -> float | None:
    """Return the teacher's accuracy: as measured in the run's result, else as on the teacher's card, else None."""
    measured = (run.result or {}).get("arms", {}).get("teacher", {}).get("accuracy", {}).get("mean")
    if measured is not None:
        return float(measured)
    return next((card.accuracy for card in cache.teacher_cards() if card.name == run.config["teacher"]), None)


def _draw_details(result: dict[str, Any], view: vm.RunView) -> None:
    st.subheader(_("On the test pictures"))
    draw_chart(charts.accuracy_dots, result, key="kd-dots", alt=sentences.dots_caption(result))
    arms = control_views.non_control_arms(result["arms"])
    table = tables.quality_table(arms, settings_words.agreement_note(result["config"]))
    st.html(tables.table_html(table, _("What each arm reached on the test pictures")))
    st.caption(formats.no_break_percent(sentences.interval_note(result)))
    if words := sentences.diverged_sentence(result):
        st.warning(words)
    controls_html = control_views.controls_html(result["arms"], _("What each control reached on the test pictures"))
    if controls_html:
        gains = result["verdict"]["claim"] == "distilled"
        st.subheader(_("What carries the gain?") if gains else _("The controls"), anchor=False)
        st.html(controls_html)
        st.caption(control_views.controls_note(result["arms"]))
    if words := sentences.full_data_sentence(result):
        st.html(paragraph(words, "kd-what"))
    with st.expander(_("Training loss")):
        loss = control_views.non_control_arms(view.loss)
        note = _("Each arm lowers a loss of its own, so only the shapes compare, not the heights.")
        draw_chart(charts.loss_chart, loss, result["config"]["epochs"], result["run_id"], key="kd-loss", alt=note)
        st.caption(note)
