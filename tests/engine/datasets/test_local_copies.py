"""Copies of a dataset on this machine: a damaged one shadows no good one, and "ready" means that it can be read."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from kdcore.datasets import dataset_status, load_dataset
from kdcore.datasets.idx import read_idx
from kdcore.datasets.published_sets import IDX_FILES
from kdcore.errors import DatasetUnavailable
from kdcore.machine.tensor_files import is_whole, save_tensors


def idx_bytes(array: np.ndarray) -> bytes:
    sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sides + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, packed: bool = True) -> None:
    draw = np.random.default_rng(3)
    images, labels = draw.integers(0, 256, (260, 28, 28)), np.arange(260) % 10  # each class in the last 20 of 240
    folder.mkdir(parents=True)
    for name, array in zip(IDX_FILES, (images[:240], labels[:240], images[240:], labels[240:]), strict=True):
        body = idx_bytes(array)
        if packed:
            (folder / name).write_bytes(gzip.compress(body))
        else:
            (folder / name.removesuffix(".gz")).write_bytes(body)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of MNIST under KDCORE_DATA, which is searched first, and that under KDCORE_HOME."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KDCORE_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "MNIST" / "raw", tmp_path / "home" / "datasets" / "mnist"


def flipped(data: bytes) -> bytes:
    """The bytes of a gzip file whose compressed stream is damaged, which zlib itself reports."""
    return data[:10] + b"\xff" * 20 + data[30:]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda data: data[: len(data) // 2], flipped, lambda _: b"<html>"])
@pytest.mark.parametrize("name", IDX_FILES)
def test_a_damaged_copy_does_not_shadow_a_good_one(places: tuple[Path, Path], damage: object, name: str) -> None:
    for place in places:
        write_mnist(place)
    (places[0] / name).write_bytes(damage((places[0] / name).read_bytes()))  # type: ignore[operator]
    status = dataset_status("mnist")
    assert status.ready and status.where == str(places[1])
    assert len(load_dataset("mnist").test) == 20


def test_without_a_good_copy_the_damaged_file_is_named_and_it_is_not_called_ready(places: tuple[Path, Path]) -> None:
    write_mnist(places[0])
    assert dataset_status("mnist").ready
    wrong = places[0] / IDX_FILES[2]
    wrong.write_bytes(flipped(wrong.read_bytes()))
    status = dataset_status("mnist")
    assert not status.ready and str(wrong) in status.needs and "kdcore datasets get mnist" in status.needs
    with pytest.raises(DatasetUnavailable, match="remove it"):
        load_dataset("mnist")
    write_mnist(places[1])  # as a download does
    assert dataset_status("mnist").where == str(places[1])


def test_unpacked_files_serve_and_stand_in_for_damaged_packed_ones(places: tuple[Path, Path]) -> None:
    write_mnist(places[0], packed=False)
    assert dataset_status("mnist").ready
    expected = load_dataset("mnist")
    for name in IDX_FILES:
        (places[0] / name).write_bytes(b"\x1f\x8b")
    assert dataset_status("mnist").ready and load_dataset("mnist").sha256 == expected.sha256
    for name in IDX_FILES:
        (places[0] / name).unlink()
        plain = places[0] / name.removesuffix(".gz")
        plain.rename(places[0] / plain.name.replace("-idx", ".idx"))
    assert dataset_status("mnist").ready and load_dataset("mnist").sha256 == expected.sha256


def test_bytes_decide_whether_a_file_is_packed(places: tuple[Path, Path]) -> None:
    write_mnist(places[0])
    unpacked, packed = (places[0] / name for name in IDX_FILES[:2])
    unpacked.write_bytes(gzip.decompress(unpacked.read_bytes()))  # as browsers do
    packed.rename(packed.with_suffix(""))
    assert dataset_status("mnist").ready
    assert len(load_dataset("mnist").test) == 20


@pytest.mark.parametrize(
    ("place", "array"),
    [(0, np.zeros((240, 32, 32))), (2, np.zeros((20, 20, 20))), (1, np.arange(240) % 9), (3, np.zeros(20))],
)
def test_files_of_another_size_or_without_a_class_are_not_ready(
    places: tuple[Path, Path], place: int, array: np.ndarray
) -> None:
    for folder in places:
        write_mnist(folder)
    (places[0] / IDX_FILES[place]).write_bytes(gzip.compress(idx_bytes(array)))
    assert dataset_status("mnist").where == str(places[1])
    assert len(load_dataset("mnist").test) == 20


def test_every_damage_of_a_packed_file_is_one_sentence(tmp_path: Path) -> None:
    path, good = tmp_path / "labels-idx1-ubyte.gz", gzip.compress(idx_bytes(np.arange(200)))
    path.write_bytes(good)
    assert torch.equal(read_idx(path), torch.arange(200, dtype=torch.uint8))
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            read = read_idx(path)
        except DatasetUnavailable as error:
            assert str(path) in str(error)
        else:
            assert torch.equal(read, torch.arange(200, dtype=torch.uint8)), "a byte that only tells the time or system"


def write_animals(folder: Path) -> None:
    draw, names = np.random.default_rng(5), ("cat", "dog")
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        rows = []
        for number in range(24):
            file = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "PNG")
            rows.append({"image": {"bytes": file.getvalue(), "path": f"{part}{number}"}, "label": number % 2})
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = pa.Table.from_pylist(rows).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        pq.write_table(table, folder / f"{part}.parquet")
    (folder / "classes.json").write_text(json.dumps([{"name": name, "superclass": "pet"} for name in names]))


def test_a_cut_off_parquet_file_does_not_shadow_a_good_one(places: tuple[Path, Path]) -> None:
    first, second = places[0].parents[1] / "animals64", places[1].parent / "animals64"
    write_animals(first)
    assert dataset_status("animals64").where == str(first)
    whole = (first / "test.parquet").read_bytes()
    (first / "test.parquet").write_bytes(whole[: len(whole) // 2])
    status = dataset_status("animals64")
    assert not status.ready and str(first / "test.parquet") in status.needs
    write_animals(second)
    assert dataset_status("animals64").where == str(second) and len(load_dataset("animals64").test) == 24


def test_a_cut_off_file_of_tensors_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    assert not is_whole(path)
    save_tensors(path, {"values": torch.arange(500)})
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_whole(path)
