"""Thousands of broken files: each gives a picture or one sentence, and no decoder crashes the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kdcore.pictures.decode import MAX_DECODING_BYTES

ROOT = Path(__file__).parents[3]


def test_broken_files_give_a_picture_or_one_sentence(tmp_path: Path) -> None:
    """Runs for 10 seconds; `KDCORE_FUZZ_SECONDS` sets another time, `KDCORE_FUZZ_SEED` the seed of the files."""
    seconds = float(os.environ.get("KDCORE_FUZZ_SECONDS", "10"))
    seed = int(os.environ.get("KDCORE_FUZZ_SEED", "1"))
    trace = tmp_path / "seed"
    # A decoder may crash, not only raise, so it works in a process of its own.
    done = subprocess.run(
        [
            sys.executable, "-W", "error", "-m", "tests.engine.picture_fuzzer",
            "--seconds", str(seconds), "--seed", str(seed), "--trace", str(trace),
        ],
        cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + 120, check=False,
    )  # fmt: skip
    tried = trace.read_text() if trace.exists() else "none"
    assert done.returncode == 0, f"ended with {done.returncode} at seed {tried}:\n{done.stderr[-3000:]}"
    report = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(report))
    # An idle machine opens far more files; the bound only fails a run that tested next to nothing.
    assert report["opened"] > 5 * seconds and report["refused"] > 5 * seconds
    assert report["slowest_seconds"] < 15
    assert report["memory_bytes"] < MAX_DECODING_BYTES
