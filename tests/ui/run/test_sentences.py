"""What an empty chart says about a run that has no curves yet."""

from __future__ import annotations

import pytest

from kdcore.events import EpochEnded, Event, RunFailed, RunStarted, TeacherCached, TeacherEpochEnded
from pages.ui.run.sentences import empty_chart_note
from pages.ui.run.view import run_view

STARTED = RunStarted({}, ("teacher", "baseline", "distilled"), 4, "cpu", "fp32", 100, 3)
CACHED = TeacherCached("creatures", 2, 0.1, False)
UNCHECKED = EpochEnded(1, 4, 0.1, {"baseline": {"train_loss": [1.0]}})
CHECKED = EpochEnded(1, 4, 0.1, {"baseline": {"train_loss": [1.0], "validation_accuracy": [0.5]}})


@pytest.mark.parametrize(
    ("status", "events", "words"),
    [
        ("queued", [], "waits for its turn"),
        ("running", [], "A process starts"),
        ("running", [TeacherEpochEnded("creatures", 1, 4, 0.5, 1.0)], "teacher is trained"),
        ("running", [STARTED], "teacher looks at the pictures"),
        ("running", [STARTED, TeacherEpochEnded("assistant", 1, 4, 0.5, 1.0)], "own teacher is trained first"),
        ("running", [STARTED, CACHED], "students train"),
        ("running", [STARTED, CACHED, UNCHECKED], "students train"),
    ],
)
def test_it_says_what_is_being_done(status: str, events: list[Event], words: str) -> None:
    assert words in empty_chart_note(status, run_view(events))


@pytest.mark.parametrize(
    ("status", "events"),
    [("running", [STARTED, CACHED, CHECKED]), ("cancelled", [STARTED, CACHED, RunFailed("Stopped.", "cancelled")])],
)
def test_it_says_nothing_beside_curves_and_of_a_run_that_is_over(status: str, events: list[Event]) -> None:
    assert empty_chart_note(status, run_view(events)) == ""
