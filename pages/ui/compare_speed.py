"""How fast the three networks are, measured here and now, a batch size at a time; and their table of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from pages.ui import cache, charts, comparison, state, tables
from pages.ui.compare_panels import network
from pages.ui.comparison import Trio
from pages.ui.i18n import _, ngettext
from pages.ui.run_panels import draw_chart, one_sentence, text
from pages.ui.sentences import held

RETRY_SECONDS = 2.0
BAR_STEP = 0.05
TABLE_SIZES = (1, 64)

Latencies = dict[str, list[Mapping[str, Any]]]


def latencies(trio: Trio, sizes: Sequence[int] = TABLE_SIZES) -> Latencies | None:
    """What was measured in this session at these batch sizes; None until all of them were."""
    return comparison.at_batch_sizes(_kept(trio), sizes)


def _kept(trio: Trio) -> Latencies | None:
    kept = state.kept(f"latency_{trio.key}")
    return kept if isinstance(kept, dict) else None


def figures(trio: Trio) -> None:
    """Quality and cost of the three, in one table; a time that is not measured yet is an ellipsis."""
    costs = tables.cost_table(trio.arms, None)
    rows = list(costs.rows)
    for place, size in enumerate(TABLE_SIZES):
        if (found := latencies(trio, (size,))) is not None:
            rows[place] = tables.cost_table(trio.arms, found).rows[0]
    table = tables.stack(tables.quality_table(trio.arms, trio.agreement), tables.Table(costs.arms, tuple(rows)))
    st.html(tables.table_html(table, _("Teacher, distilled and baseline: quality, speed and size")))


def tradeoff(trio: Trio) -> None:
    """Accuracy against time, once the time is known."""
    measured = latencies(trio, (1,))
    if measured is None:
        return
    points = comparison.tradeoff_points(trio, measured)
    draw_chart(charts.tradeoff(points, text()), "kd-tradeoff", comparison.tradeoff_caption(points))
    st.caption(held(comparison.tradeoff_caption(points)))


def speed(trio: Trio, sizes: Sequence[int]) -> None:
    """How the times were measured, or the measurement itself: of one batch size that is missing, then the page anew."""
    from kdcore.latency import REPETITIONS

    if any(latencies(trio, (size,)) is None for size in sizes):
        _measure(trio, tuple(sizes))
        return
    measured = latencies(trio)
    if measured is not None:
        st.caption(comparison.measured_note(measured, REPETITIONS))
    again = (f"latency_{trio.key}", None)
    st.button(_("Measure again"), key="kd-measure", icon=":material/timer:", on_click=state.keep, args=again)


@st.fragment(run_every=RETRY_SECONDS)
def _measure(trio: Trio, sizes: tuple[int, ...]) -> None:
    """Time the three when nothing trains; while something does, say so and ask again.

    What is measured is kept size by size: the table fills while it lasts, and a click in between loses little.
    """
    from kdcore import jobs
    from kdcore.latency import measure_latency

    size = next(one for one in sizes if latencies(trio, (one,)) is None)
    with one_sentence():
        loaded = {arm: network(trio, arm) for arm in trio.arms}
        timed = {arm: (found.network.network, found.card.image_shape) for arm, found in loaded.items()}
        try:
            with jobs.turn(cache.store(), "latency", state.visitor_id()):
                found = measure_latency(timed, cache.device(), (size,), progress=_progress_bar(sizes, size))
        except jobs.Busy:
            st.info(_("A run is training now. Times are measured when it has ended, so that they are true."))
            return
        before = _kept(trio) or {arm: [] for arm in timed}
        kept = {arm: [*before[arm], *(one.to_json() for one in many)] for arm, many in found.items()}
        state.keep(f"latency_{trio.key}", kept)
        st.rerun()


def _progress_bar(sizes: Sequence[int], size: int) -> Callable[[float], None]:
    """A bar over all sizes, redrawn now and then: the drawing is not to disturb what is measured."""
    from kdcore.latency import repetitions

    work = {one: repetitions(one) * (10 + one) for one in sizes}  # a pass has a cost of its own beside its pictures
    total = sum(work.values())
    before = sum(work[one] for one in sizes[: list(sizes).index(size)]) / total
    label = ngettext(
        "Measuring how fast each of them answers {n} picture", "Measuring how fast each of them answers {n} pictures",
        size,
    ).format(n=size)  # fmt: skip
    bar, shown = st.progress(before, text=label), 0.0

    def draw(share: float) -> None:
        nonlocal shown
        if share - shown >= BAR_STEP:
            shown = share
            bar.progress(before + share * work[size] / total, text=label)

    return draw
