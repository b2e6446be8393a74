"""Load weights into a network, although another tool may have written their names a little differently."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from torch import Tensor, nn

COMPILED = "_orig_mod"  # `torch.compile` adds this part to the names below each module that it compiled
COUNTER = "num_batches_tracked"  # of batch norm; old files lack it, and a network in eval mode does not read it
AUXILIARY = ("aux1", "aux2", "AuxLogits")  # classifiers of GoogLeNet and Inception v3, which only help in training
AVERAGED = "n_averaged"  # how many networks `torch.optim.swa_utils.AveragedModel` averaged; it stands beside them


def names_in_network(names: Iterable[str], wanted: Collection[str]) -> dict[str, str]:
    """Return for each name in a weights file the name that it has in the network.

    The part that `torch.compile` adds is left out, and a prefix that all names share, such as the "module." of
    distributed training, where the network's own names then fit better. What is no part of a network has no name in
    the result.

    Args:
        names: the names in the file.
        wanted: the names in the network's state dict.
    """
    plain = {name: ".".join(part for part in name.split(".") if part != COMPILED) for name in names if name != AVERAGED}
    best = plain
    while plain and all("." in name for name in plain.values()):
        if len({name.partition(".")[0] for name in plain.values()}) > 1:
            break
        plain = {name: short.partition(".")[2] for name, short in plain.items()}
        if len(set(plain.values()) & set(wanted)) > len(set(best.values()) & set(wanted)):
            best = plain
    return best if len(set(best.values())) == len(best) else {name: name for name in best}


def may_lack(name: str) -> bool:
    """Whether a weights file may lack this entry of a network's state dict."""
    return name.rpartition(".")[2] == COUNTER or name.partition(".")[0] in AUXILIARY


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the tensors of a weights file, whose names may differ as `names_in_network` says. What it lacks legally
    stays as it is.

    Raises:
        RuntimeError: names or shapes do not fit the network.
    """
    state = network.state_dict()
    names = names_in_network(tensors, state)
    found = {name: tensors[key].float() for key, name in names.items()}
    network.load_state_dict({**{name: value for name, value in state.items() if may_lack(name)}, **found})
