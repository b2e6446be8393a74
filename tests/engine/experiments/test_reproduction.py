"""Hinton's experiment with tiny networks: what each learns from, the bias correction, resuming, the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from scipy import optimize

from kdcore.cli.main import main
from kdcore.datasets import Dataset, load_dataset
from kdcore.datasets.base import Split
from kdcore.errors import ConfigError, StoreError, UnknownName
from kdcore.events import Event
from kdcore.experiments import reproductions
from kdcore.experiments.reproductions import fitting, hinton2015
from kdcore.experiments.reproductions.fitting import NetworkRecipe, TrainingData, move_pictures
from kdcore.experiments.reproductions.hinton2015 import reproduce
from kdcore.experiments.reproductions.output_bias import add_offset, fit_offset, share_of
from kdcore.experiments.reproductions.paper_errors import bias_offset
from kdcore.experiments.reproductions.paper_networks import make_experiment
from kdcore.experiments.reproductions.progress import ReproductionFinished, StageEpochEnded, StageFinished
from kdcore.experiments.reproductions.time_left import TimeLeft
from kdcore.machine.device import pick_device
from kdcore.machine.tensor_files import load_tensors
from kdcore.networks.inference import predict_logits

TEACHER = NetworkRecipe("dropoutmlp-128-128", 8, 16, "sgd", 0.1, max_norm=1.0)
STUDENT = NetworkRecipe("inkmlp-24-24", 4, 16, "adamw", 0.01)
TINY = make_experiment("digits", TEACHER, STUDENT, replace(STUDENT, epochs=6, jitter=1))
STAGES = ("teacher", "baseline", "distilled", "omitted_3", "only_7_8")
ROWS = ("teacher", "baseline", "distilled", "omitted_3", "omitted_3_bias", "only_7_8", "only_7_8_bias")


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    digits = load_dataset("digits")
    return replace(digits, train=digits.train.select(torch.arange(400)))


@pytest.fixture(scope="module")
def whole(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """The folder and the events of a reproduction that was not interrupted."""
    home = tmp_path_factory.mktemp("whole")
    return home, list(reproduce(2, experiment=TINY, dataset=tiny, device="cpu", home=home))


def result_of(events: list[Event]) -> dict[str, Any]:
    assert isinstance(events[-1], ReproductionFinished)
    return events[-1].result


def files_of(home: Path) -> dict[str, bytes]:
    """The weights of every network as bytes, by seed and name."""
    found = {}
    for path in sorted(home.glob("reproductions/hinton2015/seed-*/*.safetensors")):
        tensors, _ = load_tensors(path)
        found[f"{path.parent.name}/{path.stem}"] = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
    return found


# --- the result ---


def test_the_table_has_every_row_in_the_agreed_shape(whole: tuple[Path, list[Event]], tiny: Dataset) -> None:
    result = json.loads(json.dumps(result_of(whole[1])))
    assert set(result) == {"seconds", "device", "seeds", "rows"}
    assert result["seeds"] == [0, 1] and result["seconds"] > 0
    assert result["device"].endswith(("bf16", "fp32"))
    assert tuple(result["rows"]) == ROWS
    papers = [row["paper_errors"] for row in result["rows"].values()]
    assert papers == [67, 146, 74, 206, 109, 4730, 1320]
    size = len(tiny.test)
    for name, row in result["rows"].items():
        assert set(row) == {"paper_errors", "errors", "threes_right"}
        low, high = row["errors"]["ci95"]
        assert 0 <= low <= row["errors"]["mean"] <= high <= size
        assert [value == round(value) for value in row["errors"]["per_seed"]] == [True, True]
        assert (row["threes_right"] is None) == name.startswith("only_7_8")
    rows = result["rows"]
    assert rows["omitted_3"]["threes_right"]["mean"] < rows["omitted_3_bias"]["threes_right"]["mean"]
    assert rows["only_7_8_bias"]["errors"]["mean"] < rows["only_7_8"]["errors"]["mean"]


def test_errors_are_those_that_numpy_counts(whole: tuple[Path, list[Event]], tiny: Dataset) -> None:
    rows = result_of(whole[1])["rows"]
    labels = tiny.test.hard_labels.numpy()
    pictures = tiny.test.images.numpy().reshape(len(labels), -1) / 255
    for seed in (0, 1):
        path = whole[0] / "reproductions" / "hinton2015" / f"seed-{seed}" / "omitted_3.safetensors"
        layers = {name: tensor.numpy() for name, tensor in load_tensors(path)[0].items()}
        x = pictures
        for number in (2, 4, 6):
            x = x @ layers[f"network.{number}.weight"].T + layers[f"network.{number}.bias"]
            x = np.maximum(x, 0) if number < 6 else x
        chosen = x.argmax(1)
        slack = 4  # pictures whose two largest logits are so close that bf16 may round them to the other order
        assert rows["omitted_3"]["errors"]["per_seed"][seed] == pytest.approx((chosen != labels).sum(), abs=slack)
        share = (chosen[labels == 3] == 3).mean()
        assert rows["omitted_3"]["threes_right"]["per_seed"][seed] == pytest.approx(
            share, abs=slack / (labels == 3).sum()
        )


def test_every_epoch_is_told_with_the_time_left(whole: tuple[Path, list[Event]]) -> None:
    _, events = whole
    epochs = [event for event in events if isinstance(event, StageEpochEnded)]
    assert [event.done for event in epochs] == 2 * [
        *range(1, 9),
        *range(1, 5),
        *range(1, 5),
        *range(1, 5),
        *range(1, 7),
    ]
    assert [event.stage for event in events if isinstance(event, StageFinished)] == 2 * list(STAGES)
    assert epochs[-1].seconds_left == pytest.approx(0, abs=1e-9) and epochs[0].seconds_left > 0
    assert json.dumps([event.to_json() for event in events])


def test_the_time_left_worked_by_hand() -> None:
    left = TimeLeft({"big": (4, 100.0), "small": (2, 10.0)}, seeds=2)
    # 2 s for 100 units of work: 7 more epochs of the big one, and 4 of the small one at 0.2 s.
    assert left.after_epoch("big", 1, 2.0) == pytest.approx(7 * 2.0 + 4 * 0.2)
    left.finished("big")
    assert left.after_epoch("small", 2, 0.5) == pytest.approx(4 * 2.0 + 2 * 0.5)


# --- what learns from what ---


def test_no_network_sees_a_picture_that_it_must_not(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, TrainingData] = {}
    real = fitting.fit_network

    def spy(recipe: NetworkRecipe, data: TrainingData, *arguments: Any) -> Iterator[Any]:
        seen[arguments[3].stem] = data
        return real(replace(recipe, epochs=1), data, *arguments)

    monkeypatch.setattr(hinton2015, "fit_network", spy)
    list(reproduce(1, experiment=TINY, dataset=tiny, device="cpu", home=tmp_path))
    labels = tiny.train.hard_labels.numpy()
    allowed = {name: np.ones(len(labels), bool) for name in STAGES}
    allowed["omitted_3"] = labels != 3
    allowed["only_7_8"] = (labels == 7) | (labels == 8)
    network = fitting.build_model(TEACHER.model, tiny.image_shape, 10, seed=0)
    path = tmp_path / "reproductions" / "hinton2015" / "seed-0" / "teacher.safetensors"
    network.load_state_dict({name.removeprefix("network."): value for name, value in load_tensors(path)[0].items()})
    logits = predict_logits(network, tiny.train.images, pick_device("cpu"))
    for name in STAGES:
        data = seen[name]
        assert np.array_equal(data.split.hard_labels.numpy(), labels[allowed[name]])
        assert np.array_equal(data.split.images.numpy(), tiny.train.images.numpy()[allowed[name]])
        if name in ("teacher", "baseline"):
            assert data.teacher_logits is None
        else:
            assert data.teacher_logits is not None
            assert torch.equal(data.teacher_logits, logits[torch.from_numpy(allowed[name])])


def test_a_picture_moves_by_every_whole_step_equally_often() -> None:
    images = torch.zeros(5000, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 14, 13] = 255
    views = move_pictures(images, 2, torch.Generator().manual_seed(0)).numpy()
    assert set(np.unique(views.round(4))) == {-1.0, 1.0}  # nothing is blurred
    down, right = np.divmod(views.reshape(5000, -1).argmax(1), 28)
    counts = np.zeros((5, 5))
    np.add.at(counts, (down - 12, right - 11), 1)
    assert abs(counts - 200).max() < 5 * 200**0.5
    assert np.array_equal(move_pictures(images, 0, torch.Generator()).numpy(), images.numpy() / np.float32(127.5) - 1)


def test_no_hidden_unit_has_longer_weights_than_the_limit(whole: tuple[Path, list[Event]]) -> None:
    tensors, _ = load_tensors(whole[0] / "reproductions" / "hinton2015" / "seed-0" / "teacher.safetensors")
    norms = [np.linalg.norm(tensors[f"network.{number}.weight"].numpy(), axis=1) for number in (3, 6)]
    assert max(norm.max() for norm in norms) <= 1.0 + 1e-5
    assert max(norm.max() for norm in norms) > 0.95  # the limit was reached


# --- the bias correction ---


@pytest.mark.parametrize(("classes", "share"), [([3], 0.1), ([7, 8], 0.2), ([0, 4, 9], 0.45)])
def test_the_offset_is_the_root_that_scipy_finds(classes: list[int], share: float) -> None:
    logits = torch.randn(300, 10, generator=torch.Generator().manual_seed(len(classes))) * 5
    logits[:, classes] -= 6

    def surplus(offset: float) -> float:
        wide = logits.numpy().astype(np.float64)
        wide[:, classes] += offset
        probs = np.exp(wide - wide.max(1, keepdims=True))
        probs /= probs.sum(1, keepdims=True)
        return float(probs[:, classes].sum(1).mean() - share)

    offset = fit_offset(logits, classes, share)
    assert offset == pytest.approx(optimize.brentq(surplus, -60, 60, xtol=1e-12), abs=1e-8)
    probs = add_offset(logits, classes, offset).double().softmax(1)
    assert float(probs[:, classes].sum(1).mean()) == pytest.approx(share, abs=1e-5)


def test_the_offset_in_closed_form() -> None:
    # All pictures alike: the odds inside : outside are e^offset · (e^1 + e^2) : (1 + e^-1), and shall be 1 : 3.
    logits = torch.tensor([[1.0, 2.0, 0.0, -1.0]]).expand(50, -1)
    inside, outside = np.exp(1) + np.exp(2), 1 + np.exp(-1)
    assert fit_offset(logits, [0, 1], 0.25) == pytest.approx(np.log(outside / inside / 3), abs=1e-9)
    assert torch.equal(add_offset(logits, [0, 1], 0.5), logits + torch.tensor([0.5, 0.5, 0.0, 0.0]))


def test_the_rule_reads_no_label_but_those_of_training(tiny: Dataset) -> None:
    network = fitting.build_model("inkmlp-24-24", tiny.image_shape, 10, seed=0)
    planned, device = TINY.networks[3], pick_device("cpu")
    offset = bias_offset(planned, network, tiny, device)
    nothing: Any = None
    blind = replace(tiny, validation=Split(tiny.validation.images, nothing), test=nothing)
    assert bias_offset(planned, network, blind, device) == offset
    fewer = replace(tiny, train=tiny.train.select((tiny.train.hard_labels != 3).nonzero()[10:, 0]))
    assert share_of(fewer.train.hard_labels, [3]) == 0
    assert bias_offset(planned, network, fewer, device) < offset  # the class frequencies of training are used


# --- stopped, killed, continued ---


def test_a_finished_reproduction_is_not_trained_again(whole: tuple[Path, list[Event]], tiny: Dataset) -> None:
    events = list(reproduce(2, experiment=TINY, dataset=tiny, device="cpu", home=whole[0]))
    assert not any(isinstance(event, StageEpochEnded) for event in events)
    assert all(event.reused for event in events if isinstance(event, StageFinished))
    assert result_of(events)["rows"] == result_of(whole[1])["rows"]
    # With other settings, only the networks whose settings differ are trained again.
    other = make_experiment("digits", TEACHER, replace(STUDENT, epochs=1), replace(STUDENT, epochs=1))
    first = next(iter(reproduce(1, experiment=other, dataset=tiny, device="cpu", home=whole[0])))
    assert isinstance(first, StageFinished) and first.reused


@pytest.mark.parametrize("every_epoch", [True, False])
def test_stopped_at_any_batch_the_result_is_the_undisturbed_one(
    every_epoch: bool, whole: tuple[Path, list[Event]], tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SAVE_SECONDS", 0.0 if every_epoch else 1e9)
    events: list[Event] = []
    attempts = 0
    while not events or not isinstance(events[-1], ReproductionFinished):
        attempts += 1
        stop = after(150 + 70 * attempts)
        steps = reproduce(2, experiment=TINY, dataset=tiny, device="cpu", home=tmp_path, should_stop=stop)
        events += list(steps)
    assert attempts > 3
    assert result_of(events)["rows"] == result_of(whole[1])["rows"]
    assert files_of(tmp_path) == files_of(whole[0])
    if every_epoch:  # no finished epoch was repeated
        epochs = [(event.seed, event.stage, event.done) for event in events if isinstance(event, StageEpochEnded)]
        assert len(epochs) == len(set(epochs))


def after(batches: int) -> Callable[[], bool]:
    """A `should_stop` that returns True from the given batch on."""
    left = iter(range(batches))
    return lambda: next(left, None) is None


SCRIPT = """
import os, sys
from dataclasses import replace
from pathlib import Path
import torch
from kdcore.datasets import load_dataset
from kdcore.experiments.reproductions import fitting
from kdcore.experiments.reproductions.fitting import NetworkRecipe
from kdcore.experiments.reproductions.hinton2015 import reproduce
from kdcore.experiments.reproductions.paper_networks import make_experiment

