"""The part of the settings form for extra pictures: pictures without labels that the distilled student sees too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from kdcore.methods.method import Method
from pages.ui.engine import cache
from pages.ui.session import state
from pages.ui.session.i18n import _

KEY = "extra_pictures"  # of the widget, and its URL parameter
NONE = "none"  # stands in the URL for a run without extra pictures
_OFFERED = ("animals64", "cifar10")


def extra_form(dataset: str, method: Method) -> str:
    """Draw the choice of extra pictures and return it as in `RunConfig.extra_pictures`.

    They exist only for methods that learn from one teacher's soft labels alone, and for datasets in colour; where there
    is nothing to choose, nothing is drawn.
    """
    choices = _choices(dataset) if method.needs_logits_only else []
    if not choices:
        return ""
    chosen = st.selectbox(
        _("Extra pictures"), [NONE, *choices], key=KEY, bind="query-params",
        help=_("Pictures without labels. The distilled student then learns from soft labels alone, on these too."),
    )  # fmt: skip
    return "" if chosen == NONE else chosen


def _choices(dataset: str) -> list[str]:
    from kdcore.settings.extra_pictures import OWN  # loads torch, which takes seconds

    infos = {info.name: info for info in cache.dataset_infos()}
    if dataset not in infos or infos[dataset].image_shape[0] != 3:
        return []
    own = [OWN] if infos[dataset].extra_size else []
    return [*own, *(name for name in offered_datasets() if name != dataset)]


def offered_datasets() -> list[str]:
    """Return the datasets on this machine whose pictures are offered as extra ones; all are in colour."""
    ready = {status.name for status in cache.dataset_statuses() if status.ready}
    return [name for name in _OFFERED if name in ready]


def preset_extra(config: Mapping[str, Any]) -> None:
    """Set the widget to a run's configuration. Call it in a widget callback, before it is drawn."""
    state.set_widget(KEY, config.get("extra_pictures") or NONE)


def extra_query(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's extra pictures as query parameters of the Distil page; empty if it has none."""
    return {KEY: str(config["extra_pictures"])} if config.get("extra_pictures") else {}
