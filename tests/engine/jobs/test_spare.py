"""A spare worker is taken once, by a run that a new worker would train in the same way, or not at all."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kdcore.jobs import spare
from kdcore.jobs.spare import Offer, Order, offers, offers_folder, remove_leftovers, take_spare, wait_until_ready
from kdcore.machine.namespace import process_namespace
from kdcore.store import Store, new_id
from tests.engine.jobs.spares import process, published

ORDER = Order("abcdefghjkmnpq", 3)


def files(store: Store) -> list[str]:
    return sorted(path.name for path in offers_folder(store.home).iterdir())


def test_one_of_many_takers_gets_it_and_it_learns_for_which_run(store: Store) -> None:
    for _ in range(20):
        offer = Offer.publish(store)
        orders = [Order(new_id(), number) for number in range(1, 9)]
        gate = threading.Barrier(len(orders))

        def take(order: Order) -> bool:
            gate.wait()  # noqa: B023
            return offer.hand_over(order)  # noqa: B023

        with ThreadPoolExecutor(len(orders)) as pool:
            taken = list(pool.map(take, orders))
        assert sum(taken) == 1
        assert not offer.withdraw()
        assert offer.wait() == orders[taken.index(True)]
        assert files(store) == []


def test_one_that_has_withdrawn_is_not_taken(store: Store) -> None:
    offer = Offer.publish(store)
    offer.note_ready()
    assert offer.withdraw() and not offer.withdraw()
    assert not offer.hand_over(ORDER) and take_spare(store, ORDER) is None
    assert offer.wait() is None and files(store) == []


def test_it_waits_until_it_is_taken(store: Store) -> None:
    offer = Offer.publish(store)
    timer = threading.Timer(0.3, offer.hand_over, (ORDER,))
    began = time.monotonic()
    timer.start()
    assert offer.wait() == ORDER and time.monotonic() - began >= 0.3


def test_a_claimed_run_takes_it_and_gets_its_process(store: Store) -> None:
    offer = Offer.publish(store)
    assert list(offers(store.home)) == [offer]
    assert take_spare(store, ORDER) == os.getpid() == offer.pid
    assert take_spare(store, ORDER) is None
    assert offer.wait() == ORDER


def test_a_run_of_another_environment_leaves_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Offer.publish(store)
    with monkeypatch.context() as other:
        other.setenv("OMP_NUM_THREADS", "5")
        assert take_spare(store, ORDER) is None
    assert take_spare(store, ORDER) == offer.pid


def test_one_of_another_container_is_left_alone(store: Store) -> None:
    offer = Offer.publish(store)
    offer.path.write_text(offer.path.read_text().replace(process_namespace(), "elsewhere"))
    assert take_spare(store, ORDER) is None and offer.path.exists()


def test_a_killed_one_is_not_taken_and_its_offer_is_removed(store: Store) -> None:
    with process(store) as killed:
        published(store, killed.pid)
        killed.kill()
        killed.wait()
        assert take_spare(store, ORDER) is None
    assert files(store) == []


def test_a_process_that_got_the_number_of_a_killed_one_is_none(store: Store) -> None:
    offer = Offer.publish(store)
    assert offer.is_alive()
    assert not replace(offer, started=offer.started - 60).is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX systems suspend a process")
def test_a_suspended_one_is_not_taken(store: Store) -> None:
    with process(store) as suspended:
        published(store, suspended.pid)
        suspended.send_signal(signal.SIGSTOP)
        os.waitpid(suspended.pid, os.WUNTRACED)
        assert take_spare(store, ORDER) is None


def test_damaged_offers_are_no_offers(store: Store, tmp_path: Path) -> None:
    folder = offers_folder(store.home)
    folder.mkdir(parents=True)
    for number, text in enumerate(("", "{}", "[]", '{"pid": "x"}')):
        (folder / f"{number}.json").write_text(text)
    assert list(offers(store.home)) == [] and take_spare(store, ORDER) is None
    assert list(offers(tmp_path / "nothing here")) == []


def test_files_of_killed_ones_are_removed_after_a_day(store: Store) -> None:
    waiting, killed = Offer.publish(store), Offer.publish(store)
    killed.path.write_text(killed.path.read_text().replace(f'"pid": {killed.pid}', f'"pid": {2**22 + 7}'))
    (offers_folder(store.home) / "a.bcdef.1").touch()
    (offers_folder(store.home) / "keeper.lock").touch()
    everything = files(store)
    remove_leftovers(store.home, time.time())
    assert files(store) == everything
    remove_leftovers(store.home, time.time() + 2 * 86_400)
    assert files(store) == sorted([waiting.path.name, "keeper.lock"])


def test_a_measurement_waits_for_one_that_prepares_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Offer.publish(store)
    began = time.monotonic()
    wait_until_ready(store.home, 0.3)  # it never is: the measurement goes on all the same
    assert 0.3 <= time.monotonic() - began < 10
    threading.Timer(0.3, offer.note_ready).start()
    began = time.monotonic()
    wait_until_ready(store.home, 60)
    assert 0.3 <= time.monotonic() - began < 30 and offer.is_ready
    monkeypatch.setattr(spare, "LOOK_SECONDS", 60)
    wait_until_ready(store.home, 60)
