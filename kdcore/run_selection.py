"""Which runs are meant, and in which order: pure functions on rows of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdcore.run_comparison import claims

if TYPE_CHECKING:
    from kdcore.rows import RunRow

STATUSES = ("queued", "running", "finished", "failed", "cancelled", "interrupted")
SORTS = ("new", "old", "gain", "accuracy", "duration")


@dataclass(frozen=True)
class Selection:
    """What a run must be to be chosen; None or no words ask for nothing.

    Attributes:
        dataset, teacher, student, status: as the run has them.
        tag: one that the run carries, whatever its capitals.
        text: words that must all be found in the run's settings, tags, status or id, whatever their capitals.
        sort: "new" and "old" by arrival, or largest first by "gain" (distilled minus baseline), "accuracy" (of
            distilled) or "duration"; runs that have no such figure come last, newest first. A sweep has many gains and
            accuracies, and so none.
    """

    dataset: str | None = None
    teacher: str | None = None
    student: str | None = None
    status: str | None = None
    tag: str | None = None
    text: str = ""
    sort: str = "new"

    @property
    def chooses(self) -> bool:
        """Whether it leaves any run out."""
        return any((self.dataset, self.teacher, self.student, self.status, self.tag, self.text.split()))


def select(rows: Iterable[RunRow], selection: Selection) -> list[RunRow]:
    """The rows that are meant, in the order that is asked for."""
    return sort_runs((row for row in rows if matches(row, selection)), selection.sort)


def matches(row: RunRow, selection: Selection) -> bool:
    """Whether a run is what is asked for."""
    fields = ("dataset", "teacher", "student")
    if any(wanted not in (None, row.config.get(name)) for name in fields for wanted in (getattr(selection, name),)):
        return False
    if selection.status not in (None, row.status):
        return False
    if selection.tag is not None and selection.tag.casefold() not in {tag.casefold() for tag in row.tags}:
        return False
    words = selection.text.casefold().split()
    return not words or _holds(row, words)


def sort_runs(rows: Iterable[RunRow], sort: str) -> list[RunRow]:
    """The rows in one of the orders of `SORTS`; another word means the newest first."""
    newest = sorted(rows, key=lambda row: -row.number)
    if sort == "old":
        return newest[::-1]
    figure = {"gain": gain, "accuracy": accuracy, "duration": duration}.get(sort)
    if figure is None:
        return newest
    known = [(value, row) for row in newest if (value := figure(row)) is not None]
    without = [row for row in newest if figure(row) is None]
    return [row for _value, row in sorted(known, key=lambda pair: -pair[0])] + without


def gain(row: RunRow) -> float | None:
    """Accuracy on test of distilled minus baseline, -1 to 1; None without a result, and for a sweep."""
    return None if claims(row.result) else _number(row.result, "paired_difference", "mean")


def accuracy(row: RunRow, arm: str = "distilled") -> float | None:
    """Accuracy on test of one arm, 0 to 1; None without a result, and for a sweep."""
    return None if claims(row.result) else _number(row.result, "arms", arm, "accuracy", "mean")


def duration(row: RunRow) -> float | None:
    """Seconds of work; for a run that ended without a result, from its start to its end."""
    seconds = _number(row.result, "seconds")
    if seconds is None and row.started is not None and row.finished is not None:
        return max(0.0, row.finished - row.started)
    return seconds


def _number(value: Any, *path: str) -> float | None:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _holds(row: RunRow, words: list[str]) -> bool:
    names = ("dataset", "teacher", "student", "method", "device")
    settings = [str(row.config.get(name, "")) for name in names]
    heap = "\n".join((row.id, row.status, *settings, *row.tags)).casefold()
    return all(word in heap for word in words)
