"""Measures how fast the three networks are on this machine, and draws their table of figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from kdcore import jobs
from pages.ui.compare import tradeoff_chart
from pages.ui.compare import trio as compare_trio
from pages.ui.compare.cached import Latencies, forget_latencies, keep_latencies, measured_latencies
from pages.ui.compare.panels import network
from pages.ui.compare.trio import Trio
from pages.ui.engine import cache
from pages.ui.frame.page_parts import draw_chart, errors_as_sentences
from pages.ui.kit import tables
from pages.ui.kit.formats import no_break_percent
from pages.ui.session import browser
from pages.ui.session.i18n import _, ngettext

RETRY_SECONDS = 2.0
BAR_STEP = 0.05  # share of one batch size's work after which the progress bar is redrawn
TABLE_SIZES = (1, 64)  # batch sizes in the table


def latencies(trio: Trio, sizes: Sequence[int] = TABLE_SIZES) -> Latencies | None:
    """Return the measurements of this machine at these batch sizes; None until all of them are measured."""
    return compare_trio.at_batch_sizes(measured_latencies(trio.key), sizes)


def _missing(trio: Trio, sizes: Sequence[int]) -> list[int]:
    return [size for size in sizes if latencies(trio, (size,)) is None]


def draw_figures(trio: Trio) -> None:
    """Draw one table of the quality, speed and size of the three networks; an ellipsis is a time not measured yet."""
    costs = tables.cost_table(trio.arms, None)
    rows = list(costs.rows)
    for index, size in enumerate(TABLE_SIZES):
        if (measured := latencies(trio, (size,))) is not None:
            rows[index] = tables.cost_table(trio.arms, measured).rows[0]
    table = tables.join_tables(tables.quality_table(trio.arms, trio.agreement), tables.Table(costs.arms, tuple(rows)))
    st.html(tables.table_html(table, _("Teacher, distilled and baseline: quality, speed and size")))


def draw_tradeoff(trio: Trio) -> None:
    """Draw accuracy against the time for one picture; nothing until that is measured."""
    measured = latencies(trio, (1,))
    if measured is None:
        return
    points = compare_trio.tradeoff_points(trio, measured)
    words = compare_trio.tradeoff_caption(points)
    draw_chart(tradeoff_chart.tradeoff, points, key="kd-tradeoff", alt=words)
    st.caption(no_break_percent(words))


def draw_or_measure(trio: Trio, sizes: Sequence[int]) -> None:
    """Measure the batch sizes that are missing; once there are none, say how the times were measured.

    One batch size is measured per rerun of the page.
    """
    from kdcore.networks.latency import REPETITIONS  # loads torch, which takes seconds

    if _missing(trio, sizes):
        _measure(trio, tuple(sizes))
        return
    measured = latencies(trio)
    if measured is not None:
        st.caption(compare_trio.measured_note(measured, REPETITIONS))
    st.button(
        _("Measure again"), key="kd-measure", icon=":material/timer:", on_click=forget_latencies, args=(trio.key,)
    )


@st.fragment(run_every=RETRY_SECONDS)
def _measure(trio: Trio, sizes: tuple[int, ...]) -> None:
    """Time the three networks at the first batch size that is missing, then rerun the page.

    While a run trains, or another visitor measures, say so and try again after `RETRY_SECONDS`. Each batch size is kept
    as soon as it is measured: the table fills step by step, and a click meanwhile loses at most one measurement.
    """
    from kdcore.networks.latency import measure_latency  # loads torch, which takes seconds

    with errors_as_sentences():
        loaded = {arm: network(trio, arm) for arm in trio.arms}
        networks = {arm: (teacher.network, teacher.card.image_shape) for arm, teacher in loaded.items()}
        try:
            with jobs.reserve_machine(cache.store(), "latency", browser.visitor_id()):
                for size in _missing(trio, sizes)[:1]:  # none, when another visitor was faster
                    measured = measure_latency(networks, cache.device(), (size,), progress=_progress_bar(sizes, size))
                    figures = {arm: [time.to_json() for time in times] for arm, times in measured.items()}
                    keep_latencies(trio.key, figures)
        except jobs.MachineBusy:
            st.info(_("A run is training now. Times are measured when it has ended, so that they are true."))
            return
        st.rerun()


def _progress_bar(sizes: Sequence[int], size: int) -> Callable[[float], None]:
    """Draw a progress bar over all batch sizes and return the function that updates it.

    It is redrawn rarely, so that drawing does not disturb the measurement.

    Args:
        sizes: all batch sizes, in the order in which they are measured.
        size: the one that is measured now.

    Returns:
        A function of the share (0 to 1) of this batch size's work that is done.
    """
    from kdcore.networks.latency import repetitions  # loads torch, which takes seconds

    # A pass has a fixed cost, estimated as the cost of 10 pictures.
    work = {batch_size: repetitions(batch_size) * (10 + batch_size) for batch_size in sizes}
    total = sum(work.values())
    share_before = sum(work[earlier] for earlier in sizes[: list(sizes).index(size)]) / total
    label = ngettext(
        "Measuring how fast each of them answers {n} picture", "Measuring how fast each of them answers {n} pictures",
        size,
    ).format(n=size)  # fmt: skip
    bar, shown = st.progress(share_before, text=label), 0.0

    def draw(share: float) -> None:
        nonlocal shown
        if share - shown >= BAR_STEP:
            shown = share
            bar.progress(share_before + share * work[size] / total, text=label)

    return draw
