"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engine.cli.commands import Said


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home folder for this module, so that all tests that need a run share one."""
    home = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDCORE_HOME", str(home))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield home


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    strokes = np.zeros((16, 16), np.uint8)
    strokes[2:14, 7:9] = 255
    Image.fromarray(strokes).save(path)
    return path


@pytest.fixture
def said(home: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    return Said(capfd)


@pytest.fixture
def fresh(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """A runner of commands on a store without runs."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    return said
