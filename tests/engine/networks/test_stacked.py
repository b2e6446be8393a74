"""Many networks computed as one give what the separate networks give."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from kdcore.networks.optimizers import parameter_groups
from kdcore.networks.registry import build_model
from kdcore.networks.stacked import StackedNetwork, can_stack

MODELS = {"convnet-4": (3, 16, 16), "mlp-12-8": (1, 8, 8), "inkmlp-8": (1, 8, 8), "airbench-8-8-8": (3, 32, 32)}


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels)


@pytest.mark.parametrize("sources", [1, 2, 4])
@pytest.mark.parametrize("name", MODELS)
def test_a_stack_learns_what_its_networks_learn_alone(name: str, sources: int) -> None:
    """Four networks trained separately by a plain loop, and as a stack: logits, weights and norms are the same.

    Trained with SGD, because AdamW turns rounding errors into whole steps where a gradient is nearly 0.
    """
    shape, size, generator = MODELS[name], 4, torch.Generator().manual_seed(0)
    networks = [build_model(name, shape, 5, seed=seed) for seed in range(size)]
    stack = StackedNetwork([copy.deepcopy(network) for network in networks], shape[0])
    joint = torch.optim.SGD(parameter_groups(stack, 0.1), lr=5e-2)
    alone = [torch.optim.SGD(parameter_groups(network, 0.1), lr=5e-2) for network in networks]
    for _ in range(3):
        pictures = torch.randn(sources, 6, *shape, generator=generator)  # a separate batch for each source
        labels = torch.randint(5, (6,), generator=generator)
        for place, (network, optimizer) in enumerate(zip(networks, alone, strict=True)):
            optimizer.zero_grad()
            loss_of(network(pictures[place * sources // size]), labels).backward()
            optimizer.step()
        joined = pictures.transpose(0, 1).reshape(6, -1, *shape[1:])
        joint.zero_grad()
        logits = stack(joined)
        assert logits.shape == (6, size, 5)
        sum(loss_of(logits[:, place], labels) for place in range(size)).backward()
        joint.step()
    for network, state in zip(networks, stack.states(), strict=True):
        expected = network.state_dict()
        assert state.keys() == expected.keys()
        for key, value in state.items():
            assert value.shape == expected[key].shape
            torch.testing.assert_close(value, expected[key], rtol=2e-4, atol=2e-5, msg=key)
    stack.eval()
    new_pictures = torch.randn(3, *shape, generator=generator)
    expected = torch.stack([network.eval()(new_pictures) for network in networks], 1)
    torch.testing.assert_close(stack(new_pictures), expected, rtol=2e-3, atol=2e-4)


def test_weight_decay_spares_the_same_weights() -> None:
    network = build_model("convnet-4", (3, 16, 16), 5, seed=0)
    stack = StackedNetwork([network, copy.deepcopy(network)], 3)
    sizes = [[2 * sum(p.numel() for p in group["params"]) for group in parameter_groups(network, 0.1)]]
    sizes.append([sum(p.numel() for p in group["params"]) for group in parameter_groups(stack, 0.1)])
    assert sizes[0] == sizes[1]


def test_what_cannot_be_stacked_is_known() -> None:
    for name, shape in MODELS.items():
        assert can_stack(build_model(name, shape, 5))
    assert not can_stack(build_model("resnet-8", (3, 32, 32), 5))
    assert not can_stack(build_model("dropoutmlp-8", (1, 8, 8), 5))  # each network draws its own dropped units
