"""A teacher belongs to the pictures that it learned, by their hash, their shape and their classes, not by a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from kdcore.cli.main import main
from kdcore.datasets import Dataset, add_dataset, load_dataset
from kdcore.errors import ConfigError
from kdcore.events import Event, RunFinished, RunStarted, TeacherCached, TeacherEpochEnded
from kdcore.jobs.checks import check_can_run
from kdcore.networks.registry import build_model
from kdcore.pictures.views import ViewSet
from kdcore.settings.config import make_run_config
from kdcore.teachers.building import recipes
from kdcore.teachers.building.catalog import is_teacher_name
from kdcore.teachers.building.measure import measure_teacher
from kdcore.teachers.building.on_demand import must_be_trained, train_missing_teacher
from kdcore.teachers.card import ModelCard, Normalisation, list_teachers
from kdcore.teachers.ensembles import ensemble_card, member_logits
from kdcore.teachers.fit import fit_to
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits
from kdcore.teachers.sources.own import add_teacher, remove_teacher
from kdcore.teachers.sources.torchvision import fetch_published
from kdcore.training.trainer import train

SHADES = {"dim": 60, "grey": 130, "bright": 200}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    small = replace(recipes._CIFAR100, model="mlp-8", batch_size=32, learning_rate=0.01)
    monkeypatch.setattr(recipes, "_CIFAR100", small)
    monkeypatch.setattr(recipes, "is_available", lambda name: False)  # so that a network is trained from scratch
    return tmp_path / "home"


def paint(folder: Path, classes: tuple[str, ...], seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(SHADES.get(name, 30) + rng.integers(-30, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def run(dataset: str, **settings: Any) -> list[Event]:
    short = {"labels": 12, "epochs": 1, "seeds": 1, "student": "mlp-8", "device": "cpu", **settings}
    return list(train(make_run_config(dataset, **short)))


def notes(events: list[Event]) -> list[str]:
    """What a run says of its teachers' pictures; that a teacher of one epoch is at chance is left out."""
    (started,) = (event for event in events if isinstance(event, RunStarted))
    assert isinstance(events[-1], RunFinished)
    assert list(started.notes) == events[-1].result["notes"]
    return [note for note in started.notes if "at chance" not in note]


def write(folder: Path, classes: list[str], shape: tuple[int, int, int] = (3, 32, 32), **card: Any) -> Path:
    model = str(card.pop("model", "convnet-4"))
    path = folder / "given.safetensors"
    save_file(build_model(model, shape, len(classes), seed=2).state_dict(), path)
    data = {"model": model, "class_names": classes, "image_shape": shape, **card}
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_teacher_is_trained_anew_when_its_pictures_changed(tmp_path: Path) -> None:
    add_dataset(paint(tmp_path / "one", ("bright", "dim")), "shades", size=32)
    assert notes(run("shades")) == []
    (first,) = (card for card in list_teachers() if card.name == "shades")
    assert not must_be_trained("shades")
    assert not any(isinstance(event, TeacherEpochEnded) for event in run("shades"))
    changes: list[Callable[[], object]] = [
        lambda: add_dataset(paint(tmp_path / "three", ("bright", "dim", "grey")), "shades", size=32),
        lambda: add_dataset(tmp_path / "three", "shades", size=64),
    ]
    for change in changes:
        change()
        assert must_be_trained("shades")
        events = run("shades")
        assert any(isinstance(event, TeacherEpochEnded) for event in events)
        (note,) = notes(events)
        assert "trained anew" in note
        (card,) = (card for card in list_teachers() if card.name == "shades")
        dataset = load_dataset("shades")
        assert (card.dataset_sha256, card.class_names) == (dataset.sha256, dataset.class_names)
        assert card.sha256 != first.sha256
    renamed = tmp_path / "three"
    (renamed / "grey").rename(renamed / "middle")  # the same pixels and labels under another name
    add_dataset(renamed, "shades", size=64)
    assert "trained anew" in " ".join(notes(run("shades")))


def test_a_teacher_from_elsewhere_is_used_after_saying_what_it_learned(tmp_path: Path) -> None:
    add_dataset(paint(tmp_path / "one", ("bright", "dim")), "shades", size=32)
    add_dataset(paint(tmp_path / "two", ("bright", "dim"), seed=1), "others", size=32)
    sha256 = {name: load_dataset(name).sha256 for name in ("shades", "others")}
    classes = ["bright", "dim"]
    add_teacher(write(tmp_path, classes, dataset="shades", dataset_sha256=sha256["shades"]), "same")
    add_teacher(write(tmp_path, classes, dataset="shades", dataset_sha256=sha256["others"]), "other")
    add_teacher(write(tmp_path, classes, dataset="shades"), "silent")
    assert notes(run("shades", teacher="same")) == []
    assert "learned other pictures" in " ".join(notes(run("shades", teacher="other")))
    assert "does not say" in " ".join(notes(run("shades", teacher="silent")))
    assert len(notes(run("shades", teacher="other+silent"))) == 2
    assert measure_teacher("same", "cpu").notes == ""
    assert "learned other pictures" in measure_teacher("other", "cpu").notes


