"""Measuring seconds: warm, repeated, in turns, and summarised with their spread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from kdcore.device import Device

AT_LEAST = 1.0  # seconds that one measurement lasts, so that the clock and the start of threads do not count

Say = Callable[[str], None]  # told in one line what is being done


@dataclass(frozen=True)
class Timing:
    """Seconds of the same work, once for each repeat."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def range(self) -> list[float]:
        """The least and the most."""
        return [min(self.seconds), max(self.seconds)]


def seconds_of(device: Device, work: Callable[[], object]) -> float:
    """How long `work` takes, with all that it leaves queued on the device."""
    device.synchronize()
    began = time.perf_counter()
    work()
    device.synchronize()
    return time.perf_counter() - began


def steady(device: Device, work: Callable[[], object], at_least: float = AT_LEAST) -> Callable[[], float]:
    """A measurement of `work`, which is warmed up here and then repeated until it lasts `at_least` seconds.

    Returns:
        What measures it once and gives the seconds of one repetition.
    """
    work()
    count = max(1, math.ceil(at_least / seconds_of(device, work)))

    def repeat() -> None:
        for _ in range(count):
            work()

    return lambda: seconds_of(device, repeat) / count


def take_turns(jobs: Mapping[str, Callable[[], float]], repeats: int, say: Say) -> dict[str, Timing]:
    """Every job `repeats` times, one after the other, so that a slow moment of the machine falls on all of them.

    Args:
        jobs: by name, what measures once and gives its seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(1, repeats + 1):
        for name, job in jobs.items():
            say(f"{name}, repeat {repeat} of {repeats}")
            seconds[name].append(job())
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
