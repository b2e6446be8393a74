"""`kdcore bench`: it holds the machine while it measures, waits for its turn, and refuses in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdcore.cli.main import main
from kdcore.datasets.base import DatasetStatus
from kdcore.experiments.bench import clock, report
from kdcore.jobs import machine_turn
from kdcore.store import Store
from tests.engine.experiments.bench.small_plan import TINY


def test_the_command_holds_the_machine_while_it_measures(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held: list[bool] = []

    def measure(plan: report.Plan, say: clock.ProgressCallback) -> dict[str, Any]:
        with Store() as store:
            try:
                with machine_turn.reserve_machine(store, "latency"):
                    held.append(False)
            except machine_turn.MachineBusy:
                held.append(True)
        return real(replace(TINY, parts=plan.parts, repeats=plan.repeats), say)

    real = report.measure
    monkeypatch.setattr(report, "measure", measure)
    assert main(["bench", "--only", "ceiling", "--repeats", "1", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and json.loads(shown.out)["ceiling"]["share"] > 0
    assert held == [True]
    with Store() as store, machine_turn.reserve_machine(store, "latency"):
        pass  # the machine is free again


def test_the_command_waits_for_what_has_the_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    waited: list[float] = []
    turn = machine_turn.reserve_machine

    def listen(self: object, line: str) -> None:
        lines.append(line)

    with Store() as store, turn(store, "latency"):

        def leave(store: Store, what: str, visitor: str, wait: float = 0.0) -> Any:
            waited.append(wait)
            if wait:
                raise KeyboardInterrupt  # the user presses Ctrl-C instead of waiting
            return turn(store, what, visitor, wait)

        monkeypatch.setattr(machine_turn, "reserve_machine", leave)
        monkeypatch.setattr("kdcore.cli.answer.ProgressLine.__call__", listen)
        assert main(["bench", "--only", "ceiling"]) == 1
    assert waited == [0.0, float("inf")]
    assert any(line.startswith("waiting for run") for line in lines)


def test_what_the_command_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    monkeypatch.delenv("KDCORE_DATA", raising=False)

    def wait(*rest: Any) -> Any:
        raise KeyboardInterrupt  # the refusal must come before waiting for the machine

    monkeypatch.setattr(machine_turn, "reserve_machine", wait)
    for arguments, words in (
        (["--only", "speed"], "choose one of: tutorial, ceiling, sweep, growth"),
        (["--repeats", "0"], "from 1 to 100"),
        (["--only", "ceiling", "--device", "gpu"], "choose one of: auto, cpu, cuda"),
        (["--only", "tutorial"], "cifar10 is not on this machine"),
    ):
        assert main(["bench", *arguments]) == 2
        shown = capsys.readouterr()
        assert words in shown.err and shown.err.count("\n") == 1 and not shown.out


def test_ctrl_c_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(plan: report.Plan, say: clock.ProgressCallback) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "measure", stop)
    monkeypatch.setattr("kdcore.datasets.dataset_status", lambda name: DatasetStatus(name, True, "here", ""))
    again = "Stopped; what the full run trained is kept, and kdcore bench --full{} goes on from there."
    for arguments, words in (
        ("", "Stopped."),
        ("--full", again.format(" --repeats 5 --device auto")),
        (
            "--full --restart",
            again.format(" --repeats 5 --device auto"),
        ),  # with --restart it would delete what is saved
        (
            "--full --restart --only tutorial --repeats 2 --device cpu",
            again.format(" --only tutorial --repeats 2 --device cpu"),
        ),
    ):
        assert main(["bench", *arguments.split()]) == 1
        shown = capsys.readouterr()
        assert words in shown.err and shown.err.count("\n") == 1 and not shown.out
    with Store() as store, machine_turn.reserve_machine(store, "latency"):
        pass  # the machine is free again
