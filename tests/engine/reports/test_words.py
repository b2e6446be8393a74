"""What a report says of a method."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcore.cli import text
from kdcore.methods.registry import METHODS
from kdcore.reports.words import measurement_paragraphs, taught_by
from kdcore.settings.config import make_run_config
from tests.engine.reports.finished_run import RESULT, ROW, page_of


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
