"""The filter of the list of runs: which runs are shown, and in which order. Each of its widgets is in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.reports.selection import SORTS, STATUSES, Selection
from pages.ui.run import sentences
from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.store import RunRow

ANY_STATUS = ("any", *STATUSES)
# URL parameters; the key of the widget is the same, or "kd-" and the name.
WORDS_KEY, DATASET_KEY, TAG_KEY, STATUS_KEY, SORT_KEY = "words", "in_dataset", "tag", "status", "sort"


def run_filter(runs: Sequence[RunRow]) -> Selection:
    """Draw the filter and return what the visitor asks for.

    Args:
        runs: all runs of the list; only their datasets and tags are offered.
    """
    datasets = sorted({str(run.config["dataset"]) for run in runs})
    tags = sorted({tag for run in runs for tag in run.tags}, key=str.casefold)
    with st.container(key="kd-filter"):
        words, dataset, status, tag, sort = st.columns((2.2, 1.5, 1.3, 1.3, 1.6), gap="small")
        text = words.text_input(
            _("Find"), key=WORDS_KEY, bind="query-params", max_chars=80, placeholder=_("words, tags, a run's id"),
            live="300ms",
        )  # fmt: skip
        chosen_dataset = dataset.selectbox(
            _("Dataset"), datasets, None, key=DATASET_KEY, bind="query-params", placeholder=_("all")
        )
        chosen_status = status.selectbox(
            _("Status"), ANY_STATUS, ANY_STATUS.index(state.choice(STATUS_KEY, ANY_STATUS)), key=f"kd-{STATUS_KEY}",
            format_func=lambda name: _("all") if name == "any" else sentences.status_name(name),
            on_change=state.on_choice, args=(STATUS_KEY, f"kd-{STATUS_KEY}", ANY_STATUS),
        )  # fmt: skip
        chosen_tag = tag.selectbox(_("Tag"), tags, None, key=TAG_KEY, bind="query-params", placeholder=_("all"))
        orders = order_names()
        chosen_sort = sort.selectbox(
            _("Order"), SORTS, SORTS.index(state.choice(SORT_KEY, SORTS)), key=f"kd-{SORT_KEY}",
            format_func=lambda name: orders[name], on_change=state.on_choice, args=(SORT_KEY, f"kd-{SORT_KEY}", SORTS),
        )  # fmt: skip
    return Selection(
        dataset=chosen_dataset, status=None if chosen_status == "any" else chosen_status, tag=chosen_tag,
        text=text, sort=chosen_sort,
    )  # fmt: skip


def order_names() -> dict[str, str]:
    """Return the name of each order as shown, by its value in the URL."""
    return {
        "new": _("newest first"),
        "old": _("oldest first"),
        "gain": _("largest gain"),
        "accuracy": _("most accurate"),
        "duration": _("longest"),
    }


def clear_filter() -> None:
    """Clear the filter but keep the chosen order. Call it in a widget callback, before the widgets are drawn."""
    state.set_widget(WORDS_KEY, "")
    state.set_widget(DATASET_KEY, None)
    state.set_widget(TAG_KEY, None)
    state.set_widget(f"kd-{STATUS_KEY}", "any")
    state.set_choice(STATUS_KEY, "any", ANY_STATUS)
