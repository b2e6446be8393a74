"""What a report says of a method."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcore.cli import text
from kdcore.methods.registry import METHODS
from kdcore.reports.words import measurement_paragraphs, taught_by
from kdcore.settings.config import make_run_config
from tests.engine.reports.finished_run import RESULT, ROW, arm, estimate, page_of


@pytest.mark.parametrize("name", list(METHODS))
def test_what_is_said_of_a_method_is_so(name: str) -> None:
    teacher = "digits+mnist" if name == "multi-teacher" else "digits"
    config = make_run_config("digits", student="convnet-4", method=name, teacher=teacher, seeds=2).to_json()
    page = page_of(replace(ROW, config=config))
    paragraphs = " ".join(measurement_paragraphs(replace(ROW, config=config)))
    assert (METHODS[name].sentence in paragraphs) == (name != "kd")
    assert ("at temperature" in paragraphs) == (name != "label-smoothing")
    # Who teaches, and with whom agreement is measured, in the report and in the terminal.
    taught = {
        "label-smoothing": "without a teacher",
        "mutual": "and its peer",
        "born-again": "taught by itself, trained before",
        "teacher-assistant": "taught by digits through an assistant",
    }.get(name, f"taught by {teacher}")
    printed = text.result({**RESULT, "config": config})
    assert page.words[0].endswith(f"convnet-4 {taught}") and f"convnet-4 {taught}, {name}," in printed
    alone = name in ("label-smoothing", "mutual", "born-again")
    assert ("Agreement with digits, which taught none of them" in page.text) == alone
    assert ("Agreement with the teacher" in page.text) == (not alone)
    assert ("agreement is with digits, which taught none of them" in printed) == alone
    assert ("hold for this one teacher" in paragraphs) == (not alone)
    assert alone == ("teacher" not in METHODS[name].settings)
    assert ("distill weight" in page.text.lower()) == (name != "label-smoothing")


def test_several_assistants_are_several() -> None:
    parameters = {"assistants": "convnet-8, convnet-6"}
    config = make_run_config("creatures", method="teacher-assistant", parameters=parameters).to_json()
    assert taught_by(config) == "taught by creatures through assistants"


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (360, "ECE is measured at T = 1, 15 bins of equal mass"),
        (100, "ECE is measured at T = 1, 5 bins of equal mass"),
        (30, "ECE is measured at T = 1, all pictures in one bin"),
        (15, "ECE is not measured on fewer than 20 test pictures"),
    ],
)
def test_a_report_says_how_calibration_was_measured(pictures: int, words: str) -> None:
    row = replace(ROW, result={**RESULT, "test_size": pictures})
    assert words in " ".join(measurement_paragraphs(row))


def test_a_report_of_few_pictures_claims_nothing() -> None:
    """Students measured on two test pictures: neither the page nor the terminal has an interval of them."""
    few = {**arm(1.0, None, None), "ece": {"mean": None, "ci95": None, "per_seed": [None, None]}}
    result = {
        **RESULT, "test_size": 2, "arms": {"teacher": arm(1.0, 0.3, 1.0), "baseline": few, "distilled": few},
        "paired_difference": estimate(1.0), "verdict": {"claim": "none", "sentence": "No difference can be claimed."},
    }  # fmt: skip
    page = page_of(replace(ROW, result=result))
    assert "Fewer than 10 test pictures give no interval for a student" in page.text
    assert "Student's t over" not in page.text and "points, 95 % interval" not in page.text
    assert "100.0 to 100.0" not in page.text + text.result(result)
    assert "[100.0, 100.0]" not in text.result(result)


def test_a_calibration_error_below_nothing_is_shown_as_nothing() -> None:
    arms = {name: {**row, "ece": estimate(-0.003, -0.02, 0.01)} for name, row in RESULT["arms"].items()}
    page, printed = page_of(replace(ROW, result={**RESULT, "arms": arms})), text.result({**RESULT, "arms": arms})
    assert page.text.count("0.0 to 1.0 %") == 3 and "-0.3" not in page.text
    assert printed.count("0.0 % [0.0, 1.0]") == 3 and "-0.3" not in printed


def test_a_report_says_what_extra_pictures_changed() -> None:
    config = {**ROW.config, "extra_pictures": "animals64"}
    row = replace(ROW, config=config, result={**RESULT, "extra_pictures": 250})
    words = " ".join(measurement_paragraphs(row))
    assert "on 250 extra pictures without labels (animals64)" in words
    assert "both took as many steps" in words
    assert "extra pictures" not in " ".join(measurement_paragraphs(ROW))
    assert "extra pictures animals64" in text.result({**RESULT, "config": config})
