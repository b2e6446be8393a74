"""How long a run still trains, judged by its latest epochs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

RECENT_EPOCHS = 8  # only the latest epochs count, because other work on the machine comes and goes


def seconds_left(epoch_seconds: Sequence[float], epochs_left: int) -> float | None:
    """Return the seconds that the remaining epochs will take, if they take as long as recent ones.

    Args:
        epoch_seconds: what each of the latest `RECENT_EPOCHS` epochs took; 0 for an epoch that was restored from a
            checkpoint and not trained.
        epochs_left: the number of epochs still to come.

    Returns:
        None if none of these epochs was trained.
    """
    timed = [seconds for seconds in epoch_seconds if seconds > 0]
    return fmean(timed) * epochs_left if timed else None
