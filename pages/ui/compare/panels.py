"""Draws the choice of the three networks on the Compare page, and their answers to one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st
from PIL import Image

from kdcore.errors import KdError
from kdcore.teachers.card import same_classes
from pages.ui.compare import trio as compare_trio
from pages.ui.compare.cached import timed_answer
from pages.ui.compare.trio import Answer, Trio
from pages.ui.engine import cache
from pages.ui.frame.page_parts import errors_as_sentences
from pages.ui.kit import bars, formats, look, tables
from pages.ui.pictures import cached, pickers
from pages.ui.session import browser, state, visitor_picture
from pages.ui.session.i18n import _
from pages.ui.teachers import ensemble_pickers, none_of_these

if TYPE_CHECKING:
    from kdcore.store import RunRow
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.teacher import Teacher

LAST_RUN = "last"  # URL value for the last finished run, instead of the name of bundled networks


def choose_trio() -> Trio:
    """Return the networks to compare: those of the run in the URL, else the visitor's choice.

    The visitor chooses among their last finished run and the bundled networks.

    Raises:
        KdError: the URL names a run that does not exist, or this machine has nothing to compare.
    """
    run_id, cards = state.run_id(), {card.name: card for card in cache.model_cards()}
    named = cache.store().run(run_id) if run_id else None
    if named is not None and named.result is None:
        ended = _(
            "The run in the address ended without a result, so it has nothing to compare; below is what there is."
        )
        st.info(ended if named.done else _("The run in the address has no result yet; below is what there is."))
    elif named is not None and named.result is not None:
        if compare_trio.has_all_networks(named.result):
            cards |= _ensemble_card(named.result)
            return compare_trio.trio_of_run(named.id, named.result, _("This run"), cards)
        st.info(_("Students of the run in the address diverged, so it has nothing to compare; below is what there is."))
    last = _last_finished_run()
    bundled = compare_trio.bundled_trios(cards)
    names = list(bundled) if last is None else [LAST_RUN, *bundled]
    if _has_photo():  # which the networks that know kinds of animals answer first
        names.sort(key=lambda name: name not in bundled or not bundled[name].is_by_kind)
    if not names:
        raise KdError(_("No bundled students are on this machine; start a run on the Distil page and compare that."))
    chosen = _pick_networks(names, "networks_pick_photo" if _has_photo() else "networks_pick")
    if chosen != LAST_RUN or last is None or last.result is None:
        return bundled[chosen]
    cards |= _ensemble_card(last.result)
    return compare_trio.trio_of_run(last.id, last.result, _("Your last run"), cards)


def _pick_networks(names: list[str], key: str) -> str:
    """Draw the choice of networks, if there is one, and return the chosen name; the URL parameter is `networks`.

    Args:
        key: of the widget; another one where the names have another order, so that it starts with the first of them.
    """
    if len(names) == 1:
        return names[0]
    chosen = st.segmented_control(
        _("Networks"), names, default=state.choice("networks", names), required=True, key=key,
        format_func=lambda name: _("your last run") if name == LAST_RUN else name,
        on_change=state.on_choice, args=("networks", key, names),
    )  # fmt: skip
    state.set_choice("networks", chosen, names)
    return chosen


def _has_photo() -> bool:
    current = visitor_picture.last_picture()
    return current is not None and current.source == "upload"


def _ensemble_card(result: Mapping[str, Any]) -> dict[str, ModelCard]:
    """Return the card of the ensemble that taught a run, by name; empty if a single teacher did, or if members of the
    ensemble are missing."""
    name = str(result["config"]["teacher"])
    return {name: cache.teacher_card(name)} if ensemble_pickers.is_possible(name) else {}


def _last_finished_run() -> RunRow | None:
    store = cache.store()
    runs = store.list_runs(visitor=browser.visitor_id(), whole_results=False)
    last = next((run for run in runs if run.result and compare_trio.has_all_networks(run.result)), None)
    return None if last is None else store.run(last.id)


def network(trio: Trio, arm: str) -> Teacher:
    """Load one of the three networks, frozen, with its classes in the order of the students'.

    Raises:
        KdError: its file is missing or damaged, or the teacher's name now belongs to one that knows other classes.
    """
    if arm != "teacher":
        return _student(trio, arm)
    teacher = cache.teacher(trio.models[arm])
    if trio.run_id is None and not trio.is_by_kind:
        return teacher
    # These load torch, which takes seconds.
    from kdcore.teachers.by_kind import by_kind, knows_kinds
    from kdcore.teachers.fit import in_order

    card = _student(trio, "distilled").card
    if same_classes(teacher.card.class_names, card.class_names):
        return in_order(teacher, card.class_names)
    if knows_kinds(teacher.card, card.class_names) and not teacher.members:
        return by_kind(teacher, card.class_names, card.image_shape)
    text = _("The teacher {name} knows other classes now than in this run; compare a later run.")
    raise KdError(text.format(name=teacher.name))


def _student(trio: Trio, arm: str) -> Teacher:
    return cache.teacher(trio.models[arm]) if trio.run_id is None else cache.run_model(trio.run_id, arm)


def draw_picture_answers(trio: Trio) -> None:
    """Draw the picture that the visitor chose, and each network's answer to it with the time that it took."""
    warning = st.container()
    picture_column, *columns = st.columns((0.8, 1, 1, 1), gap="medium")
    with picture_column, st.container(key="kd-picture"):
        with st.spinner(_("Reading the pictures of {name}").format(name=trio.dataset)):
            picture, name, shown = _picture_to_show(trio)
        st.image(shown, caption=formats.as_markdown(name), width="stretch")
    kinds = trio.class_names if trio.is_by_kind else ()
    asked = {arm: cache.teacher(trio.models[arm]) if kinds else network(trio, arm) for arm in trio.arms}
    answers = [timed_answer(one, arm, picture, kinds) for arm, one in asked.items()]
    if any(answer.none_of_these for answer in answers if answer.arm == "teacher"):
        warning.info(formats.no_break_percent(none_of_these.warning(asked["teacher"].card)), icon=":material/help:")
    classes = compare_trio.shown_classes(answers)
    for column, answer in zip(columns, answers, strict=True):
        with column:
            _draw_answer(answer, classes)
    text = _("These networks know {names}, and answer with one of them whatever they see.")
    if kinds:
        text = _(
            "The students know {names}, and answer with one of them whatever they see. Their teacher knows many more "
            "things: everything else is what it gives to these."
        )
    st.caption(text.format(names=formats.join_names(kinds or answers[0].class_names)))


