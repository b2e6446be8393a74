"""When a spare worker is started, replaced and given up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from kdcore import jobs
from kdcore.jobs import spare_keeper
from kdcore.jobs.spare_keeper import SpareKeeper
from kdcore.store import Store
from tests.engine.jobs.short_runs import submit, wait_for
from tests.engine.jobs.spares import WAITING


class Machine:
    """Stands for what a keeper finds: memory, code, time, and the processes that it started."""

    def __init__(self) -> None:
        self.memory, self.code, self.now, self.command = 2**40, "code", 1000.0, WAITING
        self.started: list[subprocess.Popen[bytes]] = []

    def spawn(self, store: Store) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", self.command]
        self.started.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return self.started[-1]

    def alive(self) -> int:
        return sum(process.poll() is None for process in self.started)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setattr(spare_keeper, "spawn_spare", machine.spawn)
    monkeypatch.setattr(spare_keeper, "available_memory", lambda: machine.memory)
    monkeypatch.setattr(spare_keeper, "worker_fingerprint", lambda store: machine.code)
    yield machine
    for process in machine.started:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


@pytest.fixture
def keeper(store: Store, machine: Machine) -> Iterator[SpareKeeper]:
    keeper = SpareKeeper(store, clock=lambda: machine.now)
    yield keeper
    keeper.give_up()


def test_one_is_started_when_it_is_wanted_and_given_up_when_not(keeper: SpareKeeper, machine: Machine) -> None:
    keeper.keep(wanted=False)
    assert machine.started == []
    for _ in range(3):
        keeper.keep(wanted=True)
    assert len(machine.started) == machine.alive() == 1
    keeper.keep(wanted=False)
    assert machine.started[0].wait(60) == 0  # its standard input has ended


def test_none_is_started_beside_a_run(keeper: SpareKeeper, machine: Machine, store: Store) -> None:
    run_id = submit(store)
    keeper.keep(wanted=True)
    assert jobs.claim(store) is not None
    keeper.keep(wanted=True)
    jobs.cancel(store, run_id)
    jobs.advance(store)
    assert machine.started == []


def test_none_is_started_beside_a_measurement(keeper: SpareKeeper, machine: Machine, store: Store) -> None:
    with jobs.reserve_machine(store, "latency"):
        keeper.keep(wanted=True)
        assert machine.started == []
    machine.now += 60
    keeper.keep(wanted=True)
    assert machine.alive() == 1


def test_short_memory_gives_it_up_and_starts_none(keeper: SpareKeeper, machine: Machine) -> None:
    machine.memory = spare_keeper.NEEDED_BYTES - 1
    keeper.keep(wanted=True)
    assert machine.started == []
    machine.memory = spare_keeper.NEEDED_BYTES
    keeper.keep(wanted=True)
    machine.memory = spare_keeper.SHORT_BYTES  # what is short for a new one is enough for the one that waits
    keeper.keep(wanted=True)
    assert machine.alive() == 1
    machine.memory = spare_keeper.SHORT_BYTES - 1
    keeper.keep(wanted=True)
    assert machine.started[0].wait(60) == 0


def test_after_an_upgrade_it_is_replaced(keeper: SpareKeeper, machine: Machine) -> None:
    keeper.keep(wanted=True)
    machine.code = "newer code"
    keeper.keep(wanted=True)
    assert machine.started[0].wait(60) == 0
    machine.now += 60
    keeper.keep(wanted=True)
    assert len(machine.started) == 2 and machine.alive() == 1


def test_a_killed_one_is_replaced_at_once(keeper: SpareKeeper, machine: Machine) -> None:
    keeper.keep(wanted=True)
    machine.now += 60
    machine.started[0].kill()
    machine.started[0].wait()
    keeper.keep(wanted=True)
    assert len(machine.started) == 2 and machine.alive() == 1


def test_one_that_cannot_start_is_tried_less_and_less_often(keeper: SpareKeeper, machine: Machine) -> None:
    machine.command = "raise SystemExit(3)"
    tries = []
    for _ in range(2000):
        keeper.keep(wanted=True)
        if len(machine.started) > len(tries):
            machine.started[-1].wait()
            tries.append(machine.now)
        machine.now += 2
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses) and pauses[0] < 15 and pauses[-1] >= spare_keeper.LONGEST_PAUSE
    assert len(tries) < 20


def test_two_apps_of_one_home_have_one_and_the_second_takes_over(
    keeper: SpareKeeper, machine: Machine, store: Store
) -> None:
    other = SpareKeeper(store, clock=lambda: machine.now)
    keeper.keep(wanted=True)
    for _ in range(10):
        other.keep(wanted=True)
        machine.now += 60
    assert len(machine.started) == 1
    keeper.give_up()
    wait_for(lambda: machine.alive() == 0)
    other.keep(wanted=True)
    keeper.keep(wanted=True)
    assert len(machine.started) == 2 and machine.alive() == 1
    other.give_up()
    other.give_up()


def test_a_home_that_cannot_be_written_raises_and_starts_none(
    keeper: SpareKeeper, machine: Machine, store: Store
) -> None:
    Path(store.home / "spare").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="spare"):
        keeper.keep(wanted=True)
    assert machine.started == []
