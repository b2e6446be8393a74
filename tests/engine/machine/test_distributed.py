"""Training in several processes gives the teacher that one process trains; and trainings on other devices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from kdcore.machine import paths
from kdcore.machine.distributed import World
from kdcore.machine.tensor_files import load_tensors
from kdcore.pictures.views import RandomViews
from tests.engine.trained_together import NORM, PLAIN, train, weights

ROOT = Path(__file__).parents[3]
BOUND = 200.0  # seconds that a job may take on a busy machine


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a module in two processes with one thread each; warnings are errors there too."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_weighted_means_of_all_shares_average_to_the_mean() -> None:
    batch = np.random.default_rng(0).normal(size=23)
    for size in (1, 2, 5):
        worlds = [World(rank, size) for rank in range(size)]
        assert sorted(value for world in worlds for value in batch[world.share]) == sorted(batch)
        assert np.mean([world.weight(23) * batch[world.share].mean() for world in worlds]) == pytest.approx(
            batch.mean()
        )
    assert [World(rank, 2).weight(128) for rank in range(2)] == [1.0, 1.0]


def test_a_share_of_the_views_is_a_share_of_the_same_views() -> None:
    images = torch.randint(256, (7, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for views in (PLAIN.views, RandomViews(flip=True, shift=0.2)):
        generators = [torch.Generator().manual_seed(1) for _ in range(2)]
        all_views = views.apply(images, generators[0])
        torch.testing.assert_close(views.apply(images, generators[1], share=World(1, 3).share), all_views[1::3])
        assert generators[0].get_state().equal(generators[1].get_state())


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")),
    ],
)
def test_two_processes_make_the_teacher_that_one_makes(tmp_path: Path, device: str) -> None:
    first_epoch = tmp_path / "checkpoint"
    alone = train(PLAIN, first_epoch, device)
    next(alone)
    checkpoints = [tmp_path / f"checkpoint-{PLAIN.name}-{rank}" for rank in range(2)]
    for checkpoint in checkpoints:  # both processes continue after the first epoch
        shutil.copy(first_epoch, checkpoint)
    untouched = first_epoch.read_bytes()
    job = start("tests.engine.trained_together", tmp_path, device)
    expected = weights(alone)  # meanwhile, in one process
    _out, err = job.communicate(timeout=BOUND)
    assert job.returncode == 0, err
    for recipe in (PLAIN, NORM):
        ranks = [load_tensors(tmp_path / f"{recipe.name}-{rank}")[0] for rank in range(2)]
        assert all(torch.equal(value, ranks[1][name]) for name, value in ranks[0].items())
        if recipe is PLAIN:
            torch.testing.assert_close(ranks[0], expected, atol=1e-6, rtol=1e-5)
    assert load_tensors(checkpoints[0])[1]["epoch"] == "2"
    assert checkpoints[1].read_bytes() == untouched
    assert (tmp_path / f"checkpoint-{NORM.name}-0").exists()
    assert not (tmp_path / f"checkpoint-{NORM.name}-1").exists()


def test_the_first_process_speaks_and_writes_for_all(tmp_path: Path) -> None:
    train_it = ("kdcore", "teachers", "train", NORM.name, "--device", "cpu", "--out", tmp_path, "--json")
    job = start("tests.engine.trained_together", *train_it)
    out, err = job.communicate(timeout=BOUND)
    assert (job.returncode, "kdcore" in err) == (0, False), err
    (card,) = json.loads(out)["cards"]  # one JSON object, not two
    assert json.loads((tmp_path / f"{NORM.name}.json").read_text())["sha256"] == card["sha256"]
    assert card["command"] == f"torchrun --nproc-per-node=2 -m kdcore teachers train {NORM.name}"


def test_an_error_of_all_is_said_once() -> None:
    job = start("kdcore", "teachers", "train", "nothing", "--device", "cpu")
    out, err = job.communicate(timeout=BOUND)
    assert (job.returncode > 0, out) == (True, "")
    assert err.count("kdcore: ") == err.count('There is no recipe "nothing"') == 1


def test_when_one_process_is_killed_the_job_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    checkpoint = paths.home() / "teachers" / "digits.safetensors"
    job = start("kdcore", "teachers", "train", "digits", "--device", "cpu")
    while not checkpoint.exists():
        assert job.poll() is None
        time.sleep(0.02)
    (second,) = (child for child in psutil.Process(job.pid).children() if child.environ()["RANK"] == "1")
    second.kill()
    out, err = job.communicate(timeout=BOUND)
    assert (job.returncode > 0, out) == (True, "")
    assert err.count("kdcore: ") == err.count("kdcore: Another process") <= 1  # torchrun may be quicker to end it
    assert checkpoint.exists()
