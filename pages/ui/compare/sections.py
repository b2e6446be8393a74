"""The sections of the Compare page. One is open at a time, and only that one is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from kdcore.reports.arm_style import arms_in_order
from pages.ui.compare import charts, costs, heatmap, likeness_panel, speed
from pages.ui.compare.panels import draw_picture_answers
from pages.ui.compare.trio import Trio
from pages.ui.engine import cache
from pages.ui.frame.page_parts import draw_chart, errors_as_sentences, paragraph
from pages.ui.kit import formats, look, reliability_chart, tables
from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.answers import PictureAnswers

SECTIONS = ("picture", "mixups", "classes", "likeness", "calibration", "cost", "gallery")
CURVE_SIZES = (1, 8, 64, 256)  # batch sizes of the chart of latencies


def pick_section() -> str:
    """Draw the choice of a section and return the chosen one; the URL parameter is `look`."""
    names = {
        "picture": _("One picture"),
        "mixups": _("Mix-ups"),
        "classes": _("Class by class"),
        "likeness": _("Like classes"),
        "calibration": _("Calibration"),
        "cost": _("Speed and cost"),
        "gallery": _("Where they differ"),
    }
    with st.container(key="kd-look-closer"):
        chosen = st.segmented_control(
            _("Look closer"), SECTIONS, default=state.choice("look", SECTIONS), required=True,
            format_func=lambda section: names[section], key="look_pick",
            on_change=state.on_choice, args=("look", "look_pick", SECTIONS),
        )  # fmt: skip
    state.set_choice("look", chosen, SECTIONS)
    return chosen


def draw_section(section: str, trio: Trio) -> None:
    """Draw the chosen section. An error in it is shown as one sentence, and the rest of the page is drawn."""
    st.html(look.style_html(Path(__file__).with_name("compare.css"), look.GALLERY_CSS))
    draw = {
        "picture": _picture, "mixups": _mixups, "classes": _classes, "likeness": _likeness,
        "calibration": _calibration, "cost": _cost, "gallery": _gallery,
    }  # fmt: skip
    with errors_as_sentences():
        draw[section](trio)


def batch_sizes(section: str) -> Sequence[int]:
    """Return the batch sizes that must be timed while this section is open."""
    return CURVE_SIZES if section == "cost" else speed.TABLE_SIZES


def answers_to_test_pictures(trio: Trio) -> PictureAnswers:
    """Return the answers of the three networks to the test pictures. The first call is slow; the result is cached.

    A note is drawn if the dataset is no longer the one that the figures were measured on.

    Raises:
        KdError: the dataset or a network is no longer on this machine.
    """
    with st.spinner(_("The three networks look at the test pictures")):
        answers = cache.test_answers(trio.run_id, tuple(trio.models.items()), trio.dataset)
    if answers.dataset_sha256 != trio.dataset_sha256:
        text = _("The pictures of {name} on this machine are not those that the figures above were measured on.")
        st.caption(text.format(name=trio.dataset))
    return answers


def _picture(trio: Trio) -> None:
    st.subheader(_("One picture, three answers"), anchor=False)
    draw_picture_answers(trio)


def _mixups(trio: Trio) -> None:
    st.subheader(_("What is taken for what?"), anchor=False)
    confusion = {arm: row["confusion"] for arm, row in trio.arms.items() if "confusion" in row}
    every_seed = len(confusion) == len(trio.arms)
    if not every_seed:
        confusion = _first_seed_confusion(answers_to_test_pictures(trio))
    names = {arm: formats.arm_name(arm) for arm in trio.arms} | {heatmap.DIFFERENCE: _("distilled minus baseline")}
    arm = st.segmented_control(
        _("Whose answers"), list(names), default="distilled", required=True, key="mixups_arm",
        format_func=lambda arm: names[arm], label_visibility="collapsed", persist_state="session",
    )  # fmt: skip
    matrix = heatmap.heatmap(arm, confusion, trio.class_names, trio.superclasses)
    wide = len(matrix.columns) > heatmap.MAX_COLUMNS_BESIDE_TEXT
    table, reading = (st.container(), st.container()) if wide else st.columns((1.9, 1), gap="large")
    with table:
        st.html(heatmap.heatmap_html(matrix, _("Confusion: {arm}").format(arm=names[arm])))
    with reading:
        st.html(paragraph(heatmap.caption(matrix), "kd-lead"))
        st.caption(f"{heatmap.how_to_read(matrix, len(trio.class_names))} {_seeds_note(every_seed=every_seed)}")


def _first_seed_confusion(answers: PictureAnswers) -> dict[str, Sequence[Sequence[int]]]:
    from kdcore.metrics.scores import confusion  # loads torch and SciPy, which takes seconds

    return {arm: confusion(answers.one_hot_choices(arm)[None], answers.hard_labels).tolist() for arm in answers.chosen}


def _seeds_note(*, every_seed: bool) -> str:
    """Say which networks a section is about: the students of all seeds, or those of the first seed."""
    if every_seed:
        return _("The students' answers are those of all seeds together.")
    return _(
        "The students are those of the first seed, and another pair could turn out otherwise; what holds over seeds "
        "stands in the table above."
    )


def _classes(trio: Trio) -> None:
    st.subheader(_("Which classes gain from the teacher?"), anchor=False)
    rows = charts.class_rows(trio.class_names, trio.by_class or _first_seed_differences(answers_to_test_pictures(trio)))
    every_seed = trio.by_class is not None
    words = charts.classes_caption(rows, len(trio.class_names), every_seed)
    draw_chart(charts.class_differences, rows, key="kd-classes", alt=words)
    st.html(paragraph(words, "kd-lead"))
    how = _("Share of the class's test pictures right, distilled minus baseline on the same pictures, with 95 % "
            "intervals; of many intervals, one in twenty misses the truth.")  # fmt: skip
    notes = (how, charts.few_pictures_note(rows), _seeds_note(every_seed=every_seed))
    st.caption(" ".join(note for note in notes if note))


def _first_seed_differences(answers: PictureAnswers) -> list[dict[str, Any]]:
    from kdcore.metrics.paired import per_class_difference  # loads torch and SciPy, which takes seconds

    distilled, baseline = answers.one_hot_choices("distilled")[None], answers.one_hot_choices("baseline")[None]
    return [difference.to_json() for difference in per_class_difference(distilled, baseline, answers.hard_labels)]


def _likeness(trio: Trio) -> None:
    st.subheader(_("Which classes look alike to them?"), anchor=False)
    likeness_panel.draw_similarity(trio, answers_to_test_pictures(trio))
    st.caption(_seeds_note(every_seed=False))


def _calibration(trio: Trio) -> None:
    from kdcore.metrics.reliability import reliability  # loads torch and SciPy, which takes seconds

    st.subheader(_("Do they know how sure to be?"), anchor=False)
    answers = answers_to_test_pictures(trio)
    bins = {arm: reliability(logits.float(), answers.hard_labels) for arm, logits in answers.logits.items()}
    ece = {arm: row["ece"] for arm, row in trio.arms.items() if "ece" in row}
    words = reliability_chart.reliability_caption(bins, ece)
    chart, figures = st.columns((1.9, 1), gap="large")
    with chart:
        draw_chart(reliability_chart.reliability_diagram, bins, key="kd-reliability", alt=words)
    with figures:
        st.html(paragraph(words, "kd-lead"))
        st.html(tables.readouts_html(_calibration_errors(ece)))
        note = _("Above: the calibration error (ECE) with its 95 % interval, over all seeds. In the chart: {groups}")
        groups = reliability_chart.groups_note(next(iter(bins.values())))
        st.caption(f"{note.format(groups=groups)} {_seeds_note(every_seed=False)}")


def _calibration_errors(ece: Mapping[str, Mapping[str, Any]]) -> list[formats.Readout]:
    cells = {arm: tables.accuracy_cell(row) for arm, row in arms_in_order(ece).items()}
    return [formats.Readout(arm, formats.arm_name(arm), cell.value, cell.detail) for arm, cell in cells.items()]


def _cost(trio: Trio) -> None:
    from kdcore.networks.latency import repetitions  # loads torch, which takes seconds

    st.subheader(_("What does an answer cost?"), anchor=False)
    measured = speed.latencies(trio, CURVE_SIZES)
    if measured is None:
        st.caption(_("The times of all batch sizes are being measured."))
        return
    words = costs.latency_caption(measured)
    chart, money = st.columns((1.2, 1), gap="large")
    with chart:
        draw_chart(charts.latency_curve, measured, key="kd-batches", alt=words)
        note = _(
            "Middle of {n} repetitions, of {m} at batch {size}, of fewer for a slow network; a whisker reaches to p95."
        )
        st.caption(f"{words} " + note.format(n=repetitions(1), m=repetitions(256), size=256))
    with money:
        st.html(paragraph(_("A thousand pictures"), "kd-told"))
        price = st.number_input(
            _("Price of an hour of this machine, by your own reckoning"), min_value=0.0, value=None,
            placeholder=_("any currency"), key="kd_price", persist_state="session",
        )  # fmt: skip
        table = costs.costs_table(trio.arms, measured, price)
        st.html(tables.table_html(table, _("What a thousand pictures cost")))
        st.caption(costs.cost_note(measured))


def _gallery(trio: Trio) -> None:
    from pages.ui.compare import gallery_panel  # loads torch and SciPy, which takes seconds

    st.subheader(_("Where do they differ?"), anchor=False)
    answers = answers_to_test_pictures(trio)
    gallery_panel.draw_gallery(trio, answers)
    note = _("Bars: the teacher's soft labels at the temperature above; the percentages beside answers are at T = 1.")
    st.caption(f"{note} {_seeds_note(every_seed=False)}")
