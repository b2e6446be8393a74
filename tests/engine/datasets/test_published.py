"""Published datasets, fetched as small copies from a server on this machine, and the real ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kdcore.datasets import dataset_status, fetch_dataset, load_dataset, published
from kdcore.datasets.published_sets import IDX_FILES, PUBLISHED
from kdcore.errors import DatasetUnavailable
from tests.engine.conftest import Host


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    monkeypatch.delenv("KDCORE_DATA", raising=False)
    return tmp_path


def offer(monkeypatch: pytest.MonkeyPatch, host: Host, name: str, files: dict[str, bytes]) -> None:
    """Make torchvision's class for `name` point at `host`, with the checksums of `files`."""
    host.files |= files
    source = published.torchvision_source(PUBLISHED[name])
    md5 = {file: hashlib.md5(body, usedforsecurity=False).hexdigest() for file, body in files.items()}
    if PUBLISHED[name].is_idx:
        monkeypatch.setattr(source, "mirrors", [host.url], raising=False)
        monkeypatch.setattr(source, "resources", list(md5.items()))
    else:
        (file,) = files
        monkeypatch.setattr(source, "url", host.url + file)
        monkeypatch.setattr(source, "tgz_md5", md5[file])


def little_mnist() -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    images, labels = draw.integers(0, 256, (290, 28, 28)), np.arange(290) % 10
    arrays = (images[:240], labels[:240], images[240:], labels[240:])
    return {name: idx(array) for name, array in zip(IDX_FILES, arrays, strict=True)}, images[:240], labels[:240]


def test_mnist_is_fetched_verified_and_read(host: Host, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, images, labels = little_mnist()
    offer(monkeypatch, host, "mnist", files)
    assert not dataset_status("mnist").ready
    progress = list(fetch_dataset("mnist"))
    assert progress[-1].total_bytes == sum(PUBLISHED["mnist"].sizes)
    assert dataset_status("mnist").ready
    dataset = load_dataset("mnist")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [220, 20, 50]
    assert np.array_equal(dataset.train.images[:, 0].numpy(), images[:220])
    assert dataset.validation.hard_labels.tolist() == labels[220:].tolist()
    requests = len(host.asked)
    list(fetch_dataset("mnist"))
    assert len(host.asked) == requests  # a file that is there is not fetched again


def test_an_interrupted_dataset_is_not_taken_for_whole(host: Host, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, *_ = little_mnist()
    offer(monkeypatch, host, "mnist", files)
    host.cut_at = 100
    with pytest.raises(DatasetUnavailable) as refusal:
        list(fetch_dataset("mnist"))
    for word in ("cut off", str(home), "KDCORE_DATA", "creatures, digits"):
        assert word in str(refusal.value)
    assert not dataset_status("mnist").ready
    host.cut_at = None
    list(fetch_dataset("mnist"))
    assert dataset_status("mnist").ready


def test_idx_files_that_lie_are_one_sentence(home: Path) -> None:
    folder = home / "datasets" / "mnist"
    folder.mkdir(parents=True)
    files, *_ = little_mnist()
    for name, body in files.items():
        (folder / name).write_bytes(body)
    for damage in (b"", b"\x1f\x8b", gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), files["t10k-labels-idx1-ubyte.gz"]):
        (folder / "train-images-idx3-ubyte.gz").write_bytes(damage)
        with pytest.raises(DatasetUnavailable):
            load_dataset("mnist")


def little_cifar(monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, np.ndarray]:
    """Return an archive laid out like CIFAR-10's, and its pixels; torchvision's checksums become its own."""
    source = published.torchvision_source(PUBLISHED["cifar10"])
    draw = np.random.default_rng(2)
    pixels = draw.integers(0, 256, (6, 20, 3072)).astype(np.uint8)
    names = [name for name, _md5 in source.train_list + source.test_list]
    classes = list(PUBLISHED["cifar10"].class_names)
    members = {
        name: pickle.dumps({"data": pixels[i], "labels": [j % 10 for j in range(20)]}) for i, name in enumerate(names)
    }
    members["batches.meta"] = pickle.dumps({"label_names": classes})
    md5 = {name: hashlib.md5(body, usedforsecurity=False).hexdigest() for name, body in members.items()}
    monkeypatch.setattr(source, "train_list", [[name, md5[name]] for name in names[:5]])
    monkeypatch.setattr(source, "test_list", [[names[5], md5[names[5]]]])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": md5["batches.meta"]})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in members.items():
            entry = tarfile.TarInfo(f"{source.base_folder}/{name}")
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return packed.getvalue(), pixels


def test_cifar_is_unpacked_checked_and_repaired(host: Host, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, pixels = little_cifar(monkeypatch)
    offer(monkeypatch, host, "cifar10", {"cifar-10-python.tar.gz": archive})
    list(fetch_dataset("cifar10"))
    dataset = load_dataset("cifar10")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [90, 10, 20]
    assert np.array_equal(dataset.test.images.numpy(), pixels[5].reshape(20, 3, 32, 32))
    assert dataset.superclasses[:3] == ("vehicle", "vehicle", "animal")
    folder = home / "datasets" / "cifar10"
    assert not (folder / "cifar-10-python.tar.gz").exists()  # the archive is removed once it is unpacked
    batch = next(folder.glob("*/data_batch_3"))
    batch.write_bytes(b"\x80\x04N.")  # a valid file of its kind, but not the published one
    with pytest.raises(DatasetUnavailable, match="datasets get cifar10"):
        load_dataset("cifar10")
    list(fetch_dataset("cifar10"))
    assert load_dataset("cifar10").sha256 == dataset.sha256


def test_without_network_every_dataset_says_what_it_waits_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = published.torchvision_source(PUBLISHED["fashion-mnist"])
    monkeypatch.setattr(source, "mirrors", ["http://127.0.0.1:9/"])  # no server listens there
    with pytest.raises(DatasetUnavailable) as refusal:
        list(fetch_dataset("fashion-mnist"))
    for word in ("not reachable", "IDX", str(home / "datasets" / "fashion-mnist"), "creatures, digits"):
        assert word in str(refusal.value)
    for name in ("mnist", "fashion-mnist", "cifar10", "cifar100", "animals64"):
        status = dataset_status(name)
        assert not status.ready
        assert "KDCORE_DATA" in status.needs


def test_cifar100_has_five_classes_under_each_of_twenty_superclasses() -> None:
    spec = PUBLISHED["cifar100"]
    families = [spec.superclasses[name] for name in spec.class_names]
    assert len(spec.class_names) == len(set(spec.class_names)) == 100
    assert {families.count(family) for family in families} == {5}
    assert len(set(families)) == 20


@pytest.mark.parametrize(("name", "sizes"), [("mnist", (55_000, 5_000, 10_000)), ("cifar10", (45_000, 5_000, 10_000))])
def test_the_real_packs_are_read_in_place(data_dir: Path, name: str, sizes: tuple[int, ...]) -> None:
    dataset = load_dataset(name)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == sizes
    assert dataset.class_names == PUBLISHED[name].class_names
    if name == "mnist":  # the first labels of the published files
        assert dataset.train.hard_labels[:5].tolist() == [5, 0, 4, 1, 9]
        assert dataset.test.hard_labels[:5].tolist() == [7, 2, 1, 0, 4]
    else:
        assert dataset.test.hard_labels.bincount().tolist() == [1_000] * 10
        assert load_dataset(name).sha256 == dataset.sha256  # read from the cache
