"""What a feature loss adds, which layers it compares, and that it leaves the teacher alone."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdcore.errors import ConfigError, UnknownName
from kdcore.methods.feature_losses import attention_loss, attention_map, hint_loss, relational_loss
from kdcore.methods.registry import METHODS
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.registry import build_model
from kdcore.settings.config import make_run_config
from kdcore.teachers.load import load_teacher
from kdcore.teachers.teacher import Teacher
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.students import Objective
from tests.engine.shared_settings import NO_PATHS, numbers_of
from tests.engine.unmeasured import PRECISE, Trained


def test_without_maps_there_is_no_attention_and_hints_need_a_vector(trained: Trained) -> None:
    few = {"student": "mlp-8", "seeds": 1, "epochs": 1}
    for method, words in (("attention-transfer", "no maps"), ("fitnets", "both a vector")):
        with pytest.raises(ConfigError, match=words) as caught:  # before anything is queued
            make_run_config("creatures", method=method, **few)
        objective = Objective(METHODS[method], numbers_of(method) | NO_PATHS)
        student = build_model("mlp-8", (3, 32, 32), 8)
        with pytest.raises(ConfigError) as later:
            FeatureLoss(objective, student, load_teacher("creatures"), (3, 32, 32), 0)
        assert str(caught.value) == str(later.value)
        with pytest.raises(ConfigError, match=words):
            make_run_config("creatures", method=method, vary={"student": ("convnet-4", "mlp-8")})
    with pytest.raises(UnknownName, match="nowhere"):
        make_run_config("creatures", method="rkd", parameters={"teacher_layer": "nowhere"}, **few)
    for teacher in ("creatures-smoothed", "nobody"):  # one that is trained first; one that is refused elsewhere
        legal = teacher == "nobody"
        with nullcontext() if legal else pytest.raises(ConfigError, match="both a vector"):
            make_run_config("creatures", method="fitnets", teacher=teacher, **few)
    trained.run(method="fitnets", parameters={"teacher_layer": "10.input"}, **few)
    assert np.isfinite(trained.curves()["distilled"]["train_loss"]).all()


@pytest.mark.parametrize("method", ["fitnets", "attention-transfer", "rkd"])
def test_a_feature_loss_adds_what_its_paper_says_and_leaves_the_teacher_alone(method: str) -> None:
    teacher = replace(load_teacher("creatures"), device=PRECISE)
    student, inside = build_model("convnet-4", (3, 32, 32), 8, seed=0), teacher.network.network
    assert isinstance(student, torch.nn.Sequential) and isinstance(inside, torch.nn.Sequential)
    feature_loss = FeatureLoss(
        Objective(METHODS[method], numbers_of(method) | NO_PATHS), student, teacher, (3, 32, 32), 1
    )
    pictures, other = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor(2.0)
    logits = student(pictures)
    begun, later = (feature_loss.add_to(other, pictures, progress) for progress in (0.0, 0.9))
    # Both are chains: conv, pool, relu; conv, pool, relu; conv, relu; mean, flat, linear.
    middles, maps = ([network[:end](pictures) for network in (student, inside)] for end in (6, 8))
    if method == "attention-transfer":
        assert [tuple(one.shape) for one in maps] == [(6, 16, 8, 8), (6, 128, 8, 8)]
        expected = 2.0 + 1000 * attention_loss(*(attention_map(one, (8, 8)) for one in maps))
        torch.testing.assert_close(begun, expected, rtol=1e-5, atol=0)
    if method == "fitnets":
        assert [tuple(one.shape) for one in middles] == [(6, 8, 8, 8), (6, 64, 8, 8)]
        expected = hint_loss(feature_loss.adapter(middles[0]), middles[1])
        torch.testing.assert_close(begun, expected, rtol=1e-5, atol=0)
        assert later.item() == 2.0  # hints alone, and then none
        same = FeatureLoss(Objective(METHODS[method], numbers_of(method) | NO_PATHS), student, teacher, (3, 32, 32), 1)
        assert all(map(torch.equal, feature_loss.adapter.parameters(), same.adapter.parameters()))
    else:
        assert begun.item() == later.item() > 2.0
    if method == "rkd":
        relations = relational_loss(student[:-1](pictures), inside[:-1](pictures), 25.0, 50.0)
        torch.testing.assert_close(begun, 2.0 + relations, rtol=1e-4, atol=1e-5)
    begun.backward()
    kernel = next(student.parameters())
    assert kernel.grad is not None and kernel.grad.abs().sum() > 0 and logits.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in teacher.network.modules())
    assert all(parameter.grad is None for parameter in teacher.network.parameters())


@pytest.mark.parametrize("method", ["attention-transfer", "fitnets"])
def test_maps_are_compared_place_by_place_though_the_teacher_looks_at_the_middle(method: str) -> None:
    """Student and teacher are the same network, so their maps are equal, unless one of them sees only a part of the
    picture."""
    student = build_model("convnet-4", (3, 32, 32), 8, seed=0).eval()
    card = replace(load_teacher("creatures").card, model="convnet-4", crop=0.5)
    teacher = Teacher(card, FrozenNetwork(copy.deepcopy(student), card.crop), PRECISE)
    feature_loss = FeatureLoss(
        Objective(METHODS[method], numbers_of(method) | NO_PATHS), student, teacher, (3, 32, 32), 1
    )
    if method == "fitnets":
        feature_loss.adapter = torch.nn.Identity()
    pictures = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = student(pictures)
    assert float(feature_loss.add_to(torch.tensor(0.0), pictures, 0.0).detach()) == 0.0
    assert (teacher.network(pictures) - logits).abs().max() > 1e-3  # its answers are still those of the middle


def test_feature_losses_in_two_threads_do_not_record_each_others_features() -> None:
    """Two students record layers of one teacher in two threads, which wait for each other after the compared layer."""
    teacher = replace(load_teacher("creatures"), device=PRECISE)
    inside = teacher.network.network
    assert isinstance(inside, torch.nn.Sequential)
    both, together = threading.Barrier(2), threading.Event()

    def meet(*_: object) -> None:
        if together.is_set():
            both.wait(60)

    inside[-1].register_forward_pre_hook(meet)
    objective = Objective(METHODS["attention-transfer"], numbers_of("attention-transfer") | NO_PATHS)
    learners = []
    for seed in (0, 1):
        student = build_model("convnet-4", (3, 32, 32), 8, seed=seed)
        pictures = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        learners.append((FeatureLoss(objective, student, teacher, (3, 32, 32), 0), student, pictures))

    def learn(feature_loss: FeatureLoss, student: torch.nn.Module, pictures: torch.Tensor) -> float:
        student(pictures)
        return float(feature_loss.add_to(torch.tensor(0.0), pictures, 0.0).detach())

    alone = [learn(*one) for one in learners]
    assert alone[0] != alone[1]
    together.set()
    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in [pool.submit(learn, *one) for one in learners]] == alone
