"""Latency: the promised number of repetitions, models timed in turns, and the number of threads restored."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from kdcore.machine.device import pick_device
from kdcore.networks import latency

SHAPE = (1, 4, 4)


class RecordedNetwork(nn.Module):
    """A network that records each call: its name, the number of pictures and the number of threads."""

    def __init__(self, name: str, calls: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.name, self.calls = name, calls

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.calls.append((self.name, len(pictures), torch.get_num_threads()))
        return pictures.flatten(1)


def test_two_hundred_repetitions_in_turns_on_one_thread() -> None:
    calls: list[tuple[str, int, int]] = []
    models = {name: (RecordedNetwork(name, calls), SHAPE) for name in ("teacher", "baseline")}
    shares: list[float] = []
    before = torch.get_num_threads()
    by_model = latency.measure_latency(models, pick_device("cpu"), (1, 64), progress=shares.append)
    assert torch.get_num_threads() == before
    assert {threads for _name, _size, threads in calls} == {1}
    for size in (1, 64):
        order = [name for name, n, _threads in calls if n == size]
        assert len(order) == 2 * (200 + latency.WARM_UP)
        assert order == ["teacher", "baseline"] * (len(order) // 2)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == 400
    for latencies in by_model.values():
        assert [found.batch_size for found in latencies] == [1, 64]
        assert all(0 < found.p50 <= found.p95 and found.threads == 1 for found in latencies)


def test_only_added_sizes_are_repeated_less() -> None:
    assert [latency.repetitions(size) for size in latency.BATCH_SIZES] == [200, 200]
    assert latency.repetitions(8) == 200 and latency.repetitions(256) == 40


def test_a_slow_network_is_timed_fewer_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LIMIT_SECONDS", 0.04)
    calls: list[tuple[str, int, int]] = []

    class SlowNetwork(RecordedNetwork):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            time.sleep(0.003)
            return super().forward(pictures)

    models = {"teacher": (SlowNetwork("teacher", calls), SHAPE), "student": (nn.Flatten(), SHAPE)}
    slow, fast = (found[0] for found in latency.measure_latency(models, pick_device("cpu"), (1,)).values())
    assert latency.FEWEST_REPETITIONS <= slow.repetitions <= 0.04 / 0.003 + 1
    assert fast.repetitions == 200
    assert len(calls) <= slow.repetitions + 0.01 / 0.003 + 1
    assert slow.to_json()["repetitions"] == slow.repetitions


def test_the_threads_are_put_back_when_it_is_broken_off() -> None:
    before = torch.get_num_threads()

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        latency.measure_latency({"teacher": (nn.Flatten(), SHAPE)}, pick_device("cpu"), progress=stop)
    assert torch.get_num_threads() == before
