"""The times of networks that were measured on this machine, kept for all visitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

Latencies = dict[str, list[Mapping[str, Any]]]  # arm -> one measurement per batch size


def measured_latencies(trio_key: str) -> Latencies | None:
    """Return what was measured of three networks since the app started; None if nothing was.

    These are times of this machine and not of a visitor, so whoever comes first measures for all.
    """
    return dict(_latencies(trio_key)) or None  # a copy, because another visitor's script may add to it


def keep_latencies(trio_key: str, found: Latencies) -> None:
    """Add measurements at further batch sizes; call it inside `jobs.reserve_machine`, so that one session writes."""
    before = _latencies(trio_key)
    before.update({arm: [*before.get(arm, []), *many] for arm, many in found.items()})


def forget_latencies(trio_key: str) -> None:
    """Forget what was measured of three networks, so that it is measured again."""
    _latencies.clear(trio_key)


@st.cache_resource(show_spinner=False, max_entries=24)
def _latencies(trio_key: str) -> Latencies:
    return {}
