"""The thread of the app that keeps a spare worker: when it looks, when it gives up, and what follows an error."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from kdcore.errors import StoreError
from pages.ui.frame.spare_thread import SpareThread, is_switched_off


@dataclass
class Recorder:
    """Stands for a keeper; `failures` of its calls fail."""

    failures: int = 0
    wanted: list[bool] = field(default_factory=list)
    given_up: int = 0
    opened: int = 0

    @contextlib.contextmanager
    def open(self) -> Iterator[Recorder]:
        self.opened += 1
        yield self

    def keep(self, wanted: bool) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("The runs database is busy.")
        self.wanted.append(wanted)

    def give_up(self) -> None:
        self.given_up += 1


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_it_wants_a_spare_worker_until_nobody_has_used_the_app_for_a_while() -> None:
    keeper = Recorder()
    thread = SpareThread(keeper.open, busy=lambda: False, period=0.01, idle=0.5)
    try:
        assert within(10, lambda: True in keeper.wanted)
        assert within(10, lambda: keeper.wanted[-1] is False)
        thread.note_use()
        assert within(10, lambda: keeper.wanted[-1] is True)
    finally:
        thread.stop()
    assert within(10, lambda: keeper.given_up == 1)


def test_it_does_nothing_while_a_page_is_drawn() -> None:
    keeper, busy = Recorder(), threading.Event()
    busy.set()
    thread = SpareThread(keeper.open, busy=busy.is_set, period=0.01)
    try:
        time.sleep(0.3)
        assert keeper.opened == 0  # opening it loads a library, for which the first page should not wait
        busy.clear()
        assert within(10, lambda: bool(keeper.wanted))
        busy.set()
        time.sleep(0.1)
        looks = len(keeper.wanted)
        time.sleep(0.2)
        assert len(keeper.wanted) == looks
    finally:
        thread.stop()
    assert within(10, lambda: keeper.given_up == 1)


def test_after_an_error_it_goes_on() -> None:
    keeper = Recorder(failures=2)
    thread = SpareThread(keeper.open, busy=lambda: False, period=0.01)
    try:
        assert within(10, lambda: bool(keeper.wanted))
        assert (keeper.opened, keeper.given_up) == (3, 2)
    finally:
        thread.stop()
    assert within(10, lambda: keeper.given_up == 3)


@pytest.mark.parametrize(("value", "off"), [("0", True), (" 0 ", True), ("", False), ("1", False)])
def test_an_environment_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, off: bool) -> None:
    monkeypatch.setenv("KDCORE_SPARE", value)
    assert is_switched_off() == off
