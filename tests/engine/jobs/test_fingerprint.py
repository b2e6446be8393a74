"""What makes a spare worker another one than a new worker would be, and what does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import kdcore
from kdcore.jobs import fingerprint
from kdcore.jobs.fingerprint import worker_fingerprint
from kdcore.store import Store


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of some of the engine's code, of which the fingerprint is taken."""
    copy = tmp_path / "site" / "kdcore"
    shutil.copytree(Path(kdcore.__file__).parent / "jobs", copy / "jobs")
    monkeypatch.setattr(fingerprint, "kdcore", SimpleNamespace(__file__=str(copy / "__init__.py")))
    yield copy


def test_two_processes_of_one_setup_have_the_same_fingerprint(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = worker_fingerprint(store)
    monkeypatch.setenv("TERM", "another terminal")
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "1234")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/tmp/somewhere")  # PyTorch sets it itself when it is imported
    root = str(Path(kdcore.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])))
    assert worker_fingerprint(store) == before
    with Store() as again:
        assert worker_fingerprint(again) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KDCORE_DATA", "/elsewhere"), ("OMP_NUM_THREADS", "7"), ("CUDA_VISIBLE_DEVICES", "1"), ("HOME", "/elsewhere"),
        ("PYTHONPATH", "/elsewhere"), ("https_proxy", "http://127.0.0.1:1"), ("KDCORE_SOMETHING_NEW", "1"),
    ],
)  # fmt: skip
def test_a_variable_that_decides_how_a_run_computes_changes_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    before = worker_fingerprint(store)
    monkeypatch.setenv(name, value)
    assert worker_fingerprint(store) != before


def test_relative_data_folders_count_as_what_they_mean_here(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KDCORE_DATA", "data")
    before = worker_fingerprint(store)
    monkeypatch.chdir(tmp_path)
    assert worker_fingerprint(store) != before


def test_another_home_or_database_changes_it(store: Store, tmp_path: Path) -> None:
    with Store(home=tmp_path / "other") as home, Store(f"sqlite:///{tmp_path / 'other.sqlite'}") as database:
        assert len({worker_fingerprint(one) for one in (store, home, database)}) == 3


def test_an_upgrade_of_the_code_changes_it(store: Store, code: Path) -> None:
    before = worker_fingerprint(store)
    assert worker_fingerprint(store) == before
    module = code / "jobs" / "lease.py"
    module.write_text(module.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    changed = worker_fingerprint(store)
    (code / "jobs" / "new_module.py").touch()
    added = worker_fingerprint(store)
    module.unlink()
    assert len({before, changed, added, worker_fingerprint(store)}) == 4
