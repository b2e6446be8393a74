"""The benchmark: the tutorial's networks and losses, numbers of FLOPs, and the form of the result of every part.

No test here compares times.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdcore.cli.bench_text import table
from kdcore.cli.main import main
from kdcore.datasets.base import Dataset, DatasetStatus
from kdcore.errors import ConfigError, KdError, UnknownName
from kdcore.experiments.bench import ceiling, clock, full_run, growth, reference, report, sweep, tutorial
from kdcore.experiments.bench.memory import PeakMemory
from kdcore.experiments.bench.networks import MEAN, STD, Renormalised, build_deep, build_light
from kdcore.experiments.bench.tutorial import Pictures, TimedShare
from kdcore.jobs import machine_turn
from kdcore.machine.device import Device, pick_device
from kdcore.networks.registry import count_params
from kdcore.pictures.views import to_float
from kdcore.settings.config import make_run_config
from kdcore.store import Store

TESTED = 60
TINY = report.Plan(
    repeats=2,
    device="cpu",
    extent=TimedShare(reference_batches=1, warm_up=1, steps=2, teacher_pictures=64),
    sizes=ceiling.CeilingSizes("convnet-2", 8, 4, matrix=16, channels=8, conv_side=4, conv_batch=2, min_seconds=0),
    values=growth.GrowthValues((20, 40), (2, 5), (1, 2), base_pictures=20, base_classes=2, min_seconds=0),
    min_seconds=0,
)


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


def inputs(images: torch.Tensor) -> np.ndarray[Any, Any]:
    """Pictures as the tutorial normalises them, in NumPy."""
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (MEAN, STD))
    return (images.numpy() / 255 - mean) / std


# --- the two networks ---


def test_the_networks_are_the_tutorials() -> None:
    assert count_params(build_deep(0)) == 1_186_986
    assert count_params(build_light(0)) == 267_738
    for network, outputs, widest in ((build_deep(0), [128, 64, 64, 32], 2048), (build_light(0), [16, 16], 1024)):
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
        assert [layer.out_channels for layer in network if isinstance(layer, nn.Conv2d)] == outputs
        assert next(layer for layer in network if isinstance(layer, nn.Linear)).in_features == widest
        assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.1]


@pytest.mark.parametrize("build", [build_deep, build_light])
def test_lean_networks_compute_the_same(build: Callable[..., nn.Module]) -> None:
    plain, lean = build(3, dropout=0.0), build(4, dropout=0.0, lean=True)
    lean.load_state_dict(plain.state_dict())  # the same names
    kinds = [[type(layer) for layer in network] for network in (plain, lean)]
    assert kinds[0] != kinds[1] and all(layer.inplace for layer in lean if isinstance(layer, nn.ReLU))
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers, slopes = [], []
    for network in (plain, lean):
        answers.append(network(pictures))
        slopes.append(torch.autograd.grad(answers[-1].square().sum(), list(network.parameters())))
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-6, atol=1e-7)
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def test_both_sides_show_the_same_numbers_to_a_network(small: Dataset) -> None:
    images = small.train.images[:5]
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            seen.append(pictures)
            return pictures

    Renormalised(Spy())(to_float(images))
    pictures = reference.PictureDataset(images.numpy(), small.train.hard_labels.numpy())
    plain = torch.stack([pictures[row][0] for row in range(5)])
    for found in (seen[0], plain):
        np.testing.assert_allclose(found.numpy(), inputs(images), atol=1e-5)


def test_workers_can_be_sent_the_pictures_by_any_start_method(small: Dataset) -> None:
    loader = reference.make_loader(small.train.images, small.train.hard_labels)
    assert loader.num_workers == 2 and loader.batch_size == 128
    copy = pickle.loads(pickle.dumps(loader.dataset))
    assert torch.equal(copy[3][0], loader.dataset[3][0]) and copy[3][1] == small.train.hard_labels[3]


# --- the two loops ---


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray[Any, Any] = powers / powers.sum(1, keepdims=True)
    return found


def test_the_references_loss_is_the_tutorials_formula(small: Dataset, exact: Device) -> None:
    teacher, student = build_deep(1), build_light(2, dropout=0.0)
    pictures = tutorial.pictures_of(small)
    images, labels = pictures.images[:128], pictures.hard_labels[:128]
    x = torch.from_numpy(inputs(images)).float()
    with torch.no_grad():
        teacher_logits, logits = teacher(x).double().numpy(), student(x).double().numpy()
    soft = -(softmax(teacher_logits / 2) * np.log(softmax(logits / 2))).sum() / 128 * 2**2
    hard = -np.log(softmax(logits))[np.arange(128), labels.numpy()].mean()
    loader = reference.make_loader(images, labels, workers=0, shuffle=False)
    with closing(reference.train_reference(teacher, student, loader, 1, exact.torch)) as steps:
        assert next(steps) == pytest.approx(0.25 * soft + 0.75 * hard, rel=1e-5)


def test_both_loops_take_the_same_steps(small: Dataset, exact: Device) -> None:
    """In fp32, without dropout and in the same order: three steps, the last into a second epoch."""
    pictures = tutorial.pictures_of(small)
    teacher = build_deep(1)
    with torch.no_grad():
        list(teacher.parameters())[-2].mul_(400)  # so that the soft labels differ from a uniform distribution
    logits = tutorial.teacher_logits_of(Renormalised(teacher).eval(), pictures, exact)
    plain, ours = build_light(2, dropout=0.0), build_light(2, dropout=0.0)
    before = [weight.clone() for weight in ours.state_dict().values()]
    loader = reference.make_loader(pictures.images, pictures.hard_labels, workers=0, shuffle=False)
    losses = []
    for steps in (
        reference.train_reference(teacher, plain, loader, 2, exact.torch),
        tutorial.train_ours(Renormalised(ours), pictures, logits, 2, 0, exact, shuffle=False),
    ):
        with closing(steps):
            losses.append([float(loss) for loss in islice(steps, 3)])
    # Cross-entropy with soft labels is KL plus their entropy, which has the same weight.
    soft_labels = softmax(logits[:128].double().numpy() / 2)
    entropy = -(soft_labels * np.log(soft_labels)).sum(1).mean()
    assert 0.2 < entropy < 2.0
    assert losses[0][0] - losses[1][0] == pytest.approx(0.25 * 2**2 * entropy, rel=1e-3)
    states = (plain.state_dict(), ours.state_dict())
    for (name, one), other, start in zip(states[0].items(), states[1].values(), before, strict=True):
        moved = (one - start).abs().max()
        assert moved > 1e-3, name  # three steps of Adam at a rate of 0.001
        # Adam divides by the size of a gradient; where the gradient is only rounding error, so is the step.
        assert ((one - other).abs() < 0.01 * moved).double().mean() > 0.99, name


def test_our_loop_trains_a_teacher_without_one(small: Dataset, exact: Device) -> None:
    network = Renormalised(build_light(0, dropout=0.0))
    losses = [float(loss) for loss in tutorial.train_ours(network, tutorial.pictures_of(small), None, 12, 0, exact)]
    assert len(losses) == 12 * 2  # two batches an epoch, the second smaller
    assert losses[0] == pytest.approx(np.log(10), abs=0.2) and losses[-1] < losses[0]


# --- the machine's ceiling ---


def test_flops_worked_by_hand(exact: Device) -> None:
    sizes = ceiling.CeilingSizes("convnet-4", 8, 5, matrix=12, channels=8, conv_side=6, conv_batch=2)
    # Operations of one picture in the forward pass: 3x3 convolutions to 4, 8 and 16 channels on 8, 4 and 2 pixels, then
    # 16 channels in 2 x 2 places to 10 classes.
    layers = [2 * 9 * 3 * 4 * 64, 2 * 9 * 4 * 8 * 16, 2 * 9 * 8 * 16 * 4, 2 * 16 * 4 * 10]
    backward = 2 * sum(layers) - layers[0]  # for pictures and weights, but not for the input pictures
    assert ceiling.training_work(sizes, exact).flops == 5 * (sum(layers) + backward)
    assert ceiling.matrix_work(sizes, exact, torch.float32).flops == 2 * 12**3
    convolution = ceiling.convolution_work(sizes, exact, torch.float32)
    with FlopCounterMode(display=False) as counter:
        convolution.run_once()
    assert convolution.flops == counter.get_total_flops() == 3 * 2 * 9 * 2 * 36 * 8 * 8


def test_the_work_of_the_large_network() -> None:
    """The forward pass of Jordan's network by hand, layer by layer: its stages see 31, 15 and 7 pixels."""
    from kdcore.networks.registry import build_model, count_macs

    whiten = 31**2 * 12 * 24
    stages = [(24, 128, 31, 15), (128, 384, 15, 7), (384, 384, 7, 3)]
    macs = sum(9 * (a * b * first**2 + b * b * second**2) for a, b, first, second in stages)
    name = ceiling.CeilingSizes().model
    assert count_macs(build_model(name, (3, 32, 32), 10, seed=0), (3, 32, 32)) == whiten + macs + 384 * 10


