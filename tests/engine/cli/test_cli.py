"""The command line as people and scripts use it: one JSON object, or one line of error and the right exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from kdcore import jobs
from kdcore.cli import training
from kdcore.cli.answer import Answer
from kdcore.cli.main import main
from kdcore.events import EpochEnded, RunFinished
from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id, to_text
from kdcore.store.schema import runs as run_table
from kdcore.training.trainer import train

ROOT = Path(__file__).resolve().parents[3]
SHORT = {"labels": 40, "epochs": 2, "seeds": 2, "device": "cpu"}
RUN = ["run", "--dataset", "digits", "--labels", "40", "--epochs", "2", "--seeds", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home folder for this module, so that all tests that need a run share one."""
    home = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDCORE_HOME", str(home))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield home


@pytest.fixture(scope="module")
def finished(home: Path) -> dict[str, Any]:
    """What `kdcore run --json` printed, started as a process of its own."""
    done = kdcore(*RUN, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    strokes = np.zeros((16, 16), np.uint8)
    strokes[2:14, 7:9] = 255
    Image.fromarray(strokes).save(path)
    return path


def kdcore(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kdcore.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


class Said:
    """Runs commands in this process and returns what they printed."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.capfd = capfd

    def data(self, *arguments: str) -> dict[str, Any]:
        self.capfd.readouterr()
        assert main([*arguments, "--json"]) == 0
        out, err = self.capfd.readouterr()
        assert err == ""
        data = json.loads(out)
        assert isinstance(data, dict) and "NaN" not in out
        return data

    def text(self, *arguments: str) -> str:
        self.capfd.readouterr()
        assert main(list(arguments)) == 0
        out, err = self.capfd.readouterr()
        assert err == ""
        return out

    def refusal(self, *arguments: str, status: int = 2) -> str:
        """Run a command that fails, with and without --json; return its one line of error."""
        lines = []
        for extra in ([], ["--json"]):
            self.capfd.readouterr()
            assert main([*arguments, *extra]) == status
            out, err = self.capfd.readouterr()
            assert out == "" and err.count("\n") == 1 and err.startswith("kdcore: "), (out, err)
            lines.append(err)
        assert lines[0] == lines[1] and "Traceback" not in lines[0]
        return lines[0]


@pytest.fixture
def said(home: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    return Said(capfd)


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


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "nosuch",
        "runs nosuch",
        "runs show",
        "runs show ../../etc/passwd",
        "runs show -x",
        "runs show abcdefghjkmnpq",
        "runs export <b>",
        "runs export abcdefghjkmnpq --format xml",
        "runs compare",
        "runs tag",
        "runs tag abcdefghjkmnpq word",
        "runs rerun abcdefghjkmnpq --temperature 8",
        "runs rerun --temperature 8",
        "runs resume abcdefghjkmnpq",
        "runs delete ../../etc",
        "runs undelete abcdefghjkmnpq",
        "runs --limit many",
        "datasets get nosuch",
        "teachers train nosuch",
        "tune nosuch",
        "tune digits --seeds 0",
        "tune digits --student nosuch",
        "predict",
    ],
)
def test_other_bad_usage(said: Said, arguments: str) -> None:
    said.refusal(*arguments.split())


def test_pictures_that_cannot_be_opened(said: Said, digit: Path, tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(2501) * 20_000, 1)) + chunk(b"IEND", b"")
    jpeg = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(jpeg, "JPEG")
    files = {
        "text.png": (b"these are words\n" * 20, "text file"),
        "cut.jpg": (jpeg.getvalue()[: len(jpeg.getvalue()) // 2], "damaged or cut off"),
        "empty.png": (b"", "empty"),
        "bomb.png": (b"\x89PNG\r\n\x1a\n" + header + rows, "megapixels"),
    }
    for name, (data, words) in files.items():
        (tmp_path / name).write_bytes(data)
        line = said.refusal("predict", str(tmp_path / name), "--teacher", "digits")
        assert words in line and name in line
    assert "cannot be read" in said.refusal("predict", str(tmp_path / "missing.png"), "--teacher", "digits")
    assert "cannot be read" in said.refusal("predict", str(tmp_path), "--teacher", "digits")
    assert "nosuch" in said.refusal("predict", str(digit), "--teacher", "nosuch")
    for temperature in ("0", "-1", "nan", "inf", "x"):
        line = said.refusal("predict", str(digit), "--teacher", "digits", f"--temperature={temperature}")
        assert "temperature" in line


def test_a_damaged_store_is_one_line_and_status_1(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    (tmp_path / "runs.sqlite").write_bytes(b"no database " * 1000)
    assert "is damaged" in said.refusal("runs", status=1)
    assert "is damaged" in said.refusal(*RUN, status=1)


def test_a_run_that_fails_is_one_line_and_status_1(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    (tmp_path / "runs").write_text("a file where the runs' folder should be")
    assert main(RUN) == 1
    out, err = said.capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "could not be started" in err


# --- answers ---


def test_help_is_fast_because_nothing_heavy_is_imported() -> None:
    code = "import sys, kdcore.cli; kdcore.cli.main(sys.argv[1:])"
    check = (
        f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit: pass\nprint(sorted(sys.modules), file=sys.stderr)"
    )
    for arguments in (["--help"], ["run", "--help"], ["run", "--nosuch"]):
        done = subprocess.run(
            [sys.executable, "-c", check, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        assert "kdcore" in done.stdout + done.stderr
        for heavy in ("'torch'", "'numpy'", "'sqlalchemy'", "'PIL'", "'scipy'"):
            assert heavy not in done.stderr, (arguments, heavy)


def test_every_command_explains_itself(said: Said) -> None:
    names = "show compare tag rerun resume export delete undelete"
    of_runs = [f"runs {name}" for name in names.split()]
    for command in ("datasets", "datasets get", "teachers", "teachers train", "run", "predict", "runs", *of_runs):
        with pytest.raises(SystemExit) as end:
            main([*command.split(), "--help"])
        assert end.value.code == 0
        assert "--json" in said.capfd.readouterr().out


def test_datasets(said: Said) -> None:
    data = said.data("datasets")
    ready = {row["name"]: row["ready"] for row in data["datasets"]}
    assert ready["creatures"] and ready["digits"]
    text = said.text("datasets")
    assert all(name in text for name in ready)
    assert said.data("datasets", "get", "digits")["ready"] is True


def test_a_dataset_that_is_not_here(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDCORE_DATA", raising=False)
    assert "animals64" in said.refusal("datasets", "get", "animals64")
    assert "put train.parquet" in said.text("datasets")


def test_teachers(said: Said) -> None:
    cards = {card["name"]: card for card in said.data("teachers")["teachers"]}
    assert {"name", "dataset", "accuracy", "sha256", "num_params"} <= set(cards["digits"])
    assert "digits" in said.text("teachers")


def test_predict(said: Said, digit: Path) -> None:
    warm = said.data("predict", str(digit), "--teacher", "digits", "--temperature", "4")
    keys = [
        "teacher",
        "temperature",
        "class_names",
        "logits",
        "soft_labels",
        "superclasses",
        "none_of_these",
        "latency_ms",
    ]
    assert list(warm) == keys and warm["temperature"] == 4
    logits = np.array(warm["logits"])
    want = np.exp(logits / 4 - (logits / 4).max())
    assert np.allclose(warm["soft_labels"], want / want.sum(), atol=1e-9)
    assert abs(sum(warm["soft_labels"]) - 1) < 1e-9
    assert said.data("predict", str(digit), "--teacher", "digits")["temperature"] == 1
    assert "soft label" in said.text("predict", str(digit), "--teacher", "digits")


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


def add_run(status: str = "finished", tags: tuple[str, ...] = (), gain: float | None = None, **settings: Any) -> str:
    """Add a run to the store as if it had been trained; return its id."""
    run_id, config = new_id(), {**make_run_config("digits", **SHORT).to_json(), **settings}
    result = None
    if gain is not None:
        figures = {"num_params": 1, "macs": 1, "size_bytes": 1}
        arms = {
            arm: {"accuracy": {"mean": mean, "ci95": [mean - 0.01, mean + 0.01], "per_seed": []}, **figures}
            for arm, mean in (("baseline", 0.5), ("distilled", 0.5 + gain))
        }
        difference = {"mean": gain, "ci95": None, "per_seed": []}
        verdict = {"claim": "none", "sentence": "No claim."}
        result = {"run_id": run_id, "config": config, "seconds": 1.0, "device": "cpu", "dataset_sha256": "a"}
        result |= {"arms": arms, "paired_difference": difference, "verdict": verdict}
    with Store() as store:
        with store.write() as connection:
            values = {"id": run_id, "visitor": "somebody", "kind": "run", "status": status, "created": time.time()}
            texts = {"config": to_text(config), "result": result and to_text(result)}
            connection.execute(sa.insert(run_table).values(**values, **texts))
        if tags:
            store.tag(run_id, tags)
    return run_id


@pytest.fixture
def fresh(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """A runner of commands on a store without runs."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    return said


def found(said: Said, *options: str) -> list[str]:
    return [row["run_id"] for row in said.data("runs", *options)["runs"]]


def test_runs_are_found_and_sorted(fresh: Said) -> None:
    small = add_run(gain=0.01, student="mlp-64", tags=("class 7b",))
    large = add_run(gain=0.2)
    failed = add_run("failed", dataset="creatures", teacher="gone")
    assert found(fresh) == [failed, large, small] and found(fresh, "--sort", "old") == [small, large, failed]
    assert found(fresh, "--sort", "gain", "--limit", "2") == [large, small]
    for options, expected in (
        (["--dataset", "creatures"], [failed]),
        (["--teacher", "gone"], [failed]),
        (["--student", "mlp-64"], [small]),
        (["--status", "finished"], [large, small]),
        (["--tag", "Class 7B"], [small]),
        (["--text", "class 7b mlp"], [small]),
        (["--dataset", "digits", "--status", "failed"], []),
    ):
        assert found(fresh, *options) == expected, options
    row = fresh.data("runs", "--tag", "class 7b")["runs"][0]
    assert row["tags"] == ["class 7b"] and row["accuracy"]["distilled"]["mean"] == 0.51
    text = fresh.text("runs", "--tag", "class 7b")
    assert small in text and "+1.0" in text and "class 7b" in text and large not in text
    assert "None of the 3 runs" in fresh.text("runs", "--dataset", "nosuch")
    assert '"nosuch"' in fresh.refusal("runs", "--status", "nosuch")
    assert '"nosuch"' in fresh.refusal("runs", "--sort", "nosuch")
    assert "--limit" in fresh.refusal("runs", "--limit", "0")


def test_runs_are_tagged(fresh: Said) -> None:
    run_id = add_run()
    assert fresh.data("runs", "tag", run_id, "a", " class  7b ", "A")["tags"] == ["a", "class 7b"]
    assert fresh.data("runs", "tag", run_id, "new", "--remove", "A")["tags"] == ["class 7b", "new"]
    assert fresh.text("runs", "tag", run_id) == "class 7b, new\n"
    assert "tags: class 7b, new" in fresh.text("runs", "show", run_id)
    assert 'does not carry the tag "gone"; it has: class 7b, new' in fresh.refusal(
        "runs", "tag", run_id, "--remove", "gone"
    )
    assert "is no tag" in fresh.refusal("runs", "tag", run_id, "<b>")
    assert "at most 8" in fresh.refusal("runs", "tag", run_id, *"abcdefghi")
    assert fresh.data("runs", "tag", run_id)["tags"] == ["class 7b", "new"]


def test_runs_are_compared(fresh: Said) -> None:
    first, second = add_run(gain=0.1), add_run(gain=0.15, temperature=8.0)
    data = fresh.data("runs", "compare", first, second)
    assert data["settings"] == [{"name": "temperature", "values": [4.0, 8.0]}]
    step = data["against_first"]["distilled"][1]
    assert step["mean"] == pytest.approx(0.05) and step["ci95"][1] == pytest.approx(0.05 + 0.01 * 2**0.5)
    text = fresh.text("runs", "compare", first, second)
    assert "temperature" in text and "+5.0 [+3.6, +6.4]" in text and "labels" not in text
    assert "two runs" in fresh.refusal("runs", "compare", first)
    assert "two runs" in fresh.refusal("runs", "compare", first, first)
    assert "no run" in fresh.refusal("runs", "compare", first, "abcdefghjkmnpq")


def test_runs_are_deleted_and_restored(fresh: Said) -> None:
    run_id = add_run(gain=0.1)
    assert fresh.data("runs", "delete", run_id) == {"run_id": run_id, "deleted": True}
    assert found(fresh) == [] and found(fresh, "--deleted") == [run_id]
    for command in ("show", "export", "tag", "resume"):
        assert "was deleted" in fresh.refusal("runs", command, run_id)
    assert fresh.data("runs", "undelete", run_id) == {"run_id": run_id, "deleted": False}
    assert found(fresh) == [run_id] and found(fresh, "--deleted") == []
    busy = add_run("queued")
    assert "stop it first" in fresh.refusal("runs", "delete", busy, status=1)
    assert "no run" in fresh.refusal("runs", "delete", "abcdefghjkmnpq")


def test_a_report_is_written_once(fresh: Said, tmp_path: Path) -> None:
    run_id, out = add_run(gain=0.1), tmp_path / "report.html"
    command = ["runs", "export", run_id, "--format", "html", "--out", str(out)]
    assert fresh.data(*command)["out"] == str(out)
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n") and "60.0 %" in page
    before_the_date = page.partition("Written by")[0]
    assert fresh.text(*command[:5]).partition("Written by")[0] == before_the_date
    assert "--force" in fresh.refusal(*command)
    assert fresh.data(*command, "--force")["format"] == "html"


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


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches one process only where signals exist")
def test_ctrl_c_stops_the_run_and_says_so(home: Path) -> None:
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