def test_names_of_datasets_teachers_and_controls_are_checked_against_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(paint(tmp_path / "animals", ("bright", "dim")))
    for name in ("animals", "creatures-distilled", "creatures-smoothed", "pets-undertrained", "resnet50", "unknown"):
        assert main(["datasets", "add", source, "--name", name]) == 2
        assert "--name" in capsys.readouterr().err
    assert main(["datasets", "add", source]) == 0  # nobody typed this name, so the dataset gets another one
    assert 'called "animals-2"' in capsys.readouterr().out
    weights = write(tmp_path, ["bright", "dim"])
    add_teacher(weights, "mine")
    assert main(["datasets", "add", source, "--name", "mine"]) == 2
    assert main(["datasets", "add", source, "--name", "shades"]) == 0
    run("shades", controls=("smoothed-teacher",))
    for name in ("shades", "shades-smoothed", "cifar100", "mine-smoothed", "nobody-undertrained"):
        with pytest.raises(ConfigError, match="--name"):
            add_teacher(weights, name)
    with pytest.raises(ConfigError, match="--name"):
        next(fetch_published("resnet18", "shades"))
    assert not is_teacher_name("shades")
    assert main(["datasets", "add", source, "--name", "shades"]) == 0  # with its own teacher here, it is added again
    assert is_teacher_name("shades-smoothed")


def test_a_dataset_that_has_the_name_of_a_teacher_all_the_same_says_the_way_out(tmp_path: Path) -> None:
    add_dataset(paint(tmp_path / "animals", ("bright", "dim")))  # as an older version did, which asked for no teachers
    config = make_run_config("animals", labels=12)
    for use in (check_can_run, lambda config: list(train(config))):
        with pytest.raises(ConfigError, match="under another name"):
            use(config)


def shuffled(dataset: Dataset, order: list[int], tmp_path: Path, name: str) -> None:
    """Add the bundled teacher of creatures with its classes in another order."""
    teacher = load_teacher("creatures")
    state = dict(teacher.network.network.state_dict())
    for key in list(state)[-2:]:
        assert len(state[key]) == len(order)
        state[key] = state[key][order].clone()
    path = tmp_path / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    classes = [dataset.class_names[place] for place in order]
    facts = {"model": teacher.card.model, "image_shape": dataset.image_shape, "calibration": teacher.card.calibration}
    card = {**facts, "class_names": classes, "dataset": "creatures", "dataset_sha256": dataset.sha256}
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    add_teacher(path)


def test_classes_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    dataset, original = load_dataset("creatures"), load_teacher("creatures")
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    shuffled(dataset, order, tmp_path, "mixed")
    shuffled(dataset, order[::-1], tmp_path, "remixed")
    images = dataset.test.images[:64]
    wanted = original.logits(images)
    mixed = load_teacher("mixed")
    assert torch.equal(mixed.logits(images), wanted[:, order])
    fitted = fit_to(dataset, mixed, "")
    assert fitted.card.class_names == dataset.class_names
    assert torch.equal(fitted.logits(images), wanted)
    both = load_teacher("mixed+remixed+creatures@logits")
    fitted_both = fit_to(dataset, both, "")
    assert torch.allclose(fitted_both.logits(images), wanted, atol=0.05)
    assert torch.allclose(member_logits(fitted_both, images)[:, 2], wanted, atol=0.05)
    accuracy = measure_teacher("creatures", "cpu").accuracy
    assert measure_teacher("mixed", "cpu").accuracy == accuracy
    events = run("creatures", teacher="mixed", method="kd", labels=40)
    assert notes(events) == []
    assert events[-1].result["arms"]["teacher"]["accuracy"]["mean"] == pytest.approx(accuracy)
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    add_teacher(write(tmp_path, [decomposed, "dim"]), "letters")
    named = replace(dataset, class_names=(composed, "dim"), superclasses=(composed, "dim"))
    assert fit_to(named, load_teacher("letters"), "").card.class_names == (composed, "dim")


