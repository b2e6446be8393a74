"""The tutorial trained to its end, and again after a stop."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdcore.datasets.base import Dataset
from kdcore.experiments.bench import full_run, reference
from kdcore.experiments.bench.networks import Renormalised
from kdcore.experiments.bench.tutorial import Pictures
from kdcore.machine.device import Device
from kdcore.pictures.views import to_float
from tests.engine.experiments.bench.small_plan import TESTED


def test_a_full_run_goes_on_where_it_was_stopped(
    small: Dataset, exact: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert full_run.saved_result(tmp_path, small) is None and full_run.saved_teacher(tmp_path) is None
    trained: list[str] = []
    fit = full_run.train_ours

    def counted(network: nn.Module, pictures: Pictures, logits: torch.Tensor | None, *rest: Any) -> Any:
        trained.append("teacher" if logits is None else "ours")
        return fit(network, pictures, logits, *rest)

    def plain(*rest: Any) -> Any:
        trained.append("reference")
        if stop:
            raise KeyboardInterrupt
        return original(*rest)

    original = reference.train_reference
    monkeypatch.setattr(full_run, "train_ours", counted)
    monkeypatch.setattr(reference, "train_reference", plain)
    monkeypatch.setattr(reference, "make_loader", partial(reference.make_loader, workers=0))
    stop = True
    with pytest.raises(KeyboardInterrupt):
        full_run.full_run(small, exact, tmp_path, lambda line: None, epochs=2)
    assert trained == ["teacher", "reference"] and full_run.saved_result(tmp_path, small) is None
    stop = False
    first = full_run.full_run(small, exact, tmp_path, lambda line: None, epochs=2)
    assert trained == ["teacher", "reference", "reference", "ours"]
    again = full_run.full_run(small, exact, tmp_path, lambda line: None, epochs=2)
    assert trained == ["teacher", "reference", "reference", "ours"]  # everything was saved
    assert again == first == full_run.saved_result(tmp_path, small)
    for name in ("teacher", "reference", "our"):
        low, high = first[f"{name}_ci95"]
        assert low <= first[f"{name}_accuracy"] <= high
        assert first[f"{name}_accuracy"] * TESTED == pytest.approx(round(first[f"{name}_accuracy"] * TESTED))
    assert first["accuracy_difference"]["mean"] == pytest.approx(first["our_accuracy"] - first["reference_accuracy"])
    assert full_run.saved_result(tmp_path, replace(small, sha256="another copy")) is None
    teacher = full_run.saved_teacher(tmp_path)
    assert teacher is not None
    right = (Renormalised(teacher).eval()(to_float(small.test.images)).argmax(1) == small.test.hard_labels).sum()
    assert first["teacher_accuracy"] == pytest.approx(int(right) / TESTED, abs=2 / TESTED)
    full_run.full_run(small, exact, tmp_path, lambda line: None, epochs=2, restart=True)
    assert trained[4:] == ["teacher", "reference", "ours"]
