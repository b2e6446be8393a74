"""What the engine leaves as it was in a process that is not its own: threads, random state, gradient mode, weights."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdcore.cli.main import main
from kdcore.events import RunFinished
from kdcore.machine.device import torch_threads, with_torch_threads
from kdcore.networks.registry import MODELS, build_model
from kdcore.networks.seeded import SeededDraws
from kdcore.settings.config import make_run_config
from kdcore.training.trainer import train

TORCHVISION = [f"torchvision:{name}" for name in ("resnet18", "vit_b_32", "swin_t", "squeezenet1_1", "mnasnet0_5")]


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """What each of `count` threads that do `work` at the same time returns."""
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def default_threads() -> int:
    """The number of torch threads that a new thread gets."""
    return int(in_threads(1, torch.get_num_threads)[0])


def reference_weights(name: str, shape: tuple[int, int, int], seed: int) -> dict[str, torch.Tensor]:
    """The weights that PyTorch's own way gives: seed the global generator, then build."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(name, shape, 10).state_dict()


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert list(first) == list(second)
    for name, value in first.items():
        assert value.dtype == second[name].dtype and torch.equal(value, second[name]), name


@pytest.mark.parametrize("seed", [0, 20240])
@pytest.mark.parametrize("name", [*(family.example for family in MODELS.values()), *TORCHVISION])
def test_a_seed_gives_the_weights_of_the_global_generator_and_leaves_that_alone(name: str, seed: int) -> None:
    shape = (3, 224, 224) if ":" in name else (3, 32, 32)
    before = torch.get_rng_state()
    assert_same(build_model(name, shape, 10, seed=seed).state_dict(), reference_weights(name, shape, seed))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_of_a_seed_do_not_depend_on_what_other_threads_draw() -> None:
    expected, done = reference_weights("convnet-8", (3, 32, 32), 3), threading.Event()

    def disturb() -> None:
        while not done.is_set():
            torch.manual_seed(1)
            torch.rand(100)

    other = threading.Thread(target=disturb)
    other.start()
    try:
        built = in_threads(3, lambda: [build_model("convnet-8", (3, 32, 32), 10, seed=3) for _ in range(20)])
    finally:
        done.set()
        other.join()
    for network in itertools.chain.from_iterable(built):
        assert_same(network.state_dict(), expected)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(3, 4),
        lambda: torch.randn(40),
        lambda: torch.randint(9, (5,)),
        lambda: torch.randint(2, 9, (5,)),
        lambda: torch.randperm(7),
        lambda: torch.normal(0.0, 1.0, (5,)),
        lambda: torch.bernoulli(torch.full((9,), 0.5)),
        lambda: torch.multinomial(torch.ones(9), 4),
        lambda: torch.empty(9).exponential_(),
        lambda: nn.init.trunc_normal_(torch.empty(9)),
        lambda: nn.init.orthogonal_(torch.empty(4, 4)),
        lambda: nn.init.sparse_(torch.empty(6, 6), 0.5),
    ],
)
def test_every_way_of_drawing_is_seeded(draw: Callable[[], torch.Tensor]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        expected = draw()
        before = torch.get_rng_state()
        with SeededDraws(8):
            drawn = draw()
        assert torch.equal(drawn, expected) and torch.equal(torch.get_rng_state(), before)


def test_drawing_that_no_generator_can_decide_is_refused() -> None:
    with SeededDraws(0), pytest.raises(RuntimeError, match="takes no generator"):
        torch.native_dropout(torch.ones(9), 0.5, True)


def test_threads_are_the_callers_between_steps_and_after_an_early_end() -> None:
    def work() -> Generator[int, None, None]:
        try:
            yield torch.get_num_threads()
            yield torch.get_num_threads()
        finally:
            seen.append(torch.get_num_threads())

    seen: list[int] = []
    with torch_threads(3):
        steps = with_torch_threads(2, work())
        for _ in range(2):
            assert (next(steps), torch.get_num_threads()) == (2, 3)
        del steps
        assert (seen, torch.get_num_threads()) == ([2], 3)


def test_overlapping_changes_leave_each_thread_and_the_default_as_they_were() -> None:
    before, meeting, leaving = default_threads(), threading.Barrier(2), threading.Barrier(2)
    kept = []

    def first() -> None:
        torch.set_num_threads(before)
        with torch_threads(before + 1):
            meeting.wait()
            leaving.wait()
        kept.append(torch.get_num_threads() == before)

    def second() -> None:
        meeting.wait()
        seen = torch.get_num_threads()
        with torch_threads(before + 2):
            leaving.wait()
            other.join()
        kept.append(torch.get_num_threads() == seen)

    other, last = threading.Thread(target=first), threading.Thread(target=second)
    for thread in (other, last):
        thread.start()
    last.join()
    assert kept == [True, True] and default_threads() == before


def test_a_run_leaves_threads_randomness_and_gradients_to_the_caller_at_every_event() -> None:
    config = make_run_config("digits", labels=40, seeds=1, epochs=1)
    random.seed(4)
    np.random.seed(4)
    torch.manual_seed(4)
    with torch_threads(2), torch.no_grad():
        before = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())
        running = threading.active_count()
        for event in train(config):
            assert torch.get_num_threads() == 2 and not torch.is_grad_enabled()
            last = event
        assert isinstance(last, RunFinished)
        after = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())
        assert after == before and threading.active_count() <= running
        stopped = train(config)
        next(stopped)
        del stopped
        assert torch.get_num_threads() == 2
    assert default_threads() == torch.get_num_threads()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu")])
