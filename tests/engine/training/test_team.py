"""Mutual learning in a team, beside a plain loop."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from kdcore.datasets import load_dataset
from kdcore.methods.registry import METHODS
from kdcore.networks.optimizers import one_cycle, parameter_groups
from kdcore.networks.registry import build_model
from kdcore.pictures.views import ViewSet, to_float
from kdcore.settings.defaults import Recipe
from kdcore.training.students import PEER, Objective, Schedule, Student
from kdcore.training.team import Team
from kdcore.training.transfer_sets import TransferSet
from tests.engine.unmeasured import PRECISE


@pytest.mark.parametrize("stacked", [True, False])
def test_mutual_learning_is_the_loop_that_the_paper_writes(stacked: bool) -> None:
    """Two pairs in a team are compared with the same networks and losses in a plain loop; both use SGD."""
    dataset, generator = load_dataset("digits"), torch.Generator().manual_seed(0)
    recipe = Recipe(batch_size=10, learning_rate=0.05, weight_decay=0.1)
    schedule = Schedule(labels=30, epochs=1, recipe=recipe, views=ViewSet(flip=False, shift=0))
    settings = {"temperature": 1.0, "distill_weight": 0.5, "label_smoothing": 0.0}
    seeds = (0, 1) if stacked else (0,)  # what is not stacked sees one seed's pictures
    students, networks = [], []
    for seed in seeds:
        rows = torch.arange(30) + 30 * seed
        told = TransferSet("labelled", dataset.train.images, rows, dataset.train.hard_labels[rows])
        for arm in ("distilled", PEER):
            students.append(Student(arm, seed, "convnet-4", 0, told, Objective(METHODS["mutual"], settings)))
            networks.append(build_model("convnet-4", (1, 8, 8), 10, seed=len(networks)))
    team = Team(students, copy.deepcopy(networks), schedule, PRECISE, stacked=stacked)
    team.optimizer = torch.optim.SGD(parameter_groups(team.network, recipe.weight_decay), lr=0.05)  # type: ignore
    optimizers = [torch.optim.SGD(parameter_groups(one, recipe.weight_decay), lr=0.05) for one in networks]
    for step in range(3):
        order = {seed: torch.randperm(30, generator=generator)[:10] for seed in seeds}
        losses = team.learn(order, {seed: torch.zeros(10, dtype=torch.int64) for seed in seeds}, step / 3)
        expected = []
        for seed in seeds:
            rows = 30 * seed + order[seed]
            labels = dataset.train.hard_labels[rows]
            pair = slice(2 * seed, 2 * seed + 2)
            logits = [network.train()(to_float(dataset.train.images[rows])) for network in networks[pair]]
            for own, peer, optimizer in zip(logits, reversed(logits), optimizers[pair], strict=True):
                mimicry = F.kl_div(own.log_softmax(1), peer.detach().softmax(1), reduction="batchmean")
                loss = (F.cross_entropy(own, labels) + mimicry) / 2
                optimizer.zero_grad()
                loss.backward()
                expected.append(loss.detach())
                optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.05 * one_cycle(step / 3)
                optimizer.step()
        torch.testing.assert_close(losses, torch.stack(expected), rtol=1e-4, atol=1e-5)
    for state, network in zip(team.states(), networks, strict=True):
        for key, value in network.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=1e-3, atol=1e-4, msg=key)