fitting.SAVE_SECONDS = 0.0
student = NetworkRecipe("inkmlp-24-24", 4, 16, "adamw", 0.01)
teacher = NetworkRecipe("dropoutmlp-128-128", 8, 16, "sgd", 0.1, max_norm=1.0)
experiment = make_experiment("digits", teacher, student, replace(student, epochs=6, jitter=1))
digits = load_dataset("digits")
tiny = replace(digits, train=digits.train.select(torch.arange(400)))
for step in reproduce(2, experiment=experiment, dataset=tiny, device="cpu", home=Path(sys.argv[1])):
    if getattr(step, "stage", "") == "distilled" and getattr(step, "done", 0) == 2:
        os._exit(9)  # ends like a killed process, without cleaning up
"""


def test_killed_in_the_middle_it_goes_on(whole: tuple[Path, list[Event]], tiny: Dataset, tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], check=False, timeout=120, env=dict(os.environ)
    )
    assert killed.returncode == 9
    events = list(reproduce(2, experiment=TINY, dataset=tiny, device="cpu", home=tmp_path))
    finished = [event.reused for event in events if isinstance(event, StageFinished)]
    assert finished == [True, True] + 8 * [False]
    first = next(event for event in events if isinstance(event, StageEpochEnded))
    assert (first.stage, first.done) == ("distilled", 3)
    assert result_of(events)["rows"] == result_of(whole[1])["rows"]


def test_two_at_once_are_refused_and_restart_forgets(tiny: Dataset, tmp_path: Path) -> None:
    steps = reproduce(1, experiment=TINY, dataset=tiny, device="cpu", home=tmp_path, should_stop=after(60))
    list(steps)
    folder = tmp_path / "reproductions" / "hinton2015"
    (folder / "seed-7").mkdir()
    with FileLock(folder.with_suffix(".lock"), timeout=0), pytest.raises(StoreError, match="Another process"):
        next(iter(reproduce(1, experiment=TINY, dataset=tiny, device="cpu", home=tmp_path, restart=True)))
    assert folder.exists()
    list(
        reproduce(1, experiment=TINY, dataset=tiny, device="cpu", home=tmp_path, restart=True, should_stop=lambda: True)
    )
    assert not list(folder.glob("**/*.safetensors")) and not (folder / "seed-7").exists()


# --- the command ---


def run_tiny(tiny: Dataset) -> Callable[..., Iterator[Event]]:
    def run(seeds: int, **options: Any) -> Iterator[Event]:
        return reproduce(seeds, experiment=TINY, dataset=tiny, **options)

    return run


def test_the_command_prints_paper_beside_ours(
    whole: tuple[Path, list[Event]],
    tiny: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(whole[0]))
    monkeypatch.setitem(reproductions.REPRODUCTIONS, "hinton2015", run_tiny(tiny))
    arguments = ["reproduce", "hinton2015", "--seeds", "2", "--device", "cpu"]
    assert main([*arguments, "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and json.loads(out)["rows"] == result_of(whole[1])["rows"]
    assert main(arguments) == 0
    out, _ = capfd.readouterr()
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert lines["only_7_8_bias"][1] == "1320"
    mean = result_of(whole[1])["rows"]["distilled"]["errors"]["mean"]
    assert lines["distilled"][1:3] == ["74", f"{mean:.1f}"]
    assert out.isascii() and "2 seeds" in out


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Iterator[Event]:
        yield StageFinished(0, "teacher", 1.0, False)
        raise KeyboardInterrupt

    monkeypatch.setitem(reproductions.REPRODUCTIONS, "hinton2015", interrupted)
    assert main(["reproduce", "hinton2015", "--seeds", "2", "--json"]) == 1
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "kdcore reproduce hinton2015 --seeds 2 goes on" in err


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["hinton2015", "--seeds", "0"], ["hinton2015", "--device", "abacus"]]
)
def test_bad_usage_is_one_line(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tiny: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(reproductions.REPRODUCTIONS, "hinton2015", run_tiny(tiny))
    assert main(["reproduce", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1


def test_the_refusals_name_what_is_legal() -> None:
    with pytest.raises(UnknownName, match="hinton2015"):
        reproductions.find_reproduction("hinton2016")
    with pytest.raises(ConfigError, match="1 to 100"):
        next(iter(reproduce(0)))
