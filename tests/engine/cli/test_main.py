"""The command line as people and scripts use it: help, bad usage, and errors in one line with the right exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kdcore.cli.main import main
from tests.engine.cli.commands import ROOT, RUN, Said

# --- bad usage and bad input ---


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


def test_a_damaged_store_is_one_line_and_status_1(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    (tmp_path / "runs.sqlite").write_bytes(b"no database " * 1000)
    assert "is damaged" in said.refusal("runs", status=1)
    assert "is damaged" in said.refusal(*RUN, status=1)


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
