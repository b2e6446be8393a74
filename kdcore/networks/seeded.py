"""Draw a network's first weights from a generator of one's own, whatever other threads draw meanwhile.

PyTorch's layers draw their first weights from its global generator, which every thread of the process shares. Seeding
that generator changes the caller's random numbers, and a thread that draws from it meanwhile changes the weights.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode


class SeededDraws(TorchDispatchMode):
    """Within this context, random operators of this thread draw from generators seeded with `seed`, one a device.

    The numbers are those that the global generators would give after `torch.manual_seed(seed)`. Operators that are
    given a generator keep it.

    Raises:
        RuntimeError: an operator draws random numbers and takes no generator.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags and options.get("generator") is None:
            device = _device_of(args, options)
            if device.type != "meta":  # has no values
                func, options["generator"] = _with_generator(func), self._generator(device)
        return func(*args, **options)

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]


def _device_of(args: Sequence[Any], options: Mapping[str, Any]) -> torch.device:
    """The device on which an operator computes: that of its first tensor, or the one that it makes a tensor on."""
    tensors = [one for one in args if isinstance(one, torch.Tensor)]
    return tensors[0].device if tensors else torch.device(options.get("device") or "cpu")


@functools.cache
def _with_generator(func: OpOverload) -> OpOverload:
    """The variant of a random operator that takes a generator: often the operator itself, for `rand` another one."""
    known = [argument.name for argument in func._schema.arguments]
    if "generator" in known:
        return func
    for name in func.overloadpacket.overloads():
        other: OpOverload = getattr(func.overloadpacket, name)
        if sorted(argument.name for argument in other._schema.arguments) == sorted([*known, "generator"]):
            return other
    raise RuntimeError(f"{func} draws random numbers and takes no generator, so a seed cannot decide them")