def test_turns_medians_and_spread() -> None:
    lines: list[str] = []
    values: dict[str, Iterator[float]] = {"a": iter([5.0, 1.0, 2.0]), "b": iter([7.0, 8.0, 9.0])}
    jobs = {name: lambda name=name: next(values[name]) for name in values}
    found = clock.measure_in_turns(jobs, 3, lines.append)
    assert [line[0] for line in lines] == ["a", "b"] * 3
    assert found["a"].median == 2.0 and found["a"].range == [1.0, 5.0]
    assert found["b"].seconds == (7.0, 8.0, 9.0)


def test_peak_memory_sees_what_was_held_for_a_moment() -> None:
    """Runs in a process of its own: this one may already hold enough memory from earlier tests."""
    code = """
import time
import numpy as np
from kdcore.experiments.bench import memory
memory.SAMPLE_SECONDS = 0.01
with memory.PeakMemory() as peak:
    before = peak.mb
    array = np.ones(256 * 2**20, np.uint8)
    while peak.mb < before + 200:  # wait until the watching thread takes a sample
        time.sleep(0.005)
    del array
print(before, peak.mb)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    before, most = (float(number) for number in found.stdout.split())
    assert before + 200 < most < before + 600


def test_memory_is_in_millions_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=7_000_000), children=lambda recursive: [worker])
    worker = SimpleNamespace(memory_full_info=lambda: SimpleNamespace(uss=1_500_000))
    monkeypatch.setattr(psutil, "Process", lambda: whole)
    with PeakMemory() as peak:
        assert peak.mb == pytest.approx(8.5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's C library is told to keep memory")
def test_a_process_that_keeps_what_it_frees_asks_the_system_for_no_more() -> None:
    code = """
