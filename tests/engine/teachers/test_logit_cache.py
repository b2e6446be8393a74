"""The cache of teacher logits: logits of any size, classes that are ruled out, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcore.datasets import Dataset, load_dataset
from kdcore.errors import ModelFileError
from kdcore.machine.tensor_files import load_tensors, save_tensors
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.inference import compact
from kdcore.pictures.views import ViewSet
from kdcore.teachers.answers import answer_test_split, pictures_of_group
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits
from kdcore.teachers.predict import predict
from kdcore.teachers.teacher import Teacher


class Adjusted(nn.Module):
    """A network whose logits are multiplied by `factor`, and in class 3 replaced by `value`."""

    def __init__(self, network: nn.Module, factor: float = 1.0, value: float | None = None) -> None:
        super().__init__()
        self.network, self.factor, self.value = network, factor, value

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.network(pictures) * self.factor
        if self.value is not None:
            logits[:, 3] = self.value
        return logits


@dataclass
class Asked:
    """The cache in a folder, for the teacher of the digits and some of their pictures."""

    folder: Path
    dataset: Dataset
    views: ViewSet

    def __call__(self, teacher: Teacher, rows: range = range(5)) -> tuple[Tensor, bool]:
        return cached_teacher_logits(teacher, self.dataset, self.views, torch.tensor(rows), self.folder)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path, load_dataset("digits"), ViewSet(flip=False, shift=1))


def adjusted(factor: float = 1.0, value: float | None = None) -> Teacher:
    teacher = load_teacher("digits")
    return replace(teacher, network=FrozenNetwork(Adjusted(teacher.network, factor, value)))


def test_logits_beyond_half_precision_are_kept_in_single_precision(asked: Asked) -> None:
    plain, _ = asked(load_teacher("digits"))
    assert plain.dtype == torch.float16
    (next(asked.folder.iterdir())).unlink()
    teacher = adjusted(factor=1e5)
    large, reused = asked(teacher)
    assert large.dtype == torch.float32 and not reused
    shown = asked.views.apply(asked.dataset.train.images[:5], 1)
    assert large[1, :5].equal(teacher.logits(shown)) and float(large[:, :5].abs().max()) > 65_504
    again, reused = asked(teacher)
    assert reused and again[:, :5].equal(large[:, :5])


def test_a_cache_in_half_precision_takes_in_larger_logits(asked: Asked) -> None:
    before, _ = asked(load_teacher("digits"))
    after, _ = asked(adjusted(factor=1e5), range(3, 9))  # of the same hash
    assert after.dtype == torch.float32
    assert after[:, :5].equal(before[:, :5].float())  # what was there stays
    assert after[:, 5:9].isfinite().all() and after[:, 9:].isnan().all()


def test_a_class_that_is_ruled_out_is_cached_as_such(asked: Asked) -> None:
    logits, _ = asked(adjusted(value=-torch.inf))
    assert logits.dtype == torch.float16
    assert logits[:, :5, 3].isneginf().all() and logits[:, :5, :3].isfinite().all()
    assert asked(adjusted(value=-torch.inf))[1]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_other_logits_that_are_no_numbers_are_refused(asked: Asked, value: float) -> None:
    with pytest.raises(ModelFileError, match="digits answers some pictures with logits"):
        asked(adjusted(value=value))
    assert not list(asked.folder.iterdir())


def test_a_file_with_logits_that_an_older_version_rounded_to_infinity_is_not_used(asked: Asked) -> None:
    teacher = adjusted(factor=1e5)
    right, _ = asked(teacher)
    path = next(asked.folder.iterdir())
    save_tensors(path, {"logits": right.half()})
    assert load_tensors(path)[0]["logits"].isposinf().any()
    logits, reused = asked(teacher)
    assert not reused and logits[:, :5].equal(right[:, :5])


def test_what_the_compare_page_keeps_of_large_logits_is_finite() -> None:
    dataset = load_dataset("digits")
    answers = answer_test_split(
        {"teacher": adjusted(1e5), "distilled": adjusted(1e5, value=0.0), "baseline": adjusted(-1e5)}, dataset
    )
    assert all(logits.isfinite().all() for logits in answers.logits.values())
    assert len(pictures_of_group(answers, "distilled")) > 100


def test_a_class_that_is_ruled_out_has_no_soft_label() -> None:
    from PIL import Image

    answer = predict(adjusted(value=-torch.inf), Image.new("L", (8, 8), 120), 20.0)
    assert answer["soft_labels"][3] == 0.0 and sum(answer["soft_labels"]) == pytest.approx(1.0)


def test_logits_are_compact_if_they_fit() -> None:
    fitting = torch.tensor([1.5, -torch.inf, 65_504.0, torch.nan])
    assert compact(fitting).dtype == torch.float16
    assert compact(torch.tensor([1.5, -70_000.0])).equal(torch.tensor([1.5, -70_000.0]))