def test_a_run_inside_the_callers_own_context_has_the_same_result(context: Callable[[], Any]) -> None:
    config = make_run_config("digits", labels=40, seeds=1, epochs=1)
    assert accuracies(config) == in_context(context, lambda: accuracies(config))


def in_context(context: Callable[[], Any], work: Callable[[], Any]) -> Any:
    with context():
        return work()


def accuracies(config: Any) -> list[Any]:
    result = next(event for event in train(config) if isinstance(event, RunFinished)).result
    return [result["arms"][arm]["nll"]["per_seed"] for arm in ("baseline", "distilled")]


def test_runs_in_several_threads_have_the_result_of_one() -> None:
    config = make_run_config("digits", labels=60, seeds=2, epochs=2)
    alone = accuracies(config)
    assert in_threads(3, lambda: accuracies(config)) == [alone] * 3
    assert default_threads() == torch.get_num_threads()


def test_importing_the_public_names_changes_nothing_of_the_process() -> None:
    # Except that scipy adds a filter for its own category of warnings.
    code = (
        "import os, signal, sys, threading, warnings, torch, random, numpy\n"
        "def state(): return ([f for f in warnings.filters if 'scipy' not in str(f)], dict(os.environ),"
        " sys.excepthook, threading.active_count(),"
        " [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)], torch.get_num_threads(),"
        " torch.get_rng_state().tolist(), random.getstate(), torch.is_grad_enabled(), torch.get_default_dtype())\n"
        "before = state()\n"
        "import kdcore\n"
        "[getattr(kdcore, name) for name in kdcore.__all__]\n"
        "assert state() == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_digits_are_scikit_learns_and_loading_them_changes_nothing_of_the_process() -> None:
    code = (
        "import random, warnings, numpy, kdcore\n"
        "kdcore.load_dataset\n"
        "before = list(warnings.filters), random.getstate()\n"
        "digits = kdcore.load_dataset('digits')\n"
        "assert (list(warnings.filters), random.getstate()) == before\n"
        "from sklearn.datasets import load_digits\n"
        "images = numpy.concatenate([getattr(digits, split).images for split in ('train', 'validation', 'test')])\n"
        "expected = numpy.rint(load_digits().images * (255 / 16)).astype('uint8')\n"
        "assert sorted(map(bytes, images)) == sorted(map(bytes, expected))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_command_called_from_python_leaves_the_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(warnings.filters)
    assert main(["methods", "--json"]) == 0 and capsys.readouterr().out
    assert warnings.filters == before
