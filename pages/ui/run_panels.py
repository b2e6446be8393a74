"""A run on the page: while it waits and trains, and when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore.errors import KdError
from pages.ui import cache, charts, drawings, queue_words, run_controls, state, tables
from pages.ui import sentences as say
from pages.ui import viewmodels as vm
from pages.ui.components.curves import curves
from pages.ui.examples import Example, NoTeacherYet
from pages.ui.i18n import _
from pages.ui.run_controls import may_stop
from pages.ui.run_form import take_settings

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from kdcore.config import RunConfig
    from kdcore.events import Event
    from kdcore.store import RunRow

POLL_SECONDS = 1.0
LARGE_TYPE = 20  # points on charts, for the back row
LIGHT_TEXT = "#d9d5ca"


def style() -> None:
    """The style sheet of the pages about runs."""
    st.html(f"<style>{Path(__file__).with_name('runs.css').read_text(encoding='utf-8')}</style>")


def paragraph(words: str, name: str) -> str:
    """A paragraph of plain text in one of the styles of `runs.css`; what others wrote is escaped."""
    return f'<p class="{name}">{escape(say.held(words))}</p>'


def text() -> charts.Type:
    """How text on charts is set here: it does not follow the page's rem, nor its colour."""
    size = LARGE_TYPE if state.widget("present") else charts.TYPE.size
    return charts.Type(size, LIGHT_TEXT) if state.is_dark() else charts.Type(size)


def draw_chart(figure: go.Figure, key: str, words: str) -> None:
    """A chart under a key that stays, so that it is redrawn in place; `words` say what it shows."""
    st.plotly_chart(figure, config=charts.CONFIG, key=key, alt=words)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """What the engine refuses is said in its own sentence, in place."""
    try:
        yield
    except NoTeacherYet as told:  # nothing went wrong: it comes with the first run
        st.info(str(told), icon=":material/school:")
    except KdError as error:
        st.error(str(error))


def start(config: RunConfig) -> None:
    """Put a run into the queue and its id into the URL.

    Raises:
        KdError: it cannot be trained here.
    """
    from kdcore import jobs

    store = cache.store()
    parent, most = run_controls.parent_run(), run_controls.most_runs()
    state.set_run_id(jobs.submit(store, config, state.visitor_id(), parent=parent, most=most))
    state.forget_parent_run()
    jobs.advance(store)


def run_in_url() -> RunRow | None:
    """The run that the URL names; None without one.

    Raises:
        RunNotFound: there is none with this id.
    """
    run_id = state.run_id()
    return cache.store().run(run_id) if run_id else None


def explain(config: RunConfig) -> None:
    """Before the first run: one picture, and what each student is told about it."""
    lead = _(
        "Start trains {seeds} pairs of students. Both of a pair begin with the same weights, see the same {labels} "
        "pictures in the same order, and learn for {epochs} epochs. Only what they are told differs:"
    ).format(seeds=len(config.seeds), labels=vm.format_count(config.labels), epochs=config.epochs)
    st.html(paragraph(lead, "kd-lead"))
    try:
        with st.spinner(_("Reading the pictures of {name}").format(name=config.dataset)):
            example = cache.telling_example(config.dataset, config.teacher)
        _told(config, example)
    except NoTeacherYet as error:
        st.info(str(error), icon=":material/school:")
    st.html(paragraph(say.explanation(config.dataset == "creatures"), "kd-lead"))


def _told(config: RunConfig, example: Example) -> None:
    """The picture, and what is said of it to each student."""
    picture, hard, soft = st.columns((0.66, 1, 1), gap="medium")
    soft_labels = example.soft_labels(config.temperature)
    name = example.class_names[example.hard_label]
    with picture, st.container(key="kd-picture"):
        st.image(example.picture, caption=_("Really a {name}").format(name=name), width="stretch")
    for place, arm, shares, told in (
        (hard, "baseline", example.told_to_baseline(), _("is told the hard label")),
        (soft, "distilled", soft_labels, _("is told soft labels, T = {t:g}").format(t=config.temperature)),
    ):
        with place:
            st.html(f'<p class="kd-told">{tables.arm_mark(arm)}<b>{vm.arm_name(arm)}</b> {told}</p>')
            words = say.answer_caption(example.class_names, shares)
            st.html(drawings.bars(arm, example.class_names, shares, words, others=example.has_others))
    st.caption(say.held(say.weight_note(config.distill_weight)))


