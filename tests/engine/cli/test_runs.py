"""`kdcore runs`: found, tagged, compared, deleted, and reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.cli.commands import Said, add_run, found


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
