"""Filtering and sorting of runs: pure functions on rows of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdcore.reports.comparison import claim_counts

if TYPE_CHECKING:
    from kdcore.store.rows import RunRow

STATUSES = ("queued", "running", "finished", "failed", "cancelled", "interrupted")
SORTS = ("new", "old", "gain", "accuracy", "duration")


@dataclass(frozen=True)
class Selection:
    """The conditions that a chosen run meets, and the order of the chosen runs. None or empty text means no condition.

    Attributes:
        dataset, teacher, student, status: must equal the run's own.
        tag: must be one of the run's tags; upper and lower case are the same.
        text: words that must all occur in the run's settings, tags, status or id; upper and lower case are the same.
        sort: "new" and "old" order by arrival. "gain" (distilled minus baseline), "accuracy" (of the distilled arm) and
            "duration" put the largest first and runs without that figure last, newest first. A sweep counts as having
            no gain and no accuracy, because it has one for each of its points.
    """

    dataset: str | None = None
    teacher: str | None = None
    student: str | None = None
    status: str | None = None
    tag: str | None = None
    text: str = ""
    sort: str = "new"

    @property
    def has_conditions(self) -> bool:
        """Whether there is any condition, so that some runs may be left out."""
        return any((self.dataset, self.teacher, self.student, self.status, self.tag, self.text.split()))


def select(rows: Iterable[RunRow], selection: Selection) -> list[RunRow]:
    """Return the runs that meet the conditions of `selection`, in its order."""
    return sort_runs((row for row in rows if matches(row, selection)), selection.sort)


def matches(row: RunRow, selection: Selection) -> bool:
    """Return whether a run meets all conditions of `selection`."""
    for name in ("dataset", "teacher", "student"):
        if getattr(selection, name) not in (None, row.config.get(name)):
            return False
    if selection.status not in (None, row.status):
        return False
    if selection.tag is not None and selection.tag.casefold() not in {tag.casefold() for tag in row.tags}:
        return False
    words = selection.text.casefold().split()
    return not words or _contains_words(row, words)


def sort_runs(rows: Iterable[RunRow], sort: str) -> list[RunRow]:
    """Return the runs in one of the orders of `SORTS`; any other value of `sort` means the newest first."""
    newest = sorted(rows, key=lambda row: -row.number)
    if sort == "old":
        return newest[::-1]
    figure = {"gain": gain, "accuracy": accuracy, "duration": run_seconds}.get(sort)
    if figure is None:
        return newest
    known = [(value, row) for row in newest if (value := figure(row)) is not None]
    without = [row for row in newest if figure(row) is None]
    return [row for _value, row in sorted(known, key=lambda pair: -pair[0])] + without


def gain(row: RunRow) -> float | None:
    """Return test accuracy of distilled minus baseline, -1 to 1; None for a run without a result and for a sweep."""
    return None if claim_counts(row.result) else _number(row.result, "paired_difference", "mean")


def accuracy(row: RunRow, arm: str = "distilled") -> float | None:
    """Return the test accuracy of one arm, 0 to 1; None for a run without a result and for a sweep."""
    return None if claim_counts(row.result) else _number(row.result, "arms", arm, "accuracy", "mean")


def run_seconds(row: RunRow) -> float | None:
    """Return how long a run took, in seconds: the time that its result states, else from its start to its end.

    None for a run without a result that never started or has not ended.
    """
    seconds = _number(row.result, "seconds")
    if seconds is None and row.started is not None and row.finished is not None:
        return max(0.0, row.finished - row.started)
    return seconds


def _number(value: Any, *path: str) -> float | None:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _contains_words(row: RunRow, words: list[str]) -> bool:
    names = ("dataset", "teacher", "student", "method", "device")
    settings = [str(row.config.get(name, "")) for name in names]
    searched_text = "\n".join((row.id, row.status, *settings, *row.tags)).casefold()
    return all(word in searched_text for word in words)
