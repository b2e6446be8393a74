"""Methods, controls and sweeps on the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
import torch

from kdcore import jobs
from kdcore.cli import text, training
from kdcore.cli.answer import Answer
from kdcore.events import EpochEnded
from kdcore.methods.registry import METHODS, total_loss
from kdcore.reports.comparison import compare
from kdcore.reports.export import summary
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.controls import CONTROLS
from kdcore.settings.stages import stages_of
from kdcore.settings.sweeps import points
from kdcore.store import Store
from kdcore.store.schema import runs
from kdcore.training.arms import objective_of
from tests.engine.cli.commands import ROOT, Said
from tests.engine.reports.finished_run import ROW

DIGITS = ["--dataset", "digits", "--student", "mlp-8", "--device", "cpu"]


@pytest.fixture
def said(store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """A runner of commands that put a run into the queue but do not follow it."""
    monkeypatch.setattr(training, "follow", lambda store, run_id: Answer({"run_id": run_id}, ""))
    return Said(capfd)


def config_of(store: Store, said: Said, *arguments: str) -> dict[str, Any]:
    return store.run(said.data(*arguments)["run_id"]).config


# --- methods ---


def test_methods_are_listed_with_paper_and_parameters(said: Said) -> None:
    data = said.data("methods")
    assert set(data) == {"methods", "controls"}
    assert [row["name"] for row in data["methods"]] == list(METHODS)
    assert [row["name"] for row in data["controls"]] == list(CONTROLS)
    for row in data["methods"]:
        assert row["paper"] and row["sentence"] and row["title"]
        for parameter in row["parameters"]:
            assert parameter["meaning"]
            if not isinstance(parameter["default"], str):
                assert parameter["low"] <= parameter["default"] <= parameter["high"]
    (dkd,) = (row for row in data["methods"] if row["name"] == "dkd")
    assert {one["name"]: one["default"] for one in dkd["parameters"]} == {"target_weight": 1, "non_target_weight": 8}
    assert {row["name"]: row["settings"] for row in data["methods"] if len(row["settings"]) < 3} == {
        "label-smoothing": [],
        "mutual": ["temperature", "distill_weight"],
        "born-again": ["temperature", "distill_weight"],
    }
    text = said.text("methods")
    assert all(name in text for name in (*METHODS, *CONTROLS)) and "Zhao et al. 2022" in text


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_names_the_settings_that_change_what_its_student_learns(name: str) -> None:
    teacher = "digits+mnist" if name == "multi-teacher" else None
    dataset = "creatures" if METHODS[name].uses == "features" else "digits"  # its student has feature maps inside
    config = make_run_config(dataset, method=name, teacher=teacher, temperature=4.0, distill_weight=0.5)
    generator = torch.Generator().manual_seed(0)
    student_logits, hard_labels = 3 * torch.randn(5, 10, generator=generator), torch.arange(5)
    teacher_logits = 3 * torch.randn(5, 2, 10, generator=generator)  # logits of two members
    targets = teacher_logits if name == "multi-teacher" else teacher_logits[:, 0]

    def loss(one: RunConfig) -> float:
        objective = objective_of(one)
        return float(total_loss(objective.method, student_logits, targets, hard_labels, objective.numbers()))

    changed = {"temperature": replace(config, temperature=7.0), "distill_weight": replace(config, distill_weight=0.3)}
    counts = {setting: loss(one) != pytest.approx(loss(config)) for setting, one in changed.items()}
    taught = [stage.uses_soft_labels for stage in stages_of(config)] or [METHODS[name].uses not in ("peer", "nothing")]
    assert METHODS[name].settings == tuple(
        setting for setting, matters in {"teacher": taught[0], **counts}.items() if matters
    )


# --- bad usage ---


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("sweep", "--vary"),
        ("sweep --vary temperature", "temperature=1,2,4"),
        ("sweep --vary temperature=1,hot", "'hot'"),
        ("sweep --vary temperature=1,0", "temperature must be"),
        ("sweep --vary temperature=1,1", "differ"),
        ("sweep --vary temperature=1 --vary temperature=2", "varied twice"),
        ("sweep --vary colour=1,2", '"colour"'),
        ("sweep --vary seeds=1,2", '"seeds"'),
        ("sweep --vary labels=10,2000", "labels must be"),
        ("sweep --vary teacher=digits,gone", '"gone"'),
        ("sweep --vary teacher=digits,creatures", "cannot teach"),
        ("sweep --vary target_weight=1,2", '"target_weight"'),
        ("sweep --vary methods=kd,dkd", 'Did you mean "method"?'),
        ("sweep --vary temperature=1,4 --temperature 8", "choose one of its values, or vary other settings"),
        ("sweep --vary target_weight=1,2 --method dkd --set target_weight=3", "target_weight cannot be 3"),
        ("sweep --vary teacher=digits,digits+b --method multi-teacher", "not digits"),
        ("sweep --vary method=kd,fitnets --teacher digits+b", "none of its own"),
        ("sweep --vary method=mutual,rkd --controls noise", "controls"),
        ("run --set smoothing", "NAME=VALUE"),
        ("run --set smoothing=0.1", "it has: none"),
        ("run --method label-smoothing --set smoothing=much", "'much'"),
        ("run --method label-smoothing --set smoothing=1", "0.99"),
        ("run --method teacher-assistant --set assistants=vit-b", '"vit-b"'),
        ("run --method teacher-assistant --student mlp-4096", "assistants="),
        ("run --method teacher-assistant --teacher gone", '"gone"'),
        ("run --method fitnets --student mlp-8", "both a vector"),
        ("sweep --method born-again --vary generations=1,1.5", "whole number"),
        ("run --controls shuffled --labels 19", "at least 20"),
        ("run --method multi-teacher", "Several teachers"),
        ("run --controls silence", '"silence"'),
        ("run --controls shuffled --method mutual", "mutual"),
        ("run --controls unlabelled --labels 600", "at most 538"),
    ],
)
def test_what_is_not_legal_is_one_sentence_and_nothing_else(
    said: Said, store: Store, arguments: str, word: str
) -> None:
    command, *rest = arguments.split()
    assert word in said.refusal(command, "--dataset", "digits", *rest)
    assert store.list_runs() == []


# --- the settings that reach a run ---


def test_parameters_and_controls_reach_the_run(store: Store, said: Said) -> None:
    command = ["run", *DIGITS, "--method", "dkd", "--set", "non_target_weight=4", "--controls", "noise,shuffled"]
    config = config_of(store, said, *command)
    assert config["parameters"] == {"target_weight": 1.0, "non_target_weight": 4.0}
    assert config["controls"] == ["shuffled", "noise"]
    assert config_of(store, said, "run", *DIGITS, "--controls", "all")["controls"] == list(CONTROLS)
    config = config_of(store, said, "run", *DIGITS, "--method", "rkd", "--set", "teacher_layer=10")
    assert config["parameters"]["teacher_layer"] == "10"  # the path of a layer, a text that looks like a number


def test_another_run_with_a_change_keeps_what_still_fits(store: Store, said: Said) -> None:
    settings = {"method": "dkd", "temperature": 3.0, "parameters": {"target_weight": 2.0}, "controls": ["noise"]}
    before = jobs.submit(store, make_run_config("digits", **settings), jobs.LOCAL_VISITOR)
    again = config_of(store, said, "runs", "rerun", before, "--set", "non_target_weight=5")
    assert again["parameters"] == {"target_weight": 2.0, "non_target_weight": 5.0}
    assert (again["temperature"], again["controls"]) == (3.0, ["noise"])
    other = config_of(store, said, "runs", "rerun", before, "--method", "kd")
    assert (other["parameters"], other["temperature"], other["distill_weight"]) == ({}, 3.0, 0.9)
    other = config_of(store, said, "runs", "rerun", before, "--method", "dist", "--set", "within_weight=1")
    assert (other["parameters"], other["distill_weight"]) == ({"between_weight": 2.0, "within_weight": 1.0}, 0.5)
    elsewhere = config_of(store, said, "runs", "rerun", before, "--dataset", "creatures")
    assert (elsewhere["parameters"]["target_weight"], elsewhere["controls"]) == (2.0, ["noise"])
    varied = jobs.submit(store, make_run_config("digits", vary={"temperature": (1.0, 4.0)}), jobs.LOCAL_VISITOR)
    assert config_of(store, said, "runs", "rerun", varied, "--epochs", "3")["vary"] == {"temperature": [1.0, 4.0]}


def test_what_is_given_to_a_rerun_varies_no_more(store: Store, said: Said) -> None:
    def again(vary: dict[str, Any], *words: str, **settings: Any) -> dict[str, Any]:
        before = jobs.submit(store, make_run_config("digits", vary=vary, **settings), jobs.LOCAL_VISITOR)
        return config_of(store, said, "runs", "rerun", before, *words)

    def facts(config: dict[str, Any]) -> tuple[Any, ...]:
        return config["temperature"], config["distill_weight"], config["method"], config["vary"]

    both = {"temperature": (1.0, 4.0), "labels": (20, 40)}
    assert facts(again(both, "--temperature", "8")) == (8.0, 0.9, "kd", {"labels": [20, 40]})
    assert facts(again(both, "--temperature", "1", "--labels", "20")) == (1.0, 0.9, "kd", {})
    weights = {"target_weight": (1.0, 2.0)}
    assert facts(again(weights, "--set", "target_weight=5", method="dkd")) == (4.0, 0.5, "dkd", {})
    methods = {"method": ("standardised-kd", "dkd")}
    names = list(methods["method"])
    assert facts(again(methods, "--epochs", "3")) == (2.0, 0.9, "standardised-kd", {"method": names})
    assert facts(again(methods, "--method", "dkd")) == (4.0, 0.5, "dkd", {})
    held = {"method": names, "temperature": [8.0]}
    assert facts(again(methods, "--temperature", "8")) == (8.0, 0.9, "standardised-kd", held)
    assert facts(again(methods, "--epochs", "3", temperature=8.0)) == (8.0, 0.9, "standardised-kd", held)
    assert facts(again(methods, "--method", "dkd", temperature=8.0)) == (8.0, 0.5, "dkd", {})


def test_a_value_that_is_given_is_what_the_sweep_is_about(store: Store, said: Said) -> None:
    config = config_of(store, said, "sweep", *DIGITS, "--vary", "temperature=1,8", "--temperature", "8")
    assert (config["temperature"], config["vary"]) == (8.0, {"temperature": [1.0, 8.0]})
    command = ("sweep", *DIGITS, "--vary", "method=standardised-kd,dkd", "--temperature", "8")
    every = points(RunConfig.from_json(config_of(store, said, *command)))
    assert [(one.config.method, one.config.temperature) for one in every] == [("standardised-kd", 8.0), ("dkd", 8.0)]


# --- a sweep that was cut off ---


def test_a_sweep_is_gone_on_with_until_it_is_finished(store: Store, said: Said) -> None:
    command = ["sweep", *DIGITS, "--vary", "temperature=1,4", "--vary", "labels=20,40"]
    first = said.data(*command)["run_id"]
    assert store.run(first).config["vary"] == {"temperature": [1.0, 4.0], "labels": [20, 40]}
    assert said.data(*command)["run_id"] == first  # the sweep still waits
    jobs.cancel(store, first)
    assert said.data(*command)["run_id"] == first and store.run(first).status == "queued"
    assert said.data(*command, "--epochs", "7")["run_id"] != first  # another configuration is another run
    theirs = make_run_config("digits", student="mlp-8", device="cpu", vary={"temperature": (1.0, 5.0)})
    foreign = jobs.submit(store, theirs, "a visitor")
    assert said.data(*command[:-3], "temperature=1,5")["run_id"] != foreign
    with store.write() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == first).values(status="finished", result="{}"))
    assert said.data(*command)["run_id"] != first  # a finished sweep is trained again


@pytest.mark.skipif(
    sys.platform == "win32", reason="ends a process group, which is POSIX; jobs are killed in test_faults"
)
def test_a_sweep_that_was_killed_is_continued_by_the_same_command(store: Store) -> None:
    """Kill the command and its worker during the second of two trainings; then give the same command again."""
    command = [sys.executable, "-m", "kdcore.cli", "sweep", *DIGITS, "--epochs", "60", "--seeds", "2"]
    command += ["--vary", "temperature=1,4", "--vary", "labels=50,400", "--json"]

    def epochs(run_id: str) -> dict[int, tuple[float, Any]]:
        stored = [one for one in store.events(run_id) if isinstance(one.event, EpochEnded)]
        return {one.event.epoch: (one.seq, one.event.curves) for one in stored}

    end = time.monotonic() + 200
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        while not ((rows := store.list_runs()) and len(epochs(rows[0].id)) > 60):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        (row,) = rows
        worker = psutil.Process(store.run(row.id).worker_pid)
        worker.suspend()  # so that it gets no further before the test looks again, however busy the machine is
        os.killpg(process.pid, signal.SIGKILL)
        worker.kill()
        out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("", -signal.SIGKILL)
    psutil.wait_procs([worker], timeout=60)
    before = epochs(row.id)
    assert 60 < len(before) < 120 and store.run(row.id).result is None
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["run_id"] == row.id and [one.id for one in store.list_runs()] == [row.id]
    after = epochs(row.id)
    assert list(after) == list(range(1, 121))
    # No epoch is reported twice (its number in the store would be larger), so none was trained twice.
    assert before.items() <= after.items()
    assert store.run(row.id).attempts == 2
    values = [dict(point.values) for point in points(make_run_config("digits", vary=result["config"]["vary"]))]
    assert [one["values"] for one in result["sweep"]["rows"]] == values
    for one in result["sweep"]["rows"]:
        assert len(one["paired_difference"]["per_seed"]) == 2 and one["paired_difference"]["ci95"]


def test_the_line_of_an_epoch_is_of_the_runs_own_point() -> None:
    """Students that train outside a team are reported first, whichever point of the sweep they belong to."""
    arms = ("teacher", "baseline", "distilled", "shuffled", "noise")
    in_order = ["distilled (method=rkd)", "distilled (method=fitnets)", "distilled (method=dist)", "noise", *arms[1:4]]
    event = EpochEnded(2, 4, 3.0, {arm: {"validation_accuracy": [0.01 * len(arm)]} for arm in in_order})
    line = text.epoch(event, arms)
    assert line == "epoch 2 of 4   baseline 8.0 %   distilled 9.0 %   shuffled 8.0 %   6 s left"
    other = EpochEnded(3, 4, 3.0, {"distilled (labels=9)": {"validation_accuracy": [0.5]}})
    assert text.epoch(other, arms) == "epoch 3 of 4   3 s left"


def test_the_table_of_a_sweep_is_printed_for_people(own_home: Path) -> None:
    figure = {"accuracy": {"mean": 0.5, "ci95": [0.4, 0.6]}}
    rows = [
        {
            "values": {"temperature": t},
            "arms": {"baseline": figure, "distilled": {"accuracy": {"mean": 0.5 + t / 100, "ci95": None}}},
            "paired_difference": {"mean": t / 100, "ci95": [0.0, t / 50]},
        }
        for t in (1.0, 4.0)
    ]
    heads, first, last = text.sweep({"varied": ["temperature"], "rows": rows}).splitlines()
    assert heads.split() == ["temperature", "baseline", "distilled", "difference"]
    assert "50.0 % [40.0, 60.0]" in first and "51.0 %" in first and "+1.0" in first
    assert "54.0 %" in last and "+4.0 [+0.0, +8.0]" in last
    for row, claim in zip(rows, ("none", "distilled"), strict=True):
        row["claim"] = claim
    vary, figures = {"temperature": (1.0, 4.0)}, {**figure, "num_params": 1, "macs": 1, "size_bytes": 1}
    config = make_run_config("digits", temperature=4.0, vary=vary, seeds=2).to_json()
    difference, verdict = (
        {"mean": 0.04, "ci95": [0.0, 0.08]},
        {"claim": "distilled", "sentence": "it is better."},
    )
    result: dict[str, Any] = {"run_id": "it", "config": config, "seconds": 1.0, "device": "cpu", "verdict": verdict}
    result |= {"arms": {"baseline": figures, "distilled": figures}, "paired_difference": difference}
    result["sweep"] = {"varied": ["temperature"], "rows": rows}
    printed = text.result(result)
    printed.encode("ascii")
    first_line, points_of_it, said_of_all, detail, *_ = printed.split("\n\n")
    assert "temperature 1, 4, 2 seeds" in first_line and "T = " not in first_line
    assert points_of_it == text.sweep(result["sweep"])
    assert said_of_all == "distilled is better in 1 of 2 settings; no difference can be claimed in 1 of 2 settings."
    assert detail.startswith("in detail, at temperature 4:") and printed.endswith("\n\nit is better.")
    row = replace(ROW, config=config, result=result)
    listed = text.runs([summary(row)])
    assert "distilled 1 of 2, none 1 of 2" in listed and "+4.0" not in listed
    assert summary(row)["sweep"] == {
        "own_point": {"temperature": 4.0},
        "claims": {"distilled": 1, "baseline": 0, "none": 1},
    }
    plain = {name: value for name, value in result.items() if name != "sweep"}
    plain["config"] = make_run_config("digits", method="label-smoothing").to_json()
    assert "label-smoothing, 60 epochs, no temperature, no distill weight, 5 seeds" in text.result(plain)
    beside = text.comparison(compare([row, replace(row, config=plain["config"], result=plain)]))
    assert re.search(r"^point of the sweep +temperature 4$", beside, re.MULTILINE)
