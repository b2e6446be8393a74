"""Sentences about the queue: a run's place in it, and when the run starts. Pure, no streamlit."""

from __future__ import annotations

import math

from pages.ui.session.i18n import _, ngettext

FEW_SECONDS = 10.0  # seconds; a shorter wait is given as "a few seconds"


def waiting_sentence(place: int, seconds: float | None) -> str:
    """Say where a run is in the queue and when it starts.

    Args:
        place: its place; 1 is the run that starts next.
        seconds: expected wait; None when it cannot be estimated.
    """
    if seconds is None:
        return _("Waiting: place {n} in the queue. It starts by itself.").format(n=place)
    return _("Waiting: place {n} in the queue, starts {when}.").format(n=place, when=_when(seconds))


def _when(seconds: float) -> str:
    """Return a wait in words, rounded up; the longer the wait, the coarser."""
    if seconds < FEW_SECONDS:
        return _("in a few seconds")
    if seconds <= 50:
        return _("in about {n} seconds").format(n=math.ceil(seconds / 10) * 10)
    minutes = math.ceil(seconds / 60)
    if minutes < 90:
        return ngettext("in about {n} minute", "in about {n} minutes", minutes).format(n=minutes)
    hours = math.ceil(seconds / 3600)
    return ngettext("in about {n} hour", "in about {n} hours", hours).format(n=hours)


def other_visitors_run_sentence() -> str:
    """Say what a visitor may do with a run of another visitor."""
    return _("Another visitor started this run. You can watch it and use its settings, but not stop or resume it.")
