"""A finished run with its events, and its page as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from kdcore.events import EpochEnded, RunFinished, RunStarted
from kdcore.reports import export
from kdcore.settings.config import make_run_config
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

CONTROLLED = make_run_config(
    "digits", method="dkd", parameters={"non_target_weight": 4}, controls=("noise", "shuffled"), seeds=2
).to_json()
SWEEP = make_run_config("digits", vary={"temperature": (1.0, 4.0), "labels": (50, 200)}, seeds=2).to_json()
