"""Students of several temperatures in one measured epoch."""

from __future__ import annotations

import pytest
import torch

from kdcore.experiments.bench import growth, sweep
from kdcore.machine.device import Device
from kdcore.settings.config import make_run_config


def test_every_student_of_a_sweep_learns_at_its_own_temperature(exact: Device) -> None:
    dataset = growth.random_dataset(20, 2)
    config = make_run_config("creatures", labels=20, seeds=1, student="convnet-2")
    logits = 5 * torch.randn(2, 20, 2, generator=torch.Generator().manual_seed(0))
    found = []
    for temperatures in ((1.0, 4.0), (4.0,)):
        work = sweep.one_epoch(config, temperatures, dataset, logits.half(), exact)
        found.append([work() for _ in range(3)])  # every time another epoch of the same students
    for both, alone in zip(*found, strict=True):
        assert set(both) == {("at 1", 0), ("at 4", 0)} and set(alone) == {("at 4", 0)}
        assert both["at 4", 0] == pytest.approx(alone["at 4", 0], rel=1e-4)
        assert both["at 1", 0] != pytest.approx(both["at 4", 0], rel=1e-2)
    assert found[1][0] != found[1][2]
