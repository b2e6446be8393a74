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
    layer, x = ByteDropout(share).train(), torch.ones(501, 201)  # not a multiple of the 8 bytes of a word
    torch.manual_seed(0)
    y = layer(x)
    exact = round(256 * share) / 256
    assert set(np.unique(y.numpy()).round(5)) == {0.0, np.float32(1 / (1 - exact)).round(5)}
    spread = (share * (1 - share) / x.numel()) ** 0.5
    assert float((y == 0).double().mean()) == pytest.approx(exact, abs=5 * spread)
    assert (
        float((y[:, :100] == 0).double().mean(0).std()) < 3 * (share * (1 - share) / 501) ** 0.5
    )  # no column is special
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
    # Without ink the first layer sees nothing, whatever is silenced: all answers agree up to the hidden units.
    first = network[:4] if isinstance(network, torch.nn.Sequential) else pytest.fail("a plain stack of layers")
    answers = first.train()(blank)
    assert torch.equal(answers, answers[:1].expand(3, -1))


SCHEDULE = Schedule(labels=20, epochs=2, recipe=Recipe(10, 0.03, 0.0), views=ViewSet(flip=False, shift=0))


def two_arms(seeds: tuple[int, ...] = (0,)) -> list[Team]:
    """Two arms that are told the same."""
    train = load_dataset("digits").train
    rows = torch.arange(20)
    told = TransferSet("labelled", train.images, rows, train.hard_labels[rows])
    settings = {"temperature": 4.0, "distill_weight": 0.0, "label_smoothing": 0.0}
    hard = Objective(METHODS["kd"], settings)
    students = [Student(arm, seed, "dropoutmlp-12", 0, told, hard) for seed in seeds for arm in ("one", "other")]
    return build_teams(students, (1, 8, 8), 10, SCHEDULE, PRECISE)


def weights(team: Team) -> torch.Tensor:
    (state,) = team.states()
    return flat(state)


def test_only_what_they_are_told_differs_with_dropout_too() -> None:
    """The same units are silent in both arms, and after a checkpoint as without one; others in the next step, and for
    another seed."""
    one, other, another = two_arms((0, 1))[:3]
    passed: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[], [], []]  # what spoke before and after, step by step
    for team, seen in zip((one, other, another), passed, strict=True):
        hidden = [layer for layer in team.network.modules() if isinstance(layer, ByteDropout)][-1]
        hidden.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append((inputs[0] > 0, output > 0)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_epoch([one, other, another], 0, threads_for([one, other, another]))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(one), weights(other))
    first, second = passed[0]
    assert torch.equal(first[1], passed[1][0][1]) and not torch.equal(*first)
    for then in (second, passed[2][0]):  # another step, another seed
        spoke = first[0] & then[0]
        assert (first[1] != then[1])[spoke].double().mean() > 0.3  # half of them, by chance
    torch.manual_seed(6)
    resumed, _ = two_arms()
    resumed.restore_state({name: value.clone() for name, value in one.state_tensors().items()})
    for team in (one, resumed):
        torch.rand(3)  # what others drew meanwhile
        train_epoch([team], 1, threads_for([team]))
    assert torch.equal(weights(one), weights(resumed))
