"""Which caches are removed: those that nothing has used for a month, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.cache import load_cached
from kdcore.jobs.caches import DAY, remove_unused_caches
from kdcore.pictures.views import ViewSet
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits

NOW = 2_000_000_000.0
CACHES = (f"teacher_logits/{'0a' * 16}.safetensors", f"datasets/creatures-{'1b' * 8}.safetensors")
OTHERS = (
    f"teacher_logits/{'0a' * 16}.json",
    "datasets/own/pets.safetensors",
    f"datasets/own/pets-{'1b' * 8}.safetensors",  # an own dataset may have such a name
    "datasets/mnist/train-images-idx3-ubyte.gz",
    "models/animals.safetensors",
    "teachers/cifar10.safetensors",
)


def written(home: Path, name: str, days_ago: float) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (NOW - days_ago * DAY,) * 2)
    return path


@pytest.mark.parametrize(("days_ago", "goes"), [(29.9, False), (30.1, True)])
def test_caches_go_a_month_after_their_last_use_and_other_files_stay(
    tmp_path: Path, days_ago: float, goes: bool
) -> None:
    caches = [written(tmp_path, name, days_ago) for name in CACHES]
    others = [written(tmp_path, name, 400) for name in OTHERS]
    assert remove_unused_caches(tmp_path, NOW) == (2 if goes else 0)
    assert [path.exists() for path in caches] == [not goes] * 2
    assert all(path.exists() for path in others)


def test_a_half_unpacked_archive_goes_after_a_day(tmp_path: Path) -> None:
    for name, days_ago in ((".unpack-old", 1.1), (".unpack-new", 0.9)):
        written(tmp_path, f"datasets/cifar10/{name}/batch", days_ago)
        os.utime(tmp_path / "datasets" / "cifar10" / name, (NOW - days_ago * DAY,) * 2)
    assert remove_unused_caches(tmp_path, NOW) == 0
    assert [path.name for path in (tmp_path / "datasets" / "cifar10").iterdir()] == [".unpack-new"]


def test_nothing_to_clean_is_no_error(tmp_path: Path) -> None:
    assert remove_unused_caches(tmp_path / "not-here", NOW) == 0


def test_using_a_cache_keeps_it(tmp_path: Path) -> None:
    splits = [Split(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4)) for _ in range(3)]
    dataset = Dataset.from_splits("tiny", tuple("0123456789"), tuple("0123456789"), *splits)
    pictures = tmp_path / "datasets" / f"tiny-{'2c' * 8}.safetensors"
    teacher, views, rows = load_teacher("digits"), ViewSet(flip=False, shift=0), torch.arange(4)

    def use() -> list[Path]:
        load_cached(pictures, lambda: dataset)
        cached_teacher_logits(teacher, dataset, views, rows, tmp_path / "teacher_logits")
        return [pictures, *(tmp_path / "teacher_logits").iterdir()]

    for path in use():
        os.utime(path, (0, 0))
    paths = use()
    now = max(path.stat().st_mtime for path in paths)
    assert remove_unused_caches(tmp_path, now + 29 * DAY) == 0
    assert remove_unused_caches(tmp_path, now + 31 * DAY) == 2