import resource, torch
from kdcore.machine.allocator import keep_freed_memory
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)  # 64 MiB, more than glibc ever learns to keep by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first = pages()
print(keep_freed_memory(), first, pages(), pages())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    kept_memory, by_default, once, kept = done.stdout.split()
    if kept_memory == "False":  # another C library, whose settings are not changed
        return
    assert int(kept) < 100 < int(by_default) / 10, (by_default, once, kept)


# --- the sweep ---


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


# --- the whole ---


def test_every_part_has_the_agreed_shape(
    pictures: None, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the home that all tests share, where `creatures` may be drawn already; the full run's files go elsewhere.
    monkeypatch.setattr(report, "bench_folder", lambda: tmp_path)
    monkeypatch.setattr(full_run, "PROGRESS_SECONDS", 0.0)
    lines: list[str] = []
    found = json.loads(json.dumps(report.measure(replace(TINY, full=True, epochs=1), lines.append)))
    assert set(found["tutorial"]) >= {
        "reference_seconds",
        "our_seconds",
        "ratio",
        "reference_accuracy",
        "our_accuracy",
    }
    one = found["tutorial"]
    assert one["ratio"] == pytest.approx(one["reference_seconds"] / one["our_seconds"])
    assert one["pictures"] == 150 and one["epochs"] == 10
    assert one["timed"] == {"reference_batches": 1, "our_steps": 2, "teacher_pictures": 64}
    assert set(found["ceiling"]) >= {"share", "train_tflops", "matmul_tflops", "conv_tflops", "images_per_second"}
    part = found["ceiling"]
    assert part["share"] == pytest.approx(part["train_tflops"] / part["conv_tflops"])
    assert part["matmul_tflops"] == part["matmul_tflops_by_precision"][part["precision"]]
    assert found["sweep"]["students"] == 16
    assert found["sweep"]["ratio"] == pytest.approx(found["sweep"]["all_seconds"] / found["sweep"]["one_seconds"])
    rows = [(row["what"], row["value"]) for row in found["growth"]]
    assert rows == [
        ("pictures", 20),
        ("pictures", 40),
        ("classes", 2),
        ("classes", 5),
        ("students", 1),
        ("students", 2),
    ]
    for first, second in zip(found["growth"][::2], found["growth"][1::2], strict=True):
        assert first["relative"] == 1.0
        assert second["relative"] == pytest.approx(second["seconds"] / first["seconds"])
    assert found["peak_memory_mb"] > 50 and not any("by_part" in name for name in found)
    assert found["device"] and found["repeats"] == 2 and re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    assert {re.split("[:,]", line)[0] for line in lines} == {"full run", *report.PARTS}
    words = table(found)
    words.encode("ascii")
    assert f"from the full run of {found['date']}" in words and "16 students cost" in words


def test_parts_that_are_not_asked_for_are_not_measured(home: Path) -> None:
    found = report.measure(replace(TINY, parts=("ceiling",), repeats=1))
    assert [part for part in report.PARTS if found[part] is not None] == ["ceiling"]
    assert "tutorial" not in table(found)
    assert f"peak memory {found['peak_memory_mb']:.0f} MB" in table(found)


def test_plans_that_are_not_legal() -> None:
    with pytest.raises(UnknownName, match="tutorial, ceiling, sweep, growth"):
        report.check_plan(report.Plan(parts=("speed",)))
    for plan in (
        report.Plan(repeats=0),
        report.Plan(repeats=101),
        report.Plan(restart=True),
        report.Plan(parts=("sweep",), full=True),
    ):
        with pytest.raises(ConfigError):
            report.check_plan(plan)
    for device in ("gpu", *(() if torch.cuda.is_available() else ("cuda",))):
        with pytest.raises(ConfigError, match="choose"):
            report.check_plan(report.Plan(device=device))
    assert report.check_plan(report.Plan(parts=("growth", "tutorial"))).parts == ("tutorial", "growth")


# --- the full run ---


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


# --- the command ---


def test_the_command_holds_the_machine_while_it_measures(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held: list[bool] = []

    def measure(plan: report.Plan, say: clock.ProgressCallback) -> dict[str, Any]:
        with Store() as store:
            try:
                with machine_turn.reserve_machine(store, "latency"):
                    held.append(False)
            except machine_turn.MachineBusy:
                held.append(True)
        return real(replace(TINY, parts=plan.parts, repeats=plan.repeats), say)

    real = report.measure
    monkeypatch.setattr(report, "measure", measure)
    assert main(["bench", "--only", "ceiling", "--repeats", "1", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and json.loads(shown.out)["ceiling"]["share"] > 0
    assert held == [True]
    with Store() as store, machine_turn.reserve_machine(store, "latency"):
        pass  # the machine is free again


def test_the_command_waits_for_what_has_the_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    waited: list[float] = []
    turn = machine_turn.reserve_machine

    def listen(self: object, line: str) -> None:
        lines.append(line)

    with Store() as store, turn(store, "latency"):

        def leave(store: Store, what: str, visitor: str, wait: float = 0.0) -> Any:
            waited.append(wait)
            if wait:
                raise KeyboardInterrupt  # the user presses Ctrl-C instead of waiting
            return turn(store, what, visitor, wait)

        monkeypatch.setattr(machine_turn, "reserve_machine", leave)
        monkeypatch.setattr("kdcore.cli.answer.ProgressLine.__call__", listen)
        assert main(["bench", "--only", "ceiling"]) == 1
    assert waited == [0.0, float("inf")]
    assert any(line.startswith("waiting for run") for line in lines)


def test_a_plain_loop_that_died_is_one_sentence(small: Dataset, exact: Device) -> None:
    with reference.plain_loop(small.train.images, small.train.hard_labels, build_deep(0), 0, exact) as loop:
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(KdError, match="plain loop died"):
            loop.seconds_per_step(1, 1)


def test_what_the_command_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    monkeypatch.delenv("KDCORE_DATA", raising=False)

    def wait(*rest: Any) -> Any:
        raise KeyboardInterrupt  # the refusal must come before waiting for the machine

    monkeypatch.setattr(machine_turn, "reserve_machine", wait)
    for arguments, words in (
        (["--only", "speed"], "choose one of: tutorial, ceiling, sweep, growth"),
        (["--repeats", "0"], "from 1 to 100"),
        (["--only", "ceiling", "--device", "gpu"], "choose one of: auto, cpu, cuda"),
        (["--only", "tutorial"], "cifar10 is not on this machine"),
    ):
        assert main(["bench", *arguments]) == 2
        shown = capsys.readouterr()
        assert words in shown.err and shown.err.count("\n") == 1 and not shown.out


def test_ctrl_c_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(plan: report.Plan, say: clock.ProgressCallback) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "measure", stop)
    monkeypatch.setattr("kdcore.datasets.dataset_status", lambda name: DatasetStatus(name, True, "here", ""))
    again = "Stopped; what the full run trained is kept, and kdcore bench --full{} goes on from there."
    for arguments, words in (
        ("", "Stopped."),
        ("--full", again.format(" --repeats 5 --device auto")),
        (
            "--full --restart",
            again.format(" --repeats 5 --device auto"),
        ),  # with --restart it would delete what is saved
        (
            "--full --restart --only tutorial --repeats 2 --device cpu",
            again.format(" --only tutorial --repeats 2 --device cpu"),
        ),
    ):
        assert main(["bench", *arguments.split()]) == 1
        shown = capsys.readouterr()
        assert words in shown.err and shown.err.count("\n") == 1 and not shown.out
    with Store() as store, machine_turn.reserve_machine(store, "latency"):
        pass  # the machine is free again
