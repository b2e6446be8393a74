"""Choice of the compute device, its numeric precision and its number of CPU threads."""

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
        name: the name of the CPU or GPU model, for display.
        threads: number of CPU threads that torch uses.
    """

    torch: torch.device
    precision: str
    name: str
    threads: int

    @property
    def description(self) -> str:
        """The device's name, the number of threads where it is a CPU, and the precision, for display."""
        if self.torch.type != "cpu":
            return f"{self.name}, {self.precision}"
        unit = "thread" if self.threads == 1 else "threads"
        return f"{self.name}, {self.threads} {unit}, {self.precision}"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context for a forward pass: bf16 if `precision` is "bf16". Compute losses outside of it, in fp32."""
        if self.precision == "bf16":
            return torch.autocast(self.torch.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def place(self, model: nn.Module) -> nn.Module:
        """Move a network to this device, in channels_last memory format, which is fastest for convolutions."""
        return model.to(self.torch, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def synchronize(self) -> None:
        """Wait until all queued GPU work is done, so that a time measured afterwards includes it."""
        if self.torch.type == "cuda":
            torch.cuda.synchronize(self.torch)


def cpu_has_bf16() -> bool:
    """Whether the CPU has AMX or AVX512-BF16; on others bf16 is emulated and far slower than fp32."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = ("avx512_bf16", "amx_bf16", "amx_tile")
    return any(bool(capabilities.get(name)) for name in names)


def pick_device(name: str = "auto", threads: int | None = None) -> Device:
    """The device called `name`; "auto" means CUDA if the machine has it, else the CPU.

    Args:
        threads: if given, torch's number of CPU threads is set to it for the whole process.

    Raises:
        UnknownName: `name` is not one of "auto", "cpu", "cuda".
        ConfigError: `name` is "cuda" and this machine has no CUDA device.
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
    """Context in which torch uses `count` CPU threads; the previous number is restored afterwards."""
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
