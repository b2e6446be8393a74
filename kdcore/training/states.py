"""The training state of a team's students: weights and the optimiser's state, each tensor named by its student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from kdcore.machine.tensor_files import unpack_optimizer

WEIGHTS = "weights"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter

State = dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]  # of each kind, the tensors of networks and adapter


class StateMissing(Exception):
    """The state of a student is not among the tensors, or has other shapes."""


class Networks(Protocol):
    """Networks of several students in one module, whose tensors can be divided among them."""

    def state_dict(self) -> Mapping[str, Tensor]: ...

    def split(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]: ...

    def join(self, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]: ...


def pack_state(
    keys: Sequence[str], network: nn.Module, adapter: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Return the state of all students.

    Args:
        keys: the name of each student, in the order of the networks.
        network: the networks, as in `Networks`.
        adapter: what is trained beside the first student; it may have no weights.
    """
    kinds: dict[str, dict[str, Tensor]] = {WEIGHTS: dict(network.state_dict())}
    adapters: dict[str, dict[str, Tensor]] = {WEIGHTS: dict(adapter.state_dict())}
    for moment in MOMENTS:
        for module, found in ((network, kinds), (adapter, adapters)):
            parameters = module.named_parameters()
            found[moment] = {name: optimizer.state[one][moment] for name, one in parameters if one in optimizer.state}
    tensors: dict[str, Tensor] = {}
    for kind, values in kinds.items():
        for key, state in zip(keys, _networks(network).split(values), strict=True):
            tensors |= {f"{key}/network/{kind}/{name}": value for name, value in state.items()}
    for kind, values in adapters.items():
        tensors |= {f"{keys[0]}/adapter/{kind}/{name}": value for name, value in values.items()}
    return tensors


def find_state(tensors: Mapping[str, Tensor], keys: Sequence[str], network: nn.Module, adapter: nn.Module) -> State:
    """Find the state of these students, which `pack_state` returned, perhaps among the states of other students.

    Raises:
        StateMissing: a student's state is missing or has other shapes.
    """

    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    found: State = {}
    for kind in (WEIGHTS, *MOMENTS):
        states = [part(f"{key}/network/{kind}/") for key in keys]
        if not all(_shapes(state) == _shapes(states[0]) for state in states):
            raise StateMissing
        found[kind] = (_networks(network).join(states), part(f"{keys[0]}/adapter/{kind}/"))
    for module, weights in zip((network, adapter), found[WEIGHTS], strict=True):
        if _shapes(module.state_dict()) != _shapes(weights):
            raise StateMissing
    return found


def restore_state(state: State, network: nn.Module, adapter: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Bring networks and optimiser into the state that `find_state` returned."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    numbers = {id(one): number for number, one in enumerate(parameters)}
    moments: dict[str, Tensor] = {}
    for place, module in enumerate((network, adapter)):
        module.load_state_dict(state[WEIGHTS][place])
        for name, one in module.named_parameters():
            for moment in MOMENTS:
                if name in state[moment][place]:
                    moments[f"{numbers[id(one)]}.{moment}"] = state[moment][place][name]
    unpack_optimizer(optimizer, moments, "")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _networks(network: nn.Module) -> Networks:
    return network  # type: ignore[return-value]
