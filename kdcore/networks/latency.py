"""Measurement of how long a network takes for a batch on this machine.

Callers must make sure that no training runs at the same time, because it would falsify the times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from kdcore.machine.device import Device, torch_threads
from kdcore.pictures.views import to_float

BATCH_SIZES = (1, 64)
REPETITIONS = 200
WARM_UP = 10  # passes before the timing starts
# A large network is timed fewer times: for a batch of 64, EfficientNet-Lite0 alone would take minutes on one thread.
LIMIT_SECONDS = 4.0  # of timing one network with one batch size, and a quarter of it for its warm-up
FEWEST_REPETITIONS = 5
# Further batch sizes for a curve; the largest is slow, so it is timed fewer times.
FURTHER_SIZES = (8, 256)
FEWER_REPETITIONS = {256: 40}
# One thread on a CPU: several threads wait for the slowest of them in every layer, so that the times would depend on
# whatever else runs on the machine (the browser that shows the page is enough). Measured beside one other process on
# two cores: two threads need 65 s in all, with a p95 of 94 ms at batch size 1; one thread 3 s and 0.5 ms.
THREADS = 1


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass of a batch of uint8 pictures that are on the device already.

    Attributes:
        p50, p95: median and 95th percentile over the repetitions, milliseconds.
        threads: number of CPU threads that torch used.
        device: name of the CPU or GPU model.
        repetitions: how often the pass was timed.
    """

    batch_size: int
    p50: float
    p95: float
    threads: int
    device: str
    repetitions: int = REPETITIONS

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def repetitions(batch_size: int) -> int:
    """How often a batch of this size is timed, unless the network is so slow that `LIMIT_SECONDS` are over first."""
    return FEWER_REPETITIONS.get(batch_size, REPETITIONS)


def measure_latency(
    models: dict[str, tuple[nn.Module, tuple[int, int, int]]],
    device: Device,
    batch_sizes: tuple[int, ...] = BATCH_SIZES,
    progress: Callable[[float], None] | None = None,
) -> dict[str, list[Latency]]:
    """Time all models in turns, so that a slow moment of the machine affects all of them equally.

    Args:
        models: name -> (model, (C, H, W) of its pictures).
        progress: called after each repetition with the share that is done, 0 to 1.

    Returns:
        name -> one `Latency` for each batch size.
    """
    with torch_threads(THREADS if device.torch.type == "cpu" else device.threads) as threads:
        results: dict[str, list[Latency]] = {name: [] for name in models}
        done, total = 0, sum(repetitions(size) for size in batch_sizes)
        for batch_size in batch_sizes:
            pictures = {
                name: torch.zeros(batch_size, *shape, dtype=torch.uint8, device=device.torch)
                for name, (_, shape) in models.items()
            }
            warm: dict[str, list[float]] = {name: [] for name in models}
            times: dict[str, list[float]] = {name: [] for name in models}
            for repetition in range(-WARM_UP, repetitions(batch_size)):
                found, fewest, limit = (
                    (warm, 1, LIMIT_SECONDS / 4) if repetition < 0 else (times, FEWEST_REPETITIONS, LIMIT_SECONDS)
                )
                for name, (model, _) in models.items():
                    if len(found[name]) < fewest or sum(found[name]) < 1000 * limit:
                        found[name].append(_time_once(model, pictures[name], device))
                if repetition >= 0:
                    done += 1
                    if progress is not None:
                        progress(done / total)
            for name, values in times.items():
                p50, p95 = (float(value) for value in np.percentile(values, [50, 95]))
                results[name].append(Latency(batch_size, p50, p95, threads, device.name, len(values)))
    return results


@torch.inference_mode()
def _time_once(model: nn.Module, pictures: torch.Tensor, device: Device) -> float:
    device.synchronize()
    start = time.perf_counter()
    batch = to_float(pictures).contiguous(memory_format=torch.channels_last)
    with device.autocast():
        model.eval()(batch)
    device.synchronize()
    return (time.perf_counter() - start) * 1000
