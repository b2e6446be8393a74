"""`kdcore run`, its repetition and its tuning: one JSON object with the engine's own numbers."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kdcore import jobs
from kdcore.cli import training
from kdcore.cli.answer import Answer
from kdcore.cli.main import main
from kdcore.events import EpochEnded, RunFinished
from kdcore.settings.config import make_run_config
from kdcore.store import Store
from kdcore.training.trainer import train
from tests.engine.cli.commands import ROOT, RUN, SHORT, Said, add_run, kdcore


@pytest.fixture(scope="module")
def finished(home: Path) -> dict[str, Any]:
    """What `kdcore run --json` printed, started as a process of its own."""
    done = kdcore(*RUN, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# --- bad usage and bad input ---


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("--dataset nosuch", '"nosuch"'),
        ("--dataset digits --teacher nosuch", '"nosuch"'),
        ("--dataset digits --student nosuch", "nosuch"),
        ("--dataset digits --method nosuch", '"nosuch"'),
        ("--dataset digits --device nosuch", '"nosuch"'),
        ("--dataset digits --temperature 0", "temperature"),
        ("--dataset digits --temperature -4", "temperature"),
        ("--dataset digits --temperature nan", "temperature"),
        ("--dataset digits --temperature inf", "temperature"),
        ("--dataset digits --temperature=-inf", "temperature"),
        ("--dataset digits --temperature hot", "temperature"),
        ("--dataset digits --labels -1", "labels"),
        ("--dataset digits --labels 0", "labels"),
        ("--dataset digits --labels 1000000", "1077"),
        ("--dataset digits --labels 1.5", "labels"),
        ("--dataset digits --distill-weight 2", "distill weight"),
        ("--dataset digits --distill-weight -0.1", "distill weight"),
        ("--dataset digits --distill-weight nan", "distill weight"),
        ("--dataset digits --seeds 0", "seeds"),
        ("--dataset digits --seeds -3", "seeds"),
        ("--dataset digits --epochs 0", "epochs"),
        ("--dataset digits --batch-size 0", "batch size"),
        ("--dataset digits --learning-rate nan", "learning rate"),
        ("--dataset creatures --teacher digits", "cannot teach"),
        ("--dataset digits --nosuch 3", "--nosuch"),
        ("--dataset digits --temp 3", "--temp"),
        ("--dataset", "--dataset"),
        ("", "--dataset"),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_it_is_queued(said: Said, home: Path, arguments: str, word: str) -> None:
    assert word in said.refusal("run", *arguments.split())
    with Store() as store:
        assert all(row.config["labels"] == SHORT["labels"] for row in store.list_runs())


def test_a_run_that_fails_is_one_line_and_status_1(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    (tmp_path / "runs").write_text("a file where the runs' folder should be")
    assert main(RUN) == 1
    out, err = said.capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "could not be started" in err


# --- answers ---


def test_run_prints_one_object_with_all_that_was_promised(finished: dict[str, Any]) -> None:
    keys = {"run_id", "config", "seconds", "device", "verdict", "arms", "paired_difference"}
    assert keys <= set(finished)
    assert finished["verdict"]["claim"] in ("distilled", "baseline", "none") and finished["verdict"]["sentence"]
    assert {"teacher", "baseline", "distilled"} <= set(finished["arms"])
    for row in finished["arms"].values():
        assert {"accuracy", "ece", "agreement", "latency_ms", "num_params", "macs", "size_bytes"} <= set(row)
        assert {1, 64} == {time["batch_size"] for time in row["latency_ms"]}
        assert {"batch_size", "p50", "p95", "threads", "device"} <= set(row["latency_ms"][0])
    assert len(finished["paired_difference"]["per_seed"]) == 2


def test_the_command_line_and_the_engine_give_the_same_numbers(finished: dict[str, Any]) -> None:
    events = list(train(make_run_config("digits", **SHORT)))
    last = events[-1]
    assert isinstance(last, RunFinished)
    for arm in ("baseline", "distilled", "teacher"):
        assert last.result["arms"][arm]["accuracy"] == finished["arms"][arm]["accuracy"]
    assert last.result["paired_difference"] == finished["paired_difference"]
    assert last.result["config"] == finished["config"]


def test_runs_are_shown_and_exported(said: Said, finished: dict[str, Any], tmp_path: Path) -> None:
    run_id = finished["run_id"]
    rows = said.data("runs")["runs"]
    assert rows[0]["run_id"] == run_id and rows[0]["status"] == "finished"
    assert "visitor" not in rows[0]
    assert run_id in said.text("runs")
    shown = said.data("runs", "show", run_id)
    assert shown["result"] == finished and shown["config"] == finished["config"]
    assert said.data("runs", "--json", "show", run_id) == shown
    assert finished["verdict"]["sentence"] in said.text("runs", "show", run_id)
    exported = said.data("runs", "export", run_id)
    curves = {event["epoch"]: event["curves"] for event in exported["events"] if event["type"] == "EpochEnded"}
    assert sorted(curves) == [1, 2] and exported["result"] == finished
    table = list(csv.DictReader(io.StringIO(said.text("runs", "export", run_id, "--format", "csv"))))
    assert len(table) == 2 * 2 * 2  # epochs, arms, seeds
    for line in table:
        arm = curves[int(line["epoch"])][line["arm"]]
        assert float(line["train_loss"]) == arm["train_loss"][int(line["seed"])]
    out = tmp_path / "run.json"
    assert said.data("runs", "export", run_id, "--out", str(out))["out"] == str(out)
    assert json.loads(out.read_text()) == exported
    assert "cannot be written" in said.refusal("runs", "export", run_id, "--out", str(tmp_path / "no" / "run.json"))


def test_a_run_is_repeated_with_a_change(said: Said, finished: dict[str, Any]) -> None:
    run_id = finished["run_id"]
    assert "Say what to change" in said.refusal("runs", "rerun", run_id)
    assert "temperature" in said.refusal("runs", "rerun", run_id, "--temperature", "0")
    again = said.data("runs", "rerun", run_id, "--temperature", "8", "--learning-rate", "0.02")
    before = finished["config"]
    assert again["config"] == {**before, "temperature": 8.0, "recipe": {**before["recipe"], "learning_rate": 0.02}}
    assert said.data("runs", "show", again["run_id"])["parent"] == run_id
    assert f"repeats run {run_id} with a change" in said.text("runs", "show", again["run_id"])
    assert "is finished" in said.refusal("runs", "resume", run_id, status=1)


def test_another_dataset_brings_its_own_settings(fresh: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(training, "follow", lambda store, run_id: asked.append(store.run(run_id)) or Answer({}, ""))
    run_id = add_run(temperature=2.0, student="mlp-64", seeds=[0, 1, 2])
    fresh.data("runs", "rerun", run_id, "--dataset", "creatures", "--labels", "50")
    config, usual = asked[0].config, make_run_config("creatures").to_json()
    assert asked[0].parent == run_id
    assert (config["temperature"], config["seeds"], config["labels"]) == (2.0, [0, 1, 2], 50)
    for name in ("teacher", "student", "epochs", "recipe"):
        assert config[name] == usual[name]
    gone = add_run(teacher="gone")
    assert '"gone"' in fresh.refusal("runs", "rerun", gone, "--temperature", "8")
    old = add_run(dataset="gone")
    assert '"gone"' in fresh.refusal("runs", "rerun", old, "--temperature", "8")


def test_a_stopped_run_is_resumed(fresh: Said) -> None:
    run_id = add_run("cancelled")
    result = fresh.data("runs", "resume", run_id)
    assert result["run_id"] == run_id and result["arms"]
    assert fresh.data("runs", "show", run_id)["status"] == "finished"


def test_the_events_in_the_store_are_the_engines(finished: dict[str, Any]) -> None:
    events = list(train(make_run_config("digits", **SHORT)))
    with Store() as store:
        stored = [one.event for one in store.events(finished["run_id"])]
    curves = [[event.curves for event in found if isinstance(event, EpochEnded)] for found in (stored, events)]
    assert curves[0] == curves[1]


def test_tune_shows_the_whole_grid_and_its_best(said: Said) -> None:
    data = said.data("tune", "digits", "--labels", "10", "--seeds", "1", "--student", "mlp-8")
    recipes = {(row["learning_rate"], row["weight_decay"], row["epochs"]) for row in data["rows"]}
    assert len(recipes) == len(data["rows"]) >= 9
    assert data["best"]["validation_accuracy"] == max(row["validation_accuracy"] for row in data["rows"])


@pytest.fixture
def ctrl_c_works() -> Iterator[None]:
    """Programs that are started heed Ctrl-C; a shell makes those of its background ignore it, and they pass that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches one process only where signals exist")
def test_ctrl_c_stops_the_run_and_says_so(home: Path, ctrl_c_works: None) -> None:
    # This run is too long to end by itself.
    size = ["--student", "mlp-256-256", "--labels", "1000", "--epochs", "1000", "--seeds", "4"]
    command = [sys.executable, "-m", "kdcore.cli", "run", "--dataset", "digits", *size, "--json"]
    pipe = subprocess.PIPE
    with Store() as store:
        before = {row.id for row in store.list_runs()}
        with subprocess.Popen(
            command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        ) as process:
            while not (new := [row for row in store.list_runs() if row.id not in before]):
                assert process.poll() is None
            for event in jobs.follow(store, new[0].id):
                if isinstance(event, EpochEnded):
                    break
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (1, "")
        assert err.count("\n") == 1 and "was stopped" in err
        assert store.run(new[0].id).status == "cancelled"
