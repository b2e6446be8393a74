"""Choice of the compute device, its numeric precision and its number of CPU threads."""

from __future__ import annotations

import contextlib
import platform
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from kdcore.errors import ConfigError, UnknownName

DEVICES = ("auto", "cpu", "cuda")

Step = TypeVar("Step")


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


def pick_device(name: str = "auto") -> Device:
    """The device called `name`, with torch's present number of CPU threads; "auto" means CUDA if the machine has it,
    else the CPU.

    Raises:
        UnknownName: `name` is not one of "auto", "cpu", "cuda".
        ConfigError: `name` is "cuda" and this machine has no CUDA device.
    """
    if name not in DEVICES:
        raise UnknownName("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError('This machine has no CUDA device; choose "cpu" or "auto".')
    threads = torch.get_num_threads()
    if name != "cpu" and torch.cuda.is_available():
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        return Device(torch.device("cuda"), precision, torch.cuda.get_device_name(), threads)
    return Device(torch.device("cpu"), "bf16" if cpu_has_bf16() else "fp32", _cpu_name(), threads)


class _DefaultThreads:
    """The number of CPU threads with which torch starts in threads of this process that have not used it yet.

    torch keeps a number for each thread and this default, and setting the one sets the other. So that overlapping
    changes in several threads leave the default as the first of them found it, the last one restores it.
    """

    def __init__(self) -> None:
        self._lock, self._changes, self._before = threading.Lock(), 0, 1

    def begin_change(self, before: int) -> None:
        with self._lock:
            if self._changes == 0:
                self._before = before
            self._changes += 1

    def end_change(self, restored: int) -> None:  # `restored`: what the calling thread has just set for itself
        with self._lock:
            self._changes -= 1
            if self._changes == 0 and restored != self._before:
                # Set it in a thread of its own, so that the calling thread keeps its number.
                setter = threading.Thread(target=torch.set_num_threads, args=(self._before,))
                setter.start()
                setter.join()


_DEFAULT_THREADS = _DefaultThreads()  # one object, as the default is one number for the whole process


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[int]:
    """Context in which torch uses `count` CPU threads in the calling thread; the previous number is restored after."""
    before = torch.get_num_threads()
    _DEFAULT_THREADS.begin_change(before)
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)
        _DEFAULT_THREADS.end_change(before)


def with_torch_threads(count: int, steps: Generator[Step, None, None]) -> Iterator[Step]:
    """Yield what `steps` yields, computed by torch with `count` CPU threads, outside of autocast and with gradients.

    Whenever a step is yielded, the caller's own number of threads, autocast and gradient mode are in force again.
    """
    step: Step | None = None
    try:
        while True:
            with _own_torch_state(count):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step
    finally:
        with _own_torch_state(count):
            steps.close()


@contextlib.contextmanager
def _own_torch_state(threads: int) -> Iterator[None]:
    with contextlib.ExitStack() as state:
        state.enter_context(torch_threads(threads))
        state.enter_context(torch.inference_mode(False))
        state.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                # Without its cache, which would keep the bf16 copy of a weight from one training step to the next.
                state.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
        yield


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
