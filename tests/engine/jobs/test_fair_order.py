"""Whose run is next: worked examples, and the order in which runs are then trained."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from kdcore import jobs
from kdcore.jobs.fair_order import KEPT_TURNS, TURN_PREFIX, fair_order
from kdcore.store import Store
from kdcore.store.schema import meta
from tests.engine.jobs.short_runs import claim, finish, set_row, submit


def train_all(store: Store, by_id: dict[str, str]) -> str:
    """Claim and finish all waiting runs; return their letters in the order in which they started."""
    order = ""
    while (row := jobs.claim(store)) is not None:
        order += by_id[row.id]
        finish(store, row)
    return order


# --- the order, on plain values ---


@dataclass(frozen=True)
class Waiting:
    """A stand-in for a row of the store, with the columns that decide its turn."""

    number: int
    visitor: str
    kind: str = "run"
    started: float | None = None


def order_of(text: str, turns: dict[str, int] | None = None) -> str:
    """Return the fair order of runs that arrived as in `text`: a letter names the visitor, a capital a run that had
    begun, and `!` is a measurement."""
    rows = [
        Waiting(n, letter.lower(), "latency" if letter == "!" else "run", 1.0 if letter.isupper() else None)
        for n, letter in enumerate(text, 1)
    ]
    ordered = fair_order(rows, turns or {})  # type: ignore[arg-type]
    return " ".join(f"{row.visitor}{row.number}" for row in ordered)


@pytest.mark.parametrize(
    ("came", "turns", "order"),
    [
        ("aaa", {}, "a1 a2 a3"),
        ("aaab", {}, "a1 b4 a2 a3"),  # neither visitor had a turn yet, so the first to arrive starts
        ("aaab", {"a": 1}, "b4 a1 a2 a3"),  # visitor b had no turn yet
        ("aaabbb", {}, "a1 b4 a2 b5 a3 b6"),
        ("aabbc", {"a": 3, "b": 1, "c": 2}, "b3 c5 a1 b4 a2"),  # whose last turn is longest ago comes first
        ("a" * 50 + "b", {"a": 9, "b": 8}, "b51 " + " ".join(f"a{n}" for n in range(1, 51))),
        ("aabAb", {"a": 9}, "a4 b3 a1 b5 a2"),  # the run that lost its process continues first, which counts as no turn
        ("aa!b", {"a": 9}, "a1 a2 !3 b4"),  # runs that arrived before a measurement start before it
        ("!a!b", {}, "!1 a2 !3 b4"),
        ("", {}, ""),
    ],
)
def test_worked_examples(came: str, turns: dict[str, int], order: str) -> None:
    assert order_of(came, turns) == order


@given(st.text("abcdA!", max_size=25), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 99)))
def test_everybody_gets_a_turn_and_ones_own_runs_keep_their_order(came: str, turns: dict[str, int]) -> None:
    ordered = order_of(came, turns).split()
    assert sorted(ordered) == sorted(f"{letter.lower()}{n}" for n, letter in enumerate(came, 1))
    for visitor in "bcd":
        mine = [int(one[1:]) for one in ordered if one[0] == visitor]
        assert mine == sorted(mine)
    if "!" not in came and "A" not in came:
        for first, second in ((a, b) for a in "abcd" for b in "abcd" if a != b):
            if first in came and second in came:  # while both have runs left, neither has two more than the other
                upto = min(ordered.index(f"{v}{came.rindex(v) + 1}") for v in (first, second))
                counts = [sum(one[0] == v for one in ordered[: upto + 1]) for v in (first, second)]
                assert abs(counts[0] - counts[1]) <= 1


# --- the order, in the store ---


def test_another_visitors_run_comes_next_before_fifty_of_one(store: Store) -> None:
    ids = {submit(store, "a"): "a" for _ in range(49)}
    running = claim(store)
    other = submit(store, "b")
    ids[other] = "b"
    assert jobs.position(store, other) == 1
    assert sorted(jobs.position(store, one) for one in ids) == list(range(50))
    finish(store, running)
    assert train_all(store, ids) == "b" + "a" * 48
    assert jobs.position(store, other) == 0


def test_the_place_is_what_then_happens(store: Store) -> None:
    letters = "aabcabac"
    ids = {submit(store, letter): f"{letter}{n}" for n, letter in enumerate(letters)}
    by_position = sorted(ids, key=lambda one: jobs.position(store, one))
    assert [jobs.position(store, one) for one in by_position] == list(range(1, 9))
    assert train_all(store, ids) == "".join(ids[one] for one in by_position) == "a0b2c3a1b5c7a4a6"


def test_turns_are_counted_and_no_clock_is_asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = submit(store, "a")
    assert claim(store).id == first
    finish(store, store.run(first))
    real = time.time
    # The clock is set back two hours, so that a's turn lies in the future.
    monkeypatch.setattr(time, "time", lambda: real() - 7200)
    ids = {submit(store, letter): letter for letter in "bbbaa"}
    assert train_all(store, ids) == "babab"


def test_what_was_deleted_counts_too_and_old_turns_are_forgotten(store: Store) -> None:
    first = submit(store, "a")
    finish(store, claim(store))
    store.delete(first)
    assert store.purge(first)
    ids = {submit(store, letter): letter for letter in "ab"}
    assert train_all(store, ids) == "ba"
    with store.write() as connection:
        connection.execute(
            sa.insert(meta), [{"key": f"{TURN_PREFIX}{n}", "value": n + 10} for n in range(KEPT_TURNS + 50)]
        )
    submit(store, "new")
    claim(store)
    with store.read() as connection:
        kept = connection.execute(sa.select(sa.func.count()).where(meta.c.key.startswith(TURN_PREFIX))).scalar_one()
    assert kept == KEPT_TURNS


def test_a_run_that_lost_its_worker_goes_on_before_others(store: Store) -> None:
    first, other = submit(store, "a"), submit(store, "b")
    assert claim(store).id == first
    set_row(store, first, worker_pid=None, heartbeat=None)
    jobs.advance(store, slots=0)
    assert [jobs.position(store, one) for one in (first, other)] == [1, 2]
    assert claim(store).id == first
    finish(store, store.run(first))
    assert train_all(store, {other: "b"}) == "b"
