"""What the commands do; each function answers one, with what its options hold."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdcore.cli import text
from kdcore.errors import ConfigError, DatasetUnavailable, KdError, PictureError
from kdcore.events import EpochEnded, RunFailed, RunFinished
from kdcore.store import RunRow, Store, finite

VISITOR = "local"  # the person at the machine
STOP_SECONDS = 20.0  # how long a stopped run is waited for


@dataclass(frozen=True)
class Answer:
    """What a command found: `data` for programs, `text` for people."""

    data: dict[str, Any]
    text: str

    def to_json(self) -> str:
        return json.dumps(finite(self.data), allow_nan=False)


class RunNotFinished(KdError):
    """The run ended without a result."""


def datasets(options: Namespace) -> Answer:
    from kdcore.datasets import DATASETS, dataset_status

    rows = []
    for name, info in DATASETS.items():
        status = asdict(dataset_status(name))
        facts = ("title", "source", "embedded", "num_classes", "train_size", "description")
        rows.append(status | {fact: getattr(info, fact) for fact in facts})
    cells = [
        [r["name"], "ready" if r["ready"] else "not here", r["num_classes"], r["train_size"], r["source"]] for r in rows
    ]
    table = text.table(("dataset", "state", "classes", "training pictures", "source"), cells)
    return Answer({"datasets": rows}, "\n".join([table, *(r["needs"] for r in rows if r["needs"])]))


def datasets_get(options: Namespace) -> Answer:
    from kdcore.datasets import dataset_status

    status = dataset_status(options.name)
    if not status.ready:
        raise DatasetUnavailable(status.needs)
    return Answer(asdict(status), f"{status.name} is ready ({status.where}).")


def teachers(options: Namespace) -> Answer:
    from kdcore.teachers import list_teachers

    cards = [card.to_json() for card in list_teachers()]
    return Answer({"teachers": cards}, text.cards(cards))


def teachers_train(options: Namespace) -> Answer:
    from kdcore.teacher_build import build
    from kdcore.teachers import ModelCard

    cards = []
    with _progress() as progress:
        for step in build(options.name, Path(options.out) if options.out else None, options.device):
            if isinstance(step, ModelCard):
                cards.append(step.to_json())
            else:
                progress(f"{options.name}: epoch {step.epoch} of {step.epochs}")
    return Answer({"cards": cards}, text.cards(cards))


def run(options: Namespace) -> Answer:
    from kdcore import jobs
    from kdcore.config import make_run_config

    names = ("teacher", "student", "method", "temperature", "distill_weight", "labels", "epochs", "seeds", "device")
    recipe = ("batch_size", "learning_rate", "weight_decay", "label_smoothing")
    config = make_run_config(options.dataset, **{name: getattr(options, name) for name in names + recipe})
    with Store() as store, _progress() as progress:
        run_id = jobs.submit(store, config, VISITOR)
        started = time.monotonic()

        def on_wait(row: RunRow) -> None:
            if row.status == "queued" and (place := jobs.position(store, run_id)):
                progress(f"run {run_id} waits, place {place} in the queue")
            elif row.started is not None and not told:
                progress(f"run {run_id} starts ({time.monotonic() - started:.0f} s)")

        told = False
        try:
            for event in jobs.follow(store, run_id, on_wait=on_wait):
                if isinstance(event, EpochEnded):
                    told = True
                    progress(text.epoch(event))
                elif isinstance(event, RunFailed):
                    raise RunNotFinished(event.error)
                elif isinstance(event, RunFinished):
                    return Answer(event.result, text.result(event.result))
        except KeyboardInterrupt:
            _stop(store, run_id)
            raise RunNotFinished(f"Run {run_id} was stopped.") from None
    raise RunNotFinished(f"Run {run_id} ended without a word; kdcore runs show {run_id} tells its state.")


def predict(options: Namespace) -> Answer:
    import torch

    from kdcore.pictures import MAX_BYTES, open_picture
    from kdcore.soft_labels import predict, soften
    from kdcore.teachers import load_teacher

    soften(torch.zeros(1), options.temperature)  # a temperature that is not legal is said before anything is loaded
    try:
        with contextlib.ExitStack() as stack:
            file = sys.stdin.buffer if options.image == "-" else stack.enter_context(Path(options.image).open("rb"))
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        why = getattr(error, "strerror", None) or "not a file name"
        raise PictureError(f"The picture cannot be read ({why}); give the path of a picture file.") from error
    picture = open_picture(data, "" if options.image == "-" else options.image)
    answer = predict(load_teacher(options.teacher), picture, options.temperature)
    return Answer(answer, text.prediction(answer))


def runs(options: Namespace) -> Answer:
    with Store() as store:
        rows = [_summary(row) for row in store.list_runs()]
    return Answer({"runs": rows}, text.runs(rows))


def runs_show(options: Namespace) -> Answer:
    with Store() as store:
        row = store.run(options.id)
    data = {**_summary(row), "result": row.result}
    return Answer(data, text.result(row.result) if row.result else text.runs([data], with_error=True))


def runs_export(options: Namespace) -> Answer:
    with Store() as store:
        row = store.run(options.id)
        events = store.events(row.id)
    told = [{"time": stored.time, **stored.event.to_json()} for stored in events if stored.event.type != "RunFinished"]
    data = {**_summary(row), "result": row.result, "events": told}
    written = Answer(data, "").to_json()
    if options.format == "csv":
        written = text.curves_csv(
            [stored.event for stored in events if isinstance(stored.event, EpochEnded)], row.config
        )
    if options.out:
        try:
            Path(options.out).write_text(written + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{options.out} cannot be written ({error.strerror}); choose another file.") from error
        return Answer({"run_id": row.id, "format": options.format, "out": options.out}, f"Written to {options.out}.")
    return Answer(data, written)


def tune(options: Namespace) -> Answer:
    from kdcore.tuning import tune

    settings = {name: getattr(options, name) for name in ("student", "labels", "seeds", "device")}
    rows = []
    with _progress() as progress:
        for row in tune(options.dataset, **{name: value for name, value in settings.items() if value is not None}):
            rows.append(asdict(row))
            progress(f"{options.dataset}: {len(rows)} recipes tried")
    best = max(rows, key=lambda row: float(row["validation_accuracy"]))
    return Answer({"dataset": options.dataset, "rows": rows, "best": best}, text.tuning(rows, best))


def _summary(row: RunRow) -> dict[str, Any]:
    """A run without its result; who started it is nobody's business."""
    verdict = (row.result or {}).get("verdict")
    facts = ("status", "created", "started", "finished", "error", "attempts", "config")
    return {"run_id": row.id, **{fact: getattr(row, fact) for fact in facts}, "verdict": verdict}


def _stop(store: Store, run_id: str) -> None:
    """Cancel a run and wait for its worker, but not for ever, and not against a second Ctrl-C."""
    from kdcore import jobs

    with contextlib.suppress(KeyboardInterrupt):
        jobs.cancel(store, run_id)
        end = time.monotonic() + STOP_SECONDS
        while not store.run(run_id).done and time.monotonic() < end:
            jobs.advance(store)
            time.sleep(0.1)


class _Line:
    """One line on standard error that is written over; nothing at all where nobody watches."""

    def __init__(self) -> None:
        self.shown = ""
        self.watched = sys.stderr.isatty()

    def __call__(self, line: str) -> None:
        if self.watched and line != self.shown:
            sys.stderr.write(f"\r{line.ljust(len(self.shown))}")
            sys.stderr.flush()
            self.shown = line


@contextlib.contextmanager
def _progress() -> Iterator[_Line]:
    line = _Line()
    try:
        yield line
    finally:
        line("")
        if line.watched:
            sys.stderr.write("\r")
            sys.stderr.flush()
