"""Dropout that draws bytes: shares, sizes, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.methods.registry import METHODS
from kdcore.networks.dropout import ByteDropout
from kdcore.networks.fully_connected import ToZeroOne
from kdcore.networks.registry import build_model
from kdcore.pictures.views import ViewSet
from kdcore.settings.defaults import Recipe
from kdcore.training.students import Objective, Schedule, Student
from kdcore.training.team import Team
from kdcore.training.teams import build_teams, threads_for, train_epoch
from kdcore.training.transfer_sets import TransferSet
from tests.engine.unmeasured import PRECISE, flat


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_as_many_units_are_silent_as_asked_for_and_sums_keep_their_size(share: float) -> None:
    layer, x = ByteDropout(share).train(), torch.ones(501, 201)  # no multiple of 8: bytes are drawn 8 at a time
    torch.manual_seed(0)
    y = layer(x)
    exact = round(256 * share) / 256
    assert set(np.unique(y.numpy()).round(5)) == {0.0, np.float32(1 / (1 - exact)).round(5)}
    spread = (share * (1 - share) / x.numel()) ** 0.5
    assert float((y == 0).double().mean()) == pytest.approx(exact, abs=5 * spread)
    assert (
        float((y[:, :100] == 0).double().mean(0).std()) < 3 * (share * (1 - share) / 501) ** 0.5
    )  # all columns are alike
    torch.manual_seed(0)
    assert torch.equal(layer(x), y)
    assert not torch.equal(layer(x), y)
    assert torch.equal(layer.eval()(x), x)


def test_only_units_that_speak_learn() -> None:
    x = torch.randn(64, 32, requires_grad=True)
    y = ByteDropout(0.5).train()(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.where(y == 0, 0.0, 2.0))


def test_a_silenced_pixel_is_empty_paper() -> None:
    network = build_model("dropoutmlp-8-8", (1, 4, 4), 10, seed=0)
    blank = torch.full((3, 1, 4, 4), -1.0)
    ink = next(layer for layer in network.modules() if isinstance(layer, ToZeroOne))
    assert not ink(blank).any()
    # On empty paper all pixels are 0, so dropping some changes nothing: the first layer gives every picture the same.
    first = network[:4] if isinstance(network, torch.nn.Sequential) else pytest.fail("a plain stack of layers")
    answers = first.train()(blank)
    assert torch.equal(answers, answers[:1].expand(3, -1))


SCHEDULE = Schedule(labels=20, epochs=2, recipe=Recipe(10, 0.03, 0.0), views=ViewSet(flip=False, shift=0))


def two_arms(seeds: tuple[int, ...] = (0,)) -> list[Team]:
    """The teams of two arms that learn from the same pictures with the same objective."""
    train = load_dataset("digits").train
    rows = torch.arange(20)
    transfer_set = TransferSet("labelled", train.images, rows, train.hard_labels[rows])
    settings = {"temperature": 4.0, "distill_weight": 0.0, "label_smoothing": 0.0}
    hard = Objective(METHODS["kd"], settings)
    arms = ("one", "other")
    students = [Student(arm, seed, "dropoutmlp-12", 0, transfer_set, hard) for seed in seeds for arm in arms]
    return build_teams(students, (1, 8, 8), 10, SCHEDULE, PRECISE)


def weights(team: Team) -> torch.Tensor:
    (state,) = team.states()
    return flat(state)


def test_only_what_they_are_told_differs_with_dropout_too() -> None:
    """The same units are dropped in both arms, and after resuming from a checkpoint; in the next step and with another
    seed, other units are."""
    one, other, another = two_arms((0, 1))[:3]
    # For each team and step: which units were above 0 before and after dropout.
    recorded: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[], [], []]
    for team, masks in zip((one, other, another), recorded, strict=True):
        hidden = [layer for layer in team.network.modules() if isinstance(layer, ByteDropout)][-1]
        hidden.register_forward_hook(lambda _, inputs, output, masks=masks: masks.append((inputs[0] > 0, output > 0)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_epoch([one, other, another], 0, threads_for([one, other, another]))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(one), weights(other))
    first, second = recorded[0]
    assert torch.equal(first[1], recorded[1][0][1]) and not torch.equal(*first)
    for other_masks in (second, recorded[2][0]):  # another step, another seed
        active = first[0] & other_masks[0]
        assert (first[1] != other_masks[1])[active].double().mean() > 0.3  # about half of them
    torch.manual_seed(6)
    resumed, _ = two_arms()
    resumed.restore_state(resumed.read_state({name: value.clone() for name, value in one.state_tensors().items()}))
    for team in (one, resumed):
        torch.rand(3)  # as if something else drew random numbers meanwhile
        train_epoch([team], 1, threads_for([team]))
    assert torch.equal(weights(one), weights(resumed))
