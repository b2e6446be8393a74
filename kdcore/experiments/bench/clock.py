"""Timing of work: after a warm-up, repeated, in turns with other work, and summarised with its spread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from kdcore.machine.device import Device

MIN_SECONDS = 1.0  # seconds a measurement lasts, so that clock resolution and thread start do not matter

ProgressCallback = Callable[[str], None]  # called with one line that says what is being measured


@dataclass(frozen=True)
class Timing:
    """Seconds that the same work took, one value per repeat."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def range(self) -> list[float]:
        """The least and the most seconds, as [least, most]."""
        return [min(self.seconds), max(self.seconds)]


def seconds_of(device: Device, work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes, until the device has finished everything that it queued."""
    device.synchronize()
    start = time.perf_counter()
    work()
    device.synchronize()
    return time.perf_counter() - start


def warmed_measurement(
    device: Device, work: Callable[[], object], min_seconds: float = MIN_SECONDS
) -> Callable[[], float]:
    """Warm up `work` and return a function that measures it.

    Returns:
        A function that repeats `work` for about `min_seconds` or longer and returns the seconds of one repetition.
    """
    work()
    count = max(1, math.ceil(min_seconds / seconds_of(device, work)))

    def repeat() -> None:
        for _ in range(count):
            work()

    return lambda: seconds_of(device, repeat) / count


def measure_in_turns(
    jobs: Mapping[str, Callable[[], float]], repeats: int, on_progress: ProgressCallback
) -> dict[str, Timing]:
    """Measure every job `repeats` times, in turns, so that a slow moment of the machine affects all jobs alike.

    Args:
        jobs: name -> a function that measures once and returns seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(1, repeats + 1):
        for name, job in jobs.items():
            on_progress(f"{name}, repeat {repeat} of {repeats}")
            seconds[name].append(job())
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