def test_pictures_of_another_shape_are_refused_before_and_in_a_run(tmp_path: Path) -> None:
    add_dataset(paint(tmp_path / "one", ("bright", "dim")), "shades", size=32)
    classes = ["bright", "dim"]
    add_teacher(write(tmp_path, classes, (3, 64, 64), dataset="shades"), "large")
    add_teacher(write(tmp_path, classes, (1, 32, 32), dataset="shades"), "grey")
    add_teacher(write(tmp_path, classes, dataset="shades"), "fits")
    add_teacher(write(tmp_path, ["bright", "dark"], dataset="shades"), "others")
    for name, words in (("large", "64x64"), ("grey", "grey")):
        config = make_run_config("shades", labels=12, teacher=name)
        for use in (check_can_run, lambda config: list(train(config))):
            with pytest.raises(ConfigError, match=words):
                use(config)
    with pytest.raises(ConfigError, match='"dim"'):
        run("shades", teacher="others")
    assert isinstance(run("shades", teacher="fits+large")[-1], RunFinished)  # an ensemble resizes for its members


def test_the_cache_of_logits_asks_for_everything_that_decides_them(tmp_path: Path) -> None:
    dataset, teacher = load_dataset("digits"), load_teacher("digits")
    views, rows = ViewSet(flip=False, shift=0), torch.arange(5)

    def ask(**changes: Any) -> bool:
        changed = replace(teacher, card=replace(teacher.card, **changes))
        return cached_teacher_logits(changed, dataset, views, rows, tmp_path / "logits")[1]

    assert not ask()
    assert ask(name="another", accuracy=0.1, notes="Only words.")
    changes: tuple[dict[str, Any], ...] = (
        {"calibration": 2.0},
        {"crop": 0.5},
        {"normalisation": Normalisation((0.5,), (0.25,))},
        {"class_names": teacher.card.class_names[::-1]},
        {"model": "another"},
        {"sha256": "0"},
    )
    for change in changes:
        assert not ask(**change), change
        assert ask(**change), change


def test_a_card_whose_classes_were_put_right_is_asked_anew(tmp_path: Path) -> None:
    """The weights are the same and so are the dataset's classes: only the order on the card differs."""
    dataset = load_dataset("creatures")
    views, rows, names = ViewSet(flip=False, shift=0), torch.arange(20), list(dataset.class_names)

    def ask(name: str) -> tuple[Tensor, Tensor, bool, object]:
        teacher = fit_to(dataset, load_teacher(name), "")
        logits, reused = cached_teacher_logits(teacher, dataset, views, rows, tmp_path / "logits")
        return logits[0, rows].float(), teacher.logits(dataset.train.images[rows]), reused, teacher.logits_key()

    add_teacher(write(tmp_path, names), "partner")
    for asked in ("own", "own+partner@logits"):
        keys = []
        for order in (names[::-1], [*names[1:], names[0]], names):
            add_teacher(write(tmp_path, order), "own")
            cached, wanted, reused, key = ask(asked)
            assert not reused
            assert torch.allclose(cached, wanted, atol=0.01)
            assert ask(asked)[2]
            keys.append(key)  # of checkpoints too
            remove_teacher("own")
        assert len({json.dumps(key) for key in keys}) == 3


def test_figures_of_an_ensemble_are_not_those_of_a_member_whose_classes_were_put_right(tmp_path: Path) -> None:
    dataset = load_dataset("creatures")
    shuffled(dataset, [3, 1, 7, 0, 2, 6, 5, 4], tmp_path, "mixed")
    measure_teacher("creatures+mixed", "cpu")
    assert ensemble_card("creatures+mixed").figures
    remove_teacher("mixed")
    path = tmp_path / "mixed.safetensors"
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    data["class_names"] = data["class_names"][::-1]
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    add_teacher(path, "mixed")
    assert not ensemble_card("creatures+mixed").figures


def test_a_retrained_teacher_is_asked_anew(tmp_path: Path) -> None:
    add_dataset(paint(tmp_path / "one", ("bright", "dim")), "shades", size=32)
    run("shades")
    card = next(card for card in list_teachers() if card.name == "shades")
    path = tmp_path / "home" / "models" / "shades.json"
    path.write_text(json.dumps({**card.to_json(), "calibration": 3 * card.calibration}))  # edited by hand
    assert ModelCard.read(path).calibration == 3 * card.calibration
    assert [event.reused for event in run("shades") if isinstance(event, TeacherCached)] == [False]


def test_a_damaged_checkpoint_of_a_teacher_is_begun_anew(tmp_path: Path) -> None:
    add_dataset(paint(tmp_path / "one", ("bright", "dim")), "shades", size=32)
    batches = iter(range(10_000))
    assert list(train_missing_teacher("shades", "cpu", lambda: next(batches) >= 9))[-1].epoch > 0
    (file,) = (tmp_path / "home" / "teachers").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    rest = list(train_missing_teacher("shades", "cpu"))
    assert [event.epoch for event in rest] == list(range(rest[-1].epochs + 1))