def _draw_answer(answer: Answer, classes: Sequence[int]) -> None:
    detail = f"{look.percent(answer.confidence)}, {formats.format_ms(answer.latency_ms)}"
    head = formats.Readout(answer.arm, formats.arm_name(answer.arm), answer.chosen, detail)
    st.html(tables.readouts_html([head]))
    names, shares = answer.restricted_to(classes)
    st.html(bars.bars(answer.arm, names, shares, formats.probabilities_caption(names, shares)))


def _picture_to_show(trio: Trio) -> tuple[Image.Image, str, Image.Image]:
    """Return the picture that the networks are asked about: the visitor's own, else an example of the dataset.

    Returns:
        The picture for the networks, its caption, and the picture to display, which may be larger.
    """
    chosen = _visitors_picture(pickers.FITTING_SOURCE.get(trio.dataset))
    if chosen is not None:
        opened = Image.open(io.BytesIO(chosen.png))
        return opened, chosen.name, opened
    example = cached.hesitant_example(trio.dataset, trio.models["teacher"])
    name = example.class_names[example.hard_label]
    words = _("Really a {name}, until you choose a picture").format(name=name)
    return Image.fromarray(example.pixels), words, Image.fromarray(example.picture)


def _visitors_picture(source: str | None) -> visitor_picture.VisitorPicture | None:
    """Draw the upload and return the visitor's picture for a dataset; None where there is none.

    It is a new upload, else the picture that the visitor looked at last if it was uploaded, came with the app or is
    from `source`, else the last picture from `source`.

    Args:
        source: where pictures come from that suit the dataset; None for a dataset without such a source.
    """
    uploaded = None
    with errors_as_sentences():  # a file that cannot be read leaves the previous picture in place
        uploaded = pickers.pick_upload()
    if uploaded and uploaded != visitor_picture.last_picture("upload"):
        visitor_picture.keep_picture(uploaded)
        st.rerun()  # other networks may be the first choice now
    current = visitor_picture.last_picture()
    if current is not None and current.source in ("upload", "sample", source):
        return current
    return None if source is None else visitor_picture.last_picture(source)
