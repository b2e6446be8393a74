"""Cached calls to kdcore for the Datasets page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.ui.datasets import views
from pages.ui.engine.cache import dataset_statuses


def dataset_view(name: str) -> views.DatasetView:
    """Return the counts and a few pictures of each class of a dataset, without keeping the dataset in memory.

    Raises:
        DatasetUnavailable: the dataset is not on this machine, or damaged.
    """
    place = next((status.where for status in dataset_statuses() if status.name == name), "")
    return _dataset_view(name, place, Path(place).stat().st_mtime if place and Path(place).exists() else 0.0)


@st.cache_resource(show_spinner=False, max_entries=8)
def _dataset_view(name: str, place: str, changed: float) -> views.DatasetView:
    # `place` and `changed` only distinguish cache entries: the files of a dataset may be replaced or moved.
    from kdcore.datasets import load_dataset  # loads torch, which takes seconds

    return views.dataset_view(load_dataset(name))
