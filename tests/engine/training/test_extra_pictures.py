"""Runs with extra pictures: who learns from what, equal budgets, and that nothing leaks from the test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore.datasets import load_dataset, load_extra_pictures
from kdcore.datasets.given import GivenPicture, add_given
from kdcore.events import CheckpointSaved, RunFinished
from kdcore.pictures.views import resize_images
from kdcore.settings.config import make_run_config
from kdcore.settings.extra_pictures import MOST_EXTRA
from kdcore.teachers.load import load_teacher
from kdcore.training.extra_pictures import find_extra_pictures, repeat_to
from kdcore.training.trainer import train
from kdcore.training.transfer_sets import TransferSet
from tests.engine.datasets.sources import encoded, picture
from tests.engine.training.run_events import curves
from tests.engine.unmeasured import Trained

RUN: dict[str, Any] = {"labels": 8, "epochs": 3, "seeds": 2, "batch_size": 5, "student": "convnet-4", "device": "cpu"}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two classes of noise with extra pictures."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))

    def given(count: int, first: int) -> list[GivenPicture]:
        return [GivenPicture(f"{seed}.png", encoded(picture(seed))) for seed in range(first, first + count)]

    return add_given("mine", {"a": given(10, 0), "b": given(10, 100)}, given(7, 200), size=32).name


def test_the_distilled_student_learns_from_them_by_soft_labels_alone(mine: str, trained: Trained) -> None:
    trained.run(mine, extra_pictures="own", **RUN)
    students = trained.students()
    assert set(students) == {(arm, seed) for arm in ("baseline", "distilled") for seed in (0, 1)}
    dataset, extra = load_dataset(mine), load_extra_pictures(mine)
    teacher = load_teacher(mine)
    for seed in (0, 1):
        baseline, distilled = (students[arm, seed][0] for arm in ("baseline", "distilled"))
        assert distilled.transfer_set.hard_labels is None
        assert distilled.objective.settings["distill_weight"] == 1.0
        images = distilled.transfer_set.images[distilled.transfer_set.rows]
        labelled = dataset.train.images[baseline.transfer_set.rows[:8]]
        assert torch.equal(images, torch.cat([labelled, extra]))
        logits = distilled.transfer_set.teacher_logits
        assert logits is not None and logits.shape == (2, 15, 2)
        for view, shown in enumerate((images, images.flip(-1))):
            assert torch.allclose(logits[view].float(), teacher.logits(shown), atol=0.05)
        rows = baseline.transfer_set.rows  # the same pictures again and again, for as many steps
        assert torch.equal(rows, torch.cat([rows[:8], rows[:7]]))
        assert baseline.transfer_set.hard_labels is not None
        assert torch.equal(baseline.transfer_set.hard_labels, dataset.train.hard_labels[rows])
    assert {team.schedule.steps for team in trained.teams} == {3}


def test_a_run_says_how_many_and_goes_on_where_it_was(mine: str, tmp_path: Path) -> None:
    config = make_run_config(mine, extra_pictures="own", **RUN)
    whole = list(train(config, run_dir=tmp_path / "whole"))
    assert isinstance(whole[-1], RunFinished)
    assert whole[-1].result["extra_pictures"] == 7
    assert "whole" not in whole[-1].result
    broken = []
    for event in train(config, run_dir=tmp_path / "broken"):
        broken.append(event)
        if isinstance(event, CheckpointSaved):
            break
    rest = list(train(config, run_dir=tmp_path / "broken"))
    assert curves(rest)[3] == curves(whole)[3]


def test_pictures_of_another_dataset_are_resized_and_bounded(mine: str, tmp_path: Path) -> None:
    def given(count: int, first: int) -> list[GivenPicture]:
        return [GivenPicture(f"{seed}.png", encoded(picture(seed))) for seed in range(first, first + count)]

    large = add_given("large", {"a": given(5, 300), "b": given(5, 400)})
    dataset = load_dataset(large.name)
    config = make_run_config(large.name, extra_pictures="creatures", **{**RUN, "labels": 6})
    extra, again = (find_extra_pictures(config, dataset) for _ in range(2))
    assert extra is not None and again is not None
    assert extra.train.images.shape == (MOST_EXTRA, 3, 64, 64)
    assert extra.sha256 == again.sha256
    source = resize_images(load_dataset("creatures").train.images, (64, 64))
    known = {image.numpy().tobytes() for image in source}
    assert all(image.numpy().tobytes() in known for image in extra.train.images)


def test_pictures_of_the_test_split_are_never_extra_ones(mine: str) -> None:
    """The same pictures are in a second dataset, where they are for training."""
    dataset = load_dataset(mine)

    def of(images: torch.Tensor, name: str) -> list[GivenPicture]:
        from PIL import Image

        return [
            GivenPicture(f"{name}{place}.png", encoded(Image.fromarray(one.permute(1, 2, 0).numpy())))
            for place, one in enumerate(images)
        ]

    held_out = torch.cat([dataset.test.images, dataset.validation.images])
    add_given("other", {"x": of(held_out, "x"), "y": of(dataset.train.images, "y")}, size=32)
    extra = find_extra_pictures(make_run_config(mine, extra_pictures="other", **RUN), dataset)
    assert extra is not None
    test = {image.numpy().tobytes() for image in held_out}
    assert 0 < len(extra.train) < len(load_dataset("other").train)
    assert not test & {image.numpy().tobytes() for image in extra.train.images}


def test_what_transfer_sets_share_they_share_when_repeated() -> None:
    images, rows, labels = torch.zeros(9, 1, 2, 2), torch.tensor([4, 5, 6]), torch.tensor([0, 1, 0])
    logits = torch.arange(12.0).view(2, 3, 2)
    one, other = TransferSet("labelled", images, rows, labels), TransferSet("labelled", images, rows, labels, logits)
    long = TransferSet("noise", images, torch.arange(7), None)
    first, second, third = repeat_to([one, other, long], 7)
    assert first.rows is second.rows and first.hard_labels is second.hard_labels
    assert first.rows.tolist() == [4, 5, 6, 4, 5, 6, 4]
    assert second.teacher_logits is not None
    assert second.teacher_logits[1, :, 0].tolist() == [6, 8, 10, 6, 8, 10, 6]
    assert third is long
