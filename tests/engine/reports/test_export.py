"""Exported runs: the HTML page needs nothing else and holds the result's numbers, for every run and any names."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from kdcore.cli.parser import build_parser
from kdcore.events import EpochEnded, RunFinished, RunStarted
from kdcore.reports import export
from kdcore.reports.charts import accuracy_chart, curves_chart
from kdcore.reports.curves import Curve
from kdcore.settings.describe import run_command
from kdcore.store import RunRow, StoredEvent

CONFIG: dict[str, Any] = {
    "dataset": "digits", "labels": 200, "teacher": "digits", "student": "mlp-16", "method": "kd", "temperature": 2.5,
    "distill_weight": 0.9, "epochs": 2, "seeds": [0, 1], "device": "cpu",
    "recipe": {"batch_size": 50, "learning_rate": 0.0123456789, "weight_decay": 0.1, "label_smoothing": 0.0},
}  # fmt: skip
ATTACK = "</style></title><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'&"
VOID = {"meta", "br", "hr", "img", "link", "input"}
DRAWN = {"circle", "line", "polygon", "polyline", "rect"}


class Page(HTMLParser):
    """A parser that checks the nesting of tags and collects everything that could load or run something."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(row: RunRow, events: list[StoredEvent] | None = None) -> Page:
    text = export.export_text(row, EVENTS if events is None else events, "html", now=0.0)
    page = Page(text)
    assert not {"script", "img", "link", "iframe", "object", "base", "form", "a"} & set(page.tags)
    for name, value in page.attributes:
        assert name not in ("src", "href", "action", "srcset") and not name.startswith("on")
        assert "//" not in value
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and "http" not in style
    assert "nan" not in text.lower().replace("finance", "") and "None" not in page.text
    return page


def estimate(mean: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"mean": mean, "ci95": None if low is None else [low, high], "per_seed": [mean, mean]}


def arm(accuracy: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {
        "accuracy": estimate(accuracy, low, high), "ece": estimate(0.0314, 0.01, 0.05), "nll": estimate(None),
        "agreement": estimate(0.8765), "num_params": 12_345, "macs": 67_890, "size_bytes": 54_321,
        "latency_ms": [{"batch_size": 64, "p50": 4.4444, "p95": 5.5555, "threads": 2, "device": "cpu"}],
        "per_class": [{"accuracy": 0.25, "n": 17, "ci95": [0.1, 0.5]}, {"accuracy": 1.0, "n": 19, "ci95": [0.8, 1.0]}],
        "confusion": [[1, 2], [3, 4]],
    }  # fmt: skip


RESULT: dict[str, Any] = {
    "run_id": "abcdefghjkmnpq", "config": CONFIG, "seconds": 12.0, "device": "a processor", "precision": "fp32",
    "dataset_sha256": "ab" * 32, "test_size": 360, "class_names": ["zero", "one"], "bayes_accuracy": 0.991,
    "verdict": {"claim": "distilled", "sentence": "distilled is better by 8.1 points."},
    "arms": {
        "teacher": arm(0.987, 0.971, 0.996), "baseline": arm(0.642, 0.613, 0.671), "distilled": arm(0.723, 0.694, 0.752)
    },
    "paired_difference": {"mean": 0.081, "ci95": [0.052, 0.11], "per_seed": [0.07, 0.09]},
}  # fmt: skip


def told(*events: Any) -> list[StoredEvent]:
    return [StoredEvent(place, float(place), event) for place, event in enumerate(events)]


def epoch(number: int, loss: float | None = 1.5) -> EpochEnded:
    values = {"train_loss": [loss, 1.0], "validation_accuracy": [0.5, 0.25 * number]}
    return EpochEnded(number, 2, 0.25, {"baseline": dict(values), "distilled": dict(values)})  # type: ignore[arg-type]


EVENTS = told(
    RunStarted(CONFIG, ("teacher", "baseline", "distilled"), 2, "cpu", "fp32", 200, 2), epoch(1), epoch(2),
    RunFinished(RESULT),
)  # fmt: skip
ROW = RunRow(
    number=1, id="abcdefghjkmnpq", visitor="secret-visitor", kind="run", status="finished", config=CONFIG,
    result=RESULT, error=None, created=1_000_000.0, started=1_000_001.0, finished=1_000_020.0, heartbeat=None,
    host="secret-host", worker_pid=1, worker_started=None, attempts=1, setbacks=0, cancel_requested=False,
    tags=("class 7b", "пример"), parent="qpnmkjhgfedcba",
)  # fmt: skip


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


def numbers(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {name}="([-0-9.]+)"', svg)]


def test_charts_put_larger_values_further() -> None:
    svg = accuracy_chart({name: row["accuracy"] for name, row in RESULT["arms"].items()}, 0.991)
    squares, diamonds = re.findall(r'<rect x="([0-9.]+)"', svg), re.findall(r'<polygon points="([0-9.]+),', svg)
    circles = re.findall(r'<circle cx="([0-9.]+)" cy="\d+\.\d" r="7', svg)
    assert float(squares[0]) < float(diamonds[0]) < float(circles[-1])  # 64.2, 72.3, 98.7 %
    assert all(0 <= value <= 720 for key in ("x1", "x2", "cx", "x") for value in numbers(svg, key))
    assert "baseline 64.2 % (61.3 to 67.1 %)" in svg  # in the label for screen readers
    Page(svg)


@pytest.mark.parametrize("values", [(0.5,), (0.0, 0.0), (1.0, 1.0), (0.123, 0.1231), (0.0, 1.0)])
def test_charts_hold_any_values(values: tuple[float, ...]) -> None:
    epochs = tuple(range(1, len(values) + 1))
    svg = curves_chart({"distilled": Curve(epochs, values, None, None), "baseline": Curve((), (), None, None)}, 1000)
    ((points),) = re.findall(r'<polyline points="([^"]+)"', svg)
    assert all(0 <= float(y) <= 320 for y in re.findall(r",([-0-9.]+)", points))
    Page(svg)
    Page(accuracy_chart({"baseline": {"mean": values[0], "ci95": None, "per_seed": list(values)}}))
