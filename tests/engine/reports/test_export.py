"""Exported runs: the HTML page needs nothing else and holds the result's numbers, for every run and any names."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from kdcore.cli.parser import build_parser
from kdcore.events import EpochEnded
from kdcore.reports import export
from kdcore.settings.describe import run_command
from tests.engine.reports.finished_run import (
    ATTACK,
    CONFIG,
    EVENTS,
    RESULT,
    ROW,
    Page,
    arm,
    epoch,
    estimate,
    page_of,
    told,
)


def test_the_page_stands_alone_and_holds_the_numbers() -> None:
    page = page_of(ROW)
    for words in (
        "98.7 %", "97.1 to 99.6 %", "64.2 %", "61.3 to 67.1 %", "72.3 %", "69.4 to 75.2 %", "3.1 %", "87.6 %",
        "12,345", "67,890", "54,321", "4.44 ms", "p95 5.56 ms", "360 test pictures", "ceiling 99.1 %",
        "Distilled is better by 8.1 points.", "+8.1 points, 95 % interval +5.2 to +11.0",
        "zero", "25.0 %", "10.0 to 50.0 %", "class 7b", "пример", "qpnmkjhgfedcba", "ab" * 32, "0.0123456789",
        "Student's t over 2 seeds (1 degree of freedom)", "The test pictures were read once", "12 s",
    ):  # fmt: skip
        assert words in page.text, words
    assert page.tags.count("svg") >= 2 and "secret" not in page.text
    policy = next(value for _name, value in page.attributes if value.startswith("default-src"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_what_people_wrote_is_text() -> None:
    config = {**CONFIG, "dataset": ATTACK, "teacher": ATTACK, "student": ATTACK, "method": ATTACK}
    result = {
        **RESULT,
        "class_names": [ATTACK, "one"],
        "device": ATTACK,
        "verdict": {"claim": ATTACK, "sentence": ATTACK},
    }
    result["arms"] = {**RESULT["arms"], ATTACK: arm(0.5, 0.4, 0.6)}
    events = told(EpochEnded(1, 2, 0.1, {ATTACK: {"validation_accuracy": [0.5, 0.6]}}))
    row = replace(ROW, config=config, result=result, tags=(ATTACK,), error=ATTACK, parent=ATTACK)
    text = export.export_text(row, events, "html", now=0.0)
    page = Page(text)
    assert "<script" not in text and "<img" not in text and "alert(1)" in page.text
    assert page.tags.count("style") == page.tags.count("title") == 1
    assert re.fullmatch(r"run-[A-Za-z0-9-]+\.html", export.file_name(row, "html"))


@pytest.mark.parametrize(
    "change",
    [
        {"result": None, "status": "failed", "error": "The disk is full."},
        {"result": None, "status": "queued"},
        {"result": {**RESULT, "bayes_accuracy": None, "class_names": []}},
        {"result": {**RESULT, "arms": {**RESULT["arms"], "baseline": {"accuracy": estimate(None), "num_params": 1}}}},
        {"result": {**RESULT, "paired_difference": estimate(None)}},
        {"config": {**CONFIG, "seeds": [0], "dataset": "gone", "teacher": "gone"}, "tags": (), "parent": None},
        {"config": {key: value for key, value in CONFIG.items() if key not in ("recipe", "device")}},
    ],
)
def test_a_run_that_lacks_something_has_its_page_too(change: dict[str, Any]) -> None:
    row = replace(ROW, **change)
    for events in (EVENTS, [], told(epoch(1, loss=None)), told(EpochEnded(1, 2, 0.1, {"baseline": {}}))):
        page = page_of(row, events)
        assert (row.error or "To repeat it") in page.text
    if len(row.config["seeds"]) == 1:
        assert "One seed gives no interval" in page.text


def test_the_command_repeats_the_run() -> None:
    config = {**CONFIG, "dataset": "my pictures", "temperature": 0.1 + 0.2}
    assert "--dataset 'my pictures'" in run_command(config)
    options = build_parser().parse_args(run_command(CONFIG).split()[1:])
    for name in ("dataset", "teacher", "student", "method", "temperature", "distill_weight", "labels", "epochs"):
        assert getattr(options, name) == CONFIG[name]
    for name, value in CONFIG["recipe"].items():
        assert getattr(options, name) == value
    assert options.seeds == 2 and "0.30000000000000004" in run_command(config)
    page = page_of(replace(ROW, config={**CONFIG, "seeds": [5, 9]}))
    assert "The seeds of this run were 5, 9" in page.text


def test_json_holds_everything_and_nobody() -> None:
    data = json.loads(export.export_text(ROW, EVENTS, "json"))
    assert data["result"] == RESULT and data["tags"] == ["class 7b", "пример"] and data["parent"] == ROW.parent
    assert [event["type"] for event in data["events"]] == ["RunStarted", "EpochEnded", "EpochEnded"]
    assert "secret" not in json.dumps(data)


def test_csv_has_a_line_an_epoch_arm_and_seed() -> None:
    lines = list(csv.DictReader(io.StringIO(export.export_text(ROW, told(epoch(1, None), epoch(2)), "csv"))))
    assert len(lines) == 2 * 2 * 2
    assert [line["train_loss"] for line in lines[:2]] == ["", "1.0"]
    assert [line["validation_accuracy"] for line in lines[4:6]] == ["0.5", "0.5"]