def show_run(run: RunRow, settings: bool = True) -> None:
    """A run wherever it is: it redraws itself until it is over.

    Args:
        settings: whether the page has the settings of another run, which can take those of this one.
    """
    if settings:
        st.html(paragraph(say.config_sentence(run.config), "kd-what"))
    if not may_stop(run):
        st.caption(queue_words.foreign_sentence())
    if run.done:
        _draw(run)
    else:
        _follow(run.id)
    if settings:
        with st.container(horizontal=True, key="kd-controls"):
            run_controls.resume_button(run)
            st.button(_("Use these settings"), key="kd-take", on_click=take_settings, args=(run.config,))


@st.fragment(run_every=POLL_SECONDS)
def _follow(run_id: str) -> None:
    """One look at the store a second; the whole page runs once more when the run is over, and then no more."""
    from kdcore import jobs

    store = cache.store()
    with one_sentence():
        jobs.advance(store)
        run = store.run(run_id)
        _draw(run)
        if run.done:
            st.rerun()


def _draw(run: RunRow) -> None:
    run_controls.say_refusal()
    view = vm.run_view(_heard(run))
    place = st.container(key="kd-progress")
    if not run.done:
        with place:
            _progress(run, view)
    elif run.result is not None:
        with place.container(key="kd-outcome"):
            st.html(paragraph(say.outcome_sentence(run.result), "kd-outcome"))
    else:
        place.warning(say.ending_sentence(run.status, run.error, view.epochs_done, view.epochs))
    if not run.done or any(curve.mean for curve in view.accuracy.values()):
        _curves(run, view)
    if run.result is not None:
        _details(run.result, view)


def _heard(run: RunRow) -> list[Event]:
    """All events so far; only new ones are read. A worker that began anew, or a resumption, may take some back."""
    slot, mark = "run_events", (run.id, run.attempts, run.done)
    kept = state.kept(slot)
    heard, seq, events = kept if isinstance(kept, tuple) and kept[0] == mark else (mark, 0, [])
    new = cache.store().events(run.id, after=seq)
    if new:
        events, seq = [*events, *(stored.event for stored in new)], new[-1].seq
        state.keep(slot, (heard, seq, events))
    return list(events)


def _progress(run: RunRow, view: vm.RunView) -> None:
    from kdcore import jobs

    store = cache.store()
    waiting = jobs.position(store, run.id)
    wait = jobs.expected_wait(store, run.id) if waiting else None
    words = queue_words.waiting_sentence(waiting, wait) if waiting else say.progress_sentence(view, 0)
    bar, button = st.columns((2.6, 1), vertical_alignment="bottom", gap="medium")
    bar.progress(min(1.0, view.share), text=words)
    with button:
        run_controls.stop_button(run, bool(waiting))


def _curves(run: RunRow, view: vm.RunView) -> None:
    known = run.result or {}
    readouts = vm.result_readouts(known) if known else vm.live_readouts(view)
    if readouts:
        st.html(tables.readouts_html(readouts))
    teacher = _teacher_accuracy(run)
    references = [] if teacher is None else [drawings.teacher_reference(teacher)]
    if (ceiling := known.get("bayes_accuracy")) is not None:
        references.append(drawings.ceiling_reference(ceiling))
    caption = say.curves_caption(view)
    with st.container(key="kd-chart"):
        data = drawings.curves_data(view.accuracy, run.config["epochs"], references, caption)
        curves(data, key=f"curves_{run.id}")
    st.caption(say.held(caption))


def _teacher_accuracy(run: RunRow) -> float | None:
    """As the run itself measured it, once it has; until then as the teacher's card says; None without either."""
    if run.result is not None and "teacher" in run.result["arms"]:
        return float(run.result["arms"]["teacher"]["accuracy"]["mean"])
    return next((card.accuracy for card in cache.teacher_cards() if card.name == run.config["teacher"]), None)


def _details(result: dict[str, Any], view: vm.RunView) -> None:
    st.subheader(_("On the test pictures"))
    draw_chart(charts.accuracy_dots(result, text()), "kd-dots", say.dots_caption(result))
    st.html(tables.table_html(tables.quality_table(result["arms"]), _("What each arm reached on the test pictures")))
    st.caption(say.held(say.interval_note(result)))
    if whole := say.whole_sentence(result):
        st.html(paragraph(whole, "kd-what"))
    with st.expander(_("Training loss")):
        note = _("Each arm lowers a loss of its own, so only the shapes compare, not the heights.")
        draw_chart(charts.loss_curves(view.loss, view.epochs, result["run_id"], text()), "kd-loss", note)
        st.caption(note)
