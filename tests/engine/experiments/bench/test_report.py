"""The form of the result of every part, and plans that are not legal."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcore.cli.bench_text import table
from kdcore.errors import ConfigError, UnknownName
from kdcore.experiments.bench import full_run, report
from tests.engine.experiments.bench.small_plan import TINY


def test_every_part_has_the_agreed_shape(
    pictures: None, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the home that all tests share, where `creatures` may be drawn already; the full run's files go elsewhere.
    monkeypatch.setattr(report, "bench_folder", lambda: tmp_path)
    monkeypatch.setattr(full_run, "PROGRESS_SECONDS", 0.0)
    lines: list[str] = []
    found = json.loads(json.dumps(report.measure(replace(TINY, full=True, epochs=1), lines.append)))
    assert set(found["tutorial"]) >= {
        "reference_seconds",
        "our_seconds",
        "ratio",
        "reference_accuracy",
        "our_accuracy",
    }
    one = found["tutorial"]
    assert one["ratio"] == pytest.approx(one["reference_seconds"] / one["our_seconds"])
    assert one["pictures"] == 150 and one["epochs"] == 10
    assert one["timed"] == {"reference_batches": 1, "our_steps": 2, "teacher_pictures": 64}
    assert set(found["ceiling"]) >= {"share", "train_tflops", "matmul_tflops", "conv_tflops", "images_per_second"}
    part = found["ceiling"]
    assert part["share"] == pytest.approx(part["train_tflops"] / part["conv_tflops"])
    assert part["matmul_tflops"] == part["matmul_tflops_by_precision"][part["precision"]]
    assert found["sweep"]["students"] == 16
    assert found["sweep"]["ratio"] == pytest.approx(found["sweep"]["all_seconds"] / found["sweep"]["one_seconds"])
    rows = [(row["what"], row["value"]) for row in found["growth"]]
    assert rows == [
        ("pictures", 20),
        ("pictures", 40),
        ("classes", 2),
        ("classes", 5),
        ("students", 1),
        ("students", 2),
    ]
    for first, second in zip(found["growth"][::2], found["growth"][1::2], strict=True):
        assert first["relative"] == 1.0
        assert second["relative"] == pytest.approx(second["seconds"] / first["seconds"])
    assert found["peak_memory_mb"] > 50 and not any("by_part" in name for name in found)
    assert found["device"] and found["repeats"] == 2 and re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    assert {re.split("[:,]", line)[0] for line in lines} == {"full run", *report.PARTS}
    words = table(found)
    words.encode("ascii")
    assert f"from the full run of {found['date']}" in words and "16 students cost" in words


def test_parts_that_are_not_asked_for_are_not_measured(home: Path) -> None:
    found = report.measure(replace(TINY, parts=("ceiling",), repeats=1))
    assert [part for part in report.PARTS if found[part] is not None] == ["ceiling"]
    assert "tutorial" not in table(found)
    assert f"peak memory {found['peak_memory_mb']:.0f} MB" in table(found)


def test_plans_that_are_not_legal() -> None:
    with pytest.raises(UnknownName, match="tutorial, ceiling, sweep, growth"):
        report.check_plan(report.Plan(parts=("speed",)))
    for plan in (
        report.Plan(repeats=0),
        report.Plan(repeats=101),
        report.Plan(restart=True),
        report.Plan(parts=("sweep",), full=True),
    ):
        with pytest.raises(ConfigError):
            report.check_plan(plan)
    for device in ("gpu", *(() if torch.cuda.is_available() else ("cuda",))):
        with pytest.raises(ConfigError, match="choose"):
            report.check_plan(report.Plan(device=device))
    assert report.check_plan(report.Plan(parts=("growth", "tutorial"))).parts == ("tutorial", "growth")
