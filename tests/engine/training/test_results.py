"""The result of a run: every figure of every seed with its interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.events import RunFinished
from kdcore.networks.registry import build_model
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.teachers.load import load_teacher
from kdcore.training import results
from kdcore.training.trainer import train
from tests.engine.unmeasured import PRECISE


def test_the_result_holds_what_every_interval_needs(config: RunConfig, tmp_path: Path) -> None:
    finished = [event for event in train(config, home=tmp_path) if isinstance(event, RunFinished)]
    (event,) = finished
    for arm in ("baseline", "distilled"):
        for name in ("accuracy", "ece", "agreement", "nll", "kl_to_teacher"):
            estimate = event.result["arms"][arm][name]
            assert len(estimate["per_seed"]) == 2
            low, high = estimate["ci95"]
            assert low <= estimate["mean"] <= high


def test_a_control_is_compared_with_distilled_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval equals the paired one of Student's t, worked in NumPy, and differs from the interval of two
    independent samples."""
    monkeypatch.setattr(results, "measure_latency", lambda timed, device: dict.fromkeys(timed, ()))
    config = make_run_config("digits", student="mlp-8", seeds=3, labels=40, controls=("shuffled", "noise"))
    dataset, generator = load_dataset("digits"), torch.Generator().manual_seed(0)
    n = len(dataset.test)
    names = ("baseline", "distilled", *config.controls)
    own = torch.randn(3, n, 10, generator=generator)  # what the arms of a seed share
    logits = {name: own + 0.3 * torch.randn(3, n, 10, generator=generator) for name in names}
    networks = {name: build_model("mlp-8", (1, 8, 8), 10, seed=0) for name in names}
    found = results.build_result(config, dataset, load_teacher("digits"), networks, logits, PRECISE)["arms"]
    labels = dataset.test.hard_labels.numpy()
    right = {name: (value.argmax(2).numpy() == labels).astype(float) for name, value in logits.items()}
    for name in config.controls:
        gain = right[name] - right["distilled"]  # [S, N]
        by_seed, by_picture = gain.mean(1), gain.mean(0)
        # Half a picture more in each of four outcomes, and t of 2 degrees at 97.5 %.
        outcomes, weights = np.array([*by_picture, 0, 0, 1, -1]), np.array([1.0] * n + [0.5] * 4)
        middle = np.average(outcomes, weights=weights)
        variance = np.average((outcomes - middle) ** 2, weights=weights) / (n + 2)
        half = 4.302653 * np.sqrt(by_seed.var(ddof=1) / 3 + variance)
        assert found[name]["minus_distilled"]["per_seed"] == pytest.approx(by_seed.tolist())
        interval = (gain.mean() - half, gain.mean() + half)
        assert found[name]["minus_distilled"]["ci95"] == pytest.approx(interval, rel=1e-4)
    assert not any("minus_distilled" in found[name] for name in ("teacher", "baseline", "distilled"))
