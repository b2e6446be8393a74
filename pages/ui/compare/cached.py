"""What networks took and answered on this machine, kept for all visitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st
from PIL import Image

from pages.ui.compare import trio

if TYPE_CHECKING:
    from kdcore.teachers.teacher import Teacher

TIMED_PASSES = 5  # timed passes of one picture, a rough figure; the table of the page measures carefully
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


def timed_answer(network: Teacher, arm: str, picture: Image.Image, kinds: tuple[str, ...] = ()) -> trio.Answer:
    """Return a network's answer to a picture and the time that it took; asked once for each network and picture.

    Args:
        kinds: as in `trio.answer_of`.
    """
    asked = repr((network.card, network.logits_key()))
    return _timed_answer(network, picture, arm, kinds, asked, picture.mode, picture.size, picture.tobytes())


@st.cache_resource(show_spinner=False, max_entries=96)
def _timed_answer(
    _network: Teacher,
    _picture: Image.Image,
    arm: str,
    kinds: tuple[str, ...],
    asked: str,
    mode: str,
    size: tuple[int, int],
    pixels: bytes,
) -> trio.Answer:
    # Arguments that begin with "_" are no part of the key: what was asked, by its card and key, and the pixels are.
    from kdcore.teachers.predict import predict

    predict(_network, _picture)  # a warm-up: the first pass is slower, because it also sets up the network
    return trio.answer_of(arm, [predict(_network, _picture) for _pass in range(TIMED_PASSES)], kinds)
