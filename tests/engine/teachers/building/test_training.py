"""The training of a teacher never waits for the device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.machine.device import Device
from kdcore.teachers.building.training import train_teacher
from tests.engine.trained_together import PLAIN, train, weights


@pytest.mark.parametrize("model", ["convnet-4", "airbench-4-8"])
def test_no_step_reads_from_the_device(tmp_path: Path, model: str) -> None:
    meta = Device(torch.device("meta"), "fp32", "none", 1)  # its tensors have shapes but no values to read
    recipe = replace(PLAIN, model=model, balance=0.0)
    stop_checks = 0

    def after_three_steps() -> bool:
        nonlocal stop_checks
        stop_checks += 1
        return stop_checks == 3

    assert list(train_teacher(recipe, load_dataset("digits"), meta, tmp_path / "none", after_three_steps)) == []
    assert stop_checks == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_no_step_waits_for_the_device(tmp_path: Path) -> None:
    steps, stop_checks = len(load_dataset(PLAIN.dataset).train) // PLAIN.batch_size, 0

    def watch() -> bool:
        nonlocal stop_checks
        stop_checks += 1
        torch.cuda.set_sync_debug_mode("default" if stop_checks % steps == 0 else "error")
        return False

    try:
        there = weights(train(PLAIN, tmp_path / "cuda", "cuda", should_stop=watch))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert stop_checks == steps * PLAIN.epochs
    torch.testing.assert_close(there, weights(train(PLAIN, tmp_path / "cpu", "cpu")), atol=1e-3, rtol=1e-3)
