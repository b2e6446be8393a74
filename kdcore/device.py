"""Where the engine computes, in what precision, and with how many threads."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kdcore.errors import ConfigError, UnknownName

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Device:
    """A device that exists on this machine.

    Attributes:
        torch: the torch device.
        precision: "bf16" where the processor multiplies bf16 in hardware, else "fp32".
        name: the processor's name, for people.
        threads: CPU threads that torch uses.
    """

    torch: torch.device
    precision: str
    name: str
    threads: int

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """bf16 inside models where it is fast; losses are computed outside, in fp32."""
        if self.precision == "bf16":
            return torch.autocast(self.torch.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def place(self, model: nn.Module) -> nn.Module:
        """Move a network here, its kernels in channels_last order, which convolutions read fastest."""
        return model.to(self.torch, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def synchronize(self) -> None:
        """Wait for queued work, so that a clock read afterwards means something."""
        if self.torch.type == "cuda":
            torch.cuda.synchronize(self.torch)


def cpu_has_bf16() -> bool:
    """True with AMX or AVX512-BF16; elsewhere bf16 is emulated and far slower than fp32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = ("avx512_bf16", "amx_bf16", "amx_tile")
    return any(bool(capabilities.get(name)) for name in names)


def pick_device(name: str = "auto", threads: int | None = None) -> Device:
    """The device called `name`; "auto" takes CUDA where it is present.

    Sets torch's thread count for this process if `threads` says one, because two teams of threads on the same cores
    are slower than one.

    Raises:
        UnknownName: not one of "auto", "cpu", "cuda".
        ConfigError: CUDA was asked for and this machine has none.
    """
    if name not in DEVICES:
        raise UnknownName("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError('This machine has no CUDA device; choose "cpu" or "auto".')
    threads = threads or torch.get_num_threads()
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if name != "cpu" and torch.cuda.is_available():
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        return Device(torch.device("cuda"), precision, torch.cuda.get_device_name(), threads)
    return Device(torch.device("cpu"), "bf16" if cpu_has_bf16() else "fp32", _cpu_name(), threads)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[int]:
    """So many threads for torch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
