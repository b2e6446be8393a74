"""What the tests of the benchmark share. None of them compares times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcore.datasets.base import Dataset
from kdcore.experiments.bench import growth, report
from kdcore.machine.device import Device, pick_device
from tests.engine.experiments.bench.small_plan import TESTED


@pytest.fixture(scope="module")
def exact() -> Device:
    return replace(pick_device("cpu"), precision="fp32")


@pytest.fixture(scope="module")
def small() -> Dataset:
    """Random pictures of CIFAR-10's shape: two batches to learn from, the second of them smaller."""
    whole = growth.random_dataset(150, 10)
    rows = torch.arange(150)
    train, validation, test = (whole.train.select(part) for part in (rows[:100], rows[100:], rows[:TESTED]))
    return replace(whole, train=train, validation=validation, test=test)


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, small: Dataset) -> None:
    """Random pictures where the tutorial asks for CIFAR-10."""
    monkeypatch.setattr(report, "load_dataset", lambda name: small)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: None) -> Path:
    """A KDCORE_HOME of the test's own."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    return tmp_path
