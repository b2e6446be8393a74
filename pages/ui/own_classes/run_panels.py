"""Draws a run on a visitor's own classes: its progress, the three networks, their answers to a new picture, and what
becomes of the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError
from pages.ui.engine import cache
from pages.ui.frame.page_parts import errors_as_sentences, paragraph
from pages.ui.frame.shell import link
from pages.ui.kit import bars, formats, look, tables
from pages.ui.own_classes import cached, collect_panels, words
from pages.ui.pictures import pickers
from pages.ui.run import panels as run_panels
from pages.ui.run import sentences
from pages.ui.session import browser, state, visitor_picture
from pages.ui.session.i18n import _
from pages.ui.session.visitor_picture import VisitorPicture

if TYPE_CHECKING:
    from kdcore.datasets import DatasetInfo
    from kdcore.store import RunRow
    from kdcore.teachers.teacher import Teacher

_REFUSAL = "own_refusal"  # session slot: the sentence of the last button that failed


def own_run() -> RunRow | None:
    """Return the run that the URL names if it is one on own pictures; else None.

    Raises:
        RunNotFound: no run has this id, or it was deleted.
    """
    from kdcore.datasets import DATASETS  # loads torch, which takes seconds

    run = run_panels.run_in_url()
    return run if run is not None and run.config["dataset"] not in DATASETS else None


def draw_run(run: RunRow) -> None:
    """Draw a run in whatever state it is: while it trains, its curves; when it is over, the three networks."""
    if (refusal := state.kept(_REFUSAL)) is not None:
        state.keep(_REFUSAL, None)
        st.error(str(refusal))
    if run.result is None:
        run_panels.show_run(run, settings=False)
    else:
        _draw_result(run)
    with st.container(key="kd_own_next", horizontal=True, gap="small", vertical_alignment="center"):
        again = _("Change the pictures") if _has_pictures() else _("Teach other classes")
        st.button(again, key="own_again", icon=":material/undo:", on_click=state.set_run_id, args=(None,))
        link("distil", _("See the whole run on Distil"))
    if run.done:
        _draw_keeping(run)


def _has_pictures() -> bool:
    return any(one.pictures for one in collect_panels.collection().classes)


def _draw_result(run: RunRow) -> None:
    result = run.result or {}
    with st.container(key="kd-outcome"):
        st.html(paragraph(sentences.outcome_sentence(result), "kd-outcome"))
    left, right = st.columns((1, 1.35), gap="large")
    with left:
        st.html(tables.table_html(words.trio_table(result["arms"]), _("What the three networks reached")))
        st.caption(formats.no_break_percent(sentences.interval_note(result)))
        if diverged := sentences.diverged_sentence(result):
            st.warning(diverged)
    chosen = None
    with right, st.container(key="kd_own_try"), errors_as_sentences():
        st.subheader(_("Try it on a new picture"), anchor=False)
        chosen = _new_picture(run)
    with st.container(key="kd_own_answers"), errors_as_sentences():
        if chosen is not None:
            _draw_answers(run, chosen)


def _new_picture(run: RunRow) -> VisitorPicture | None:
    """Let the visitor give a new picture and return it; None before the first one, or where the teacher is deleted."""
    if _info(run) is None:
        st.info(words.deleted_sentence(), icon=":material/delete:")
        return None
    chosen = pickers.pick_upload()
    if chosen is None:
        st.info(_("Choose or take a picture, and all three answer here at once."), icon=":material/image:")
    else:
        visitor_picture.keep_picture(chosen)
    return chosen


def _draw_answers(run: RunRow, chosen: VisitorPicture) -> None:
    """Draw the picture, and beside it the answer of each network."""
    networks = {arm: _network(run, arm) for arm in words.ARMS if _has_network(run, arm)}
    answers = {arm: cached.answer(network, chosen.png) for arm, network in networks.items()}
    picture_column, *columns = st.columns((0.7, *(1 for _arm in answers)), gap="medium")
    with picture_column:
        st.image(chosen.png, width=140, caption=formats.as_markdown(chosen.name))
    for column, (arm, answer) in zip(columns, answers.items(), strict=True):
        with column:
            _draw_answer(arm, answer)


def _draw_answer(arm: str, answer: cached.Answer) -> None:
    names, shares = formats.short_names(answer.class_names), answer.soft_labels
    head = formats.Readout(arm, formats.arm_name(arm), names[answer.chosen], look.percent(shares[answer.chosen]))
    st.html(tables.readouts_html([head]))
    st.html(bars.bars(arm, names, shares, formats.probabilities_caption(names, shares)))


def _has_network(run: RunRow, arm: str) -> bool:
    """Whether there is a network to ask: none is kept of an arm of which a student diverged."""
    accuracy = (run.result or {})["arms"].get(arm, {}).get("accuracy") or {}
    return accuracy.get("mean") is not None


def _network(run: RunRow, arm: str) -> Teacher:
    return cache.teacher(run.config["teacher"]) if arm == "teacher" else cache.run_model(run.id, arm)


def _info(run: RunRow) -> DatasetInfo | None:
    """Return the facts of the run's dataset; None if it was deleted, or replaced by other pictures of that name."""
    return next((info for info in cache.dataset_infos() if info.name == run.config["dataset"]), None)


# --- what becomes of the pictures


def _draw_keeping(run: RunRow) -> None:
    """Say how long the pictures are kept, with buttons to keep or delete them for the person at the machine."""
    info = _info(run)
    if info is None or not browser.is_local():
        return
    with st.container(key="kd_own_keeping", horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(words.expiry_sentence(info.expires, time.time()))
        if info.expires is not None:
            st.button(_("Keep"), key="own_keep", icon=":material/bookmark:", on_click=_keep, args=(info.name,))
        with st.popover(_("Delete now"), icon=":material/delete:", key="own_delete"):
            st.write(_("Delete the pictures and the teacher, here and in memory? The run's figures stay on Runs."))
            st.button(_("Yes, delete them"), key="own_delete_yes", on_click=_delete, args=(info.name,))


def _keep(name: str) -> None:
    from kdcore.datasets import keep_dataset  # loads torch, which takes seconds

    _act(keep_dataset, name)


def _delete(name: str) -> None:
    from kdcore.datasets import remove_dataset  # loads torch, which takes seconds

    if _act(remove_dataset, name):
        collect_panels.forget_collection()


def _act(action: Callable[[str], object], name: str) -> bool:
    """Carry out a button's action, only for the person at the machine; a sentence of refusal is kept for the page."""
    if not browser.is_local():  # a browser could send a click for a button that was never drawn
        return False
    try:
        action(name)
    except KdError as error:
        state.keep(_REFUSAL, str(error))
        return False
    finally:
        cache.clear_dataset_cache()
        cache.clear_teacher_cache()
    return True
