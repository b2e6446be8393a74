"""Commands in this process and in processes of their own, and runs as if they had been trained."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kdcore.cli.main import main
from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id, to_text
from kdcore.store.schema import runs as run_table

ROOT = Path(__file__).resolve().parents[3]
SHORT = {"labels": 40, "epochs": 2, "seeds": 2, "device": "cpu"}
RUN = ["run", "--dataset", "digits", "--labels", "40", "--epochs", "2", "--seeds", "2", "--device", "cpu"]


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


def found(said: Said, *options: str) -> list[str]:
    return [row["run_id"] for row in said.data("runs", *options)["runs"]]
