"""The order of the queue, the expected wait, and who may submit, stop and resume runs; no worker is started."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import psutil
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from kdcore import jobs
from kdcore.errors import ConfigError, KdError, RunNotFound
from kdcore.events import EpochEnded, RunFailed, RunFinished, RunStarted, TeacherCached
from kdcore.jobs import lease
from kdcore.jobs.fair_order import KEPT_TURNS, TURN_PREFIX, fair_order
from kdcore.jobs.lease import Lease, LeaseLost, is_alive
from kdcore.machine import disk
from kdcore.settings.config import make_run_config
from kdcore.store import RunRow, Store, new_id, to_text
from kdcore.store.schema import events as event_table
from kdcore.store.schema import meta
from kdcore.store.schema import runs as run_table

SHORT = {"labels": 40, "epochs": 2, "seeds": 1, "student": "mlp-8", "device": "cpu"}


def submit(store: Store, visitor: str = "someone", **settings: object) -> str:
    config = make_run_config("digits", **{**SHORT, **settings})
    return jobs.submit(store, config, visitor, limit=jobs.MAX_QUEUED)


def set_row(store: Store, run_id: str, **values: object) -> None:
    with store.write() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(**values))


def claim(store: Store) -> RunRow:
    row = jobs.claim(store)
    assert row is not None
    return row


def finish(store: Store, row: RunRow) -> None:
    Lease(store, row.id, row.attempts).end("finished", RunFinished({}), result={"x": 1})


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


# --- when it starts ---


def trained(store: Store, seconds: tuple[float, float, float], **settings: object) -> str:
    """Add a finished run that took these seconds before, during and after its epochs; return its id."""
    run_id = submit(store, "earlier", **settings)
    row = claim(store)
    assert row.id == run_id
    worker_lease = Lease(store, run_id, row.attempts)
    epochs = int(row.config["epochs"])
    worker_lease.record(TeacherCached("digits", 1, 0.0, False))
    for epoch in range(1, epochs + 1):
        worker_lease.record(EpochEnded(epoch, epochs, seconds[1] / epochs, {}))
    finish(store, row)
    begun = 1_000_000.0
    marks = [begun, *(begun + sum(seconds[:n]) for n in (1, 2, 3))]
    set_row(store, run_id, started=marks[0], finished=marks[3])
    with store.write() as connection:
        for kind, moment in (("TeacherCached", marks[1]), ("EpochEnded", marks[2])):
            mine = sa.and_(event_table.c.run_id == run_id, event_table.c.type == kind)
            connection.execute(sa.update(event_table).where(mine).values(time=moment))
    return run_id


def test_the_wait_is_unknown_before_anything_like_it_was_finished(store: Store) -> None:
    trained(store, (2, 8, 1), student="mlp-16")
    first, second = submit(store), submit(store)
    assert jobs.expected_wait(store, first) == 0.0  # no run is before it
    assert jobs.expected_wait(store, second) is None
    with pytest.raises(RunNotFound):
        jobs.expected_wait(store, new_id())


def test_the_wait_grows_with_pictures_epochs_and_seeds(store: Store) -> None:
    trained(store, (2, 8, 1))  # 40 pictures, 2 epochs, 1 seed: 0.1 s a picture
    submit(store, "a")
    submit(store, "a", labels=80)
    submit(store, "a", epochs=6)
    submit(store, "a", seeds=5)
    last = submit(store, "a")
    assert jobs.position(store, last) == 5
    assert jobs.expected_wait(store, last) == pytest.approx((3 + 8) + (3 + 16) + (3 + 24) + (3 + 40))
    mine = submit(store, "b")
    # Only one run is before it, because visitors take turns.
    assert jobs.expected_wait(store, mine) == pytest.approx(3 + 8)


def test_the_middle_of_three_earlier_runs_is_believed(store: Store) -> None:
    for seconds in ((1, 4, 1), (1, 8, 1), (1, 800, 1)):
        trained(store, seconds)
    submit(store, "a")
    assert jobs.expected_wait(store, submit(store, "a")) == pytest.approx(10)


def test_a_clock_that_was_set_during_a_run_spoils_no_estimate(store: Store) -> None:
    trained(store, (1, 4, 1))
    trained(store, (1, -3600, 1))
    submit(store, "a")
    assert jobs.expected_wait(store, submit(store, "a")) == pytest.approx(6)


def test_what_is_left_of_the_running_run_counts(store: Store) -> None:
    trained(store, (2, 8, 1))
    first, second = submit(store, "a", epochs=10), submit(store, "b")
    row = claim(store)
    assert row.id == first
    total = 2 + 40 + 1
    assert jobs.expected_wait(store, second) == pytest.approx(total, abs=1)  # it has begun just now
    set_row(store, first, started=time.time() - 20)
    assert jobs.expected_wait(store, second) == pytest.approx(total - 20, abs=1)
    set_row(store, first, started=time.time() - 500)
    assert jobs.expected_wait(store, second) == 0.0
    worker_lease = Lease(store, first, 1)
    for epoch, seconds in enumerate((50.0, *[3.0] * 3, 0.0), 1):  # the last one was restored, not trained
        worker_lease.record(EpochEnded(epoch, 10, seconds, {}))
    assert jobs.expected_wait(store, second) == pytest.approx((50 + 3 * 3) / 4 * 5 + 1)
    assert jobs.expected_wait(store, first) == 0.0
    # When the run loses its process and waits again, its finished epochs still count.
    set_row(store, first, status="queued")
    assert jobs.expected_wait(store, second) == pytest.approx(2 + 20 + 1)


def test_of_a_sweep_that_goes_on_the_epochs_of_all_its_points_count(store: Store) -> None:
    vary = {"vary": {"labels": (40, 20)}}  # two trainings of 2 epochs
    trained(store, (2, 8, 1), **vary)
    first, second = submit(store, "a", **vary), submit(store, "b")
    row = claim(store)
    Lease(store, first, row.attempts).record(EpochEnded(1, 4, 1.0, {}))
    set_row(store, first, status="queued")
    assert jobs.position(store, second) == 2
    assert jobs.expected_wait(store, second) == pytest.approx(2 + 3 / 4 * 8 + 1)


def test_nobody_knows_how_long_a_measurement_takes(store: Store) -> None:
    trained(store, (2, 8, 1))
    with jobs.reserve_machine(store, "latency"):
        assert jobs.expected_wait(store, submit(store)) is None


# --- how many ---


def test_a_visitor_has_a_few_runs_and_the_person_at_the_machine_many(store: Store) -> None:
    config = make_run_config("digits", **SHORT)
    for _ in range(jobs.MAX_UNFINISHED):
        jobs.submit(store, config, "a")
    claim(store)  # a training run counts as well as waiting ones
    with pytest.raises(jobs.TooManyRuns, match="5 of your runs are waiting or training already") as refused:
        jobs.submit(store, config, "a")
    assert str(refused.value).count(".") == 1 and str(refused.value).endswith(".")
    jobs.submit(store, config, "b")
    for _ in range(jobs.MAX_UNFINISHED + 1):
        jobs.submit(store, config, jobs.LOCAL_VISITOR)
    jobs.submit(store, config, "a", limit=jobs.MAX_QUEUED)
    with pytest.raises(jobs.TooManyRuns, match="One of your runs is"):
        jobs.submit(store, config, "b", limit=1)
    mine = [row.id for row in store.list_runs("a")]
    jobs.cancel(store, mine[0])
    jobs.cancel(store, mine[1])
    jobs.submit(store, config, "a")


def test_of_twenty_at_the_same_moment_no_more_than_a_few_come_in(store: Store) -> None:
    config, start, refused = make_run_config("digits", **SHORT), threading.Barrier(8), []

    def push() -> None:
        with Store() as own_store:
            start.wait()
            try:
                jobs.submit(own_store, config, "a")
            except jobs.TooManyRuns as error:
                refused.append(error)

    threads = [threading.Thread(target=push) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list_runs("a")) == jobs.MAX_UNFINISHED and len(refused) == 8 - jobs.MAX_UNFINISHED


def test_a_run_knows_what_it_repeats(store: Store) -> None:
    first = submit(store)
    second = jobs.submit(store, make_run_config("digits", **SHORT), "someone", parent=first)
    assert store.run(second).parent == first and store.run(first).parent is None


# --- resume ---


def stopped(store: Store, kind: str = "cancelled", epochs: int = 1) -> str:
    """Add a run that ended early after some epochs; return its id."""
    run_id = submit(store)
    row = claim(store)
    worker_lease = Lease(store, run_id, row.attempts)
    worker_lease.take()
    worker_lease.record(RunStarted({}, ("teacher", "baseline", "distilled"), 2, "cpu", "fp32", 40, 1))
    for epoch in range(1, epochs + 1):
        worker_lease.record(EpochEnded(epoch, 2, 0.1, {}))
    status = "failed" if kind == "error" else kind
    worker_lease.end(status, RunFailed("It ended early.", kind), error="It ended early.")  # type: ignore[arg-type]
    return run_id


@pytest.mark.parametrize("kind", ["cancelled", "error", "interrupted"])
def test_a_run_that_ended_early_waits_again_as_if_undisturbed(store: Store, kind: str) -> None:
    run_id = stopped(store, kind)
    set_row(store, run_id, setbacks=3, cancel_requested=True)
    jobs.resume(store, run_id)
    row = store.run(run_id)
    assert row.status == "queued" and not row.done and jobs.position(store, run_id) == 1
    assert (row.error, row.finished, row.started, row.setbacks, row.cancel_requested) == (None, None, None, 0, False)
    assert [one.event.type for one in store.events(run_id)] == ["RunStarted", "EpochEnded"]
    jobs.resume(store, run_id)  # as from a second browser tab
    assert store.run(run_id) == row
    again = claim(store)
    assert again.id == run_id and again.attempts == 2
    with pytest.raises(LeaseLost):
        Lease(store, run_id, 1).record(EpochEnded(2, 2, 0.1, {}))  # as its former worker would, if it woke up


def test_what_cannot_be_resumed_says_why(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    with pytest.raises(jobs.CannotResume, match="is training; let it go on"):
        jobs.resume(store, run_id)
    jobs.cancel(store, run_id)
    with pytest.raises(jobs.CannotResume, match="is being stopped"):
        jobs.resume(store, run_id)
    finish(store, store.run(run_id))
    with pytest.raises(jobs.CannotResume, match="is finished; to train it again"):
        jobs.resume(store, run_id)
    gone = stopped(store)
    store.delete(gone)
    with pytest.raises(RunNotFound, match="was deleted"):
        jobs.resume(store, gone)
    with pytest.raises(RunNotFound):
        jobs.resume(store, new_id())
    old = stopped(store)
    set_row(store, old, config=to_text({**store.run(old).config, "student": "unheard-of"}))
    with pytest.raises(ConfigError):
        jobs.resume(store, old)
    assert store.run(old).status == "cancelled"


def test_a_resumed_run_counts_like_a_new_one(store: Store) -> None:
    run_id = stopped(store)
    for _ in range(jobs.MAX_UNFINISHED):
        submit(store)
    with pytest.raises(jobs.TooManyRuns):
        jobs.resume(store, run_id)
    jobs.resume(store, run_id, limit=jobs.MAX_QUEUED)
    assert jobs.position(store, run_id) == 1  # a visitor's own runs keep their order of arrival


def test_stop_and_resume_in_two_tabs_leave_one_of_both(store: Store) -> None:
    run_id = stopped(store)
    start, wrong = threading.Barrier(4), []

    def press(action: object) -> None:
        with Store() as own_store:
            start.wait()
            for _ in range(15):
                try:
                    action(own_store, run_id)  # type: ignore[operator]
                except KdError as error:
                    wrong.append(error)

    threads = [threading.Thread(target=press, args=(one,)) for one in (jobs.cancel, jobs.resume) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    row, ends = store.run(run_id), [one for one in store.events(run_id) if isinstance(one.event, RunFailed)]
    assert (row.status, len(ends)) in (("queued", 0), ("cancelled", 1))
    jobs.resume(store, run_id)
    assert claim(store).id == run_id


def test_a_cancellation_is_not_lost_while_the_run_goes_back_into_the_queue(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    set_row(store, run_id, status="queued", worker_pid=None)  # the run lost its worker after the page was drawn
    jobs.cancel(store, run_id)
    row = store.run(run_id)
    assert row.status == "cancelled" and row.error == "The run was stopped before it ended."


# --- who is alive ---


def test_a_worker_that_was_never_started_is_found_out(store: Store) -> None:
    run_id = submit(store)
    row = claim(store)
    assert row.worker_pid == os.getpid() and is_alive(row)
    set_row(store, run_id, heartbeat=time.time() - lease.HEARTBEAT_STALE_SECONDS - 1)  # although this process lives
    assert not is_alive(store.run(run_id))
    Lease(store, run_id, 1).take()
    set_row(store, run_id, heartbeat=time.time() - 3600)
    assert is_alive(store.run(run_id))  # now this process holds the run as its worker


def test_after_a_restart_of_the_machine_its_numbers_are_given_anew(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    parent = psutil.Process().parent() or psutil.Process()
    long_ago = time.time() - 600
    set_row(store, run_id, worker_pid=parent.pid, worker_started=parent.create_time() - 900, heartbeat=long_ago)
    jobs.advance(store, slots=0)
    assert store.run(run_id).status == "queued"
    assert claim(store).attempts == 2
    # The same holds if the machine had another name before, as a container or a laptop in another network may have.
    set_row(store, run_id, host="its former name", heartbeat=long_ago)
    jobs.advance(store, slots=0)
    assert store.run(run_id).status == "queued"


def test_the_last_beat_may_lie_in_the_future_but_not_far(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    for ahead, alive in ((10.0, True), (lease.CLOCK_SKEW_SECONDS + 60, False)):
        set_row(store, run_id, host="elsewhere", heartbeat=time.time() + ahead)
        assert is_alive(store.run(run_id)) == alive


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX systems suspend a process")
def test_a_suspended_worker_is_ended_when_it_was_asked_to_stop(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    command = [sys.executable, "-c", "import time; time.sleep(600)", "kdcore.worker", run_id]
    with subprocess.Popen(command) as process:
        child = psutil.Process(process.pid)
        child.suspend()
        old = time.time() - lease.HEARTBEAT_STALE_SECONDS - 1
        set_row(store, run_id, worker_pid=child.pid, worker_started=child.create_time(), heartbeat=old)
        jobs.advance(store)
        assert process.poll() is None and store.run(run_id).status == "running"  # nobody has asked it to stop
        jobs.cancel(store, run_id)
        set_row(store, run_id, heartbeat=time.time())
        jobs.advance(store)
        assert process.poll() is None
        set_row(store, run_id, heartbeat=old)
        jobs.advance(store)
        assert process.wait(60) != 0
    jobs.advance(store)
    assert store.run(run_id).status == "cancelled"


def test_no_other_process_is_ended_with_it(store: Store) -> None:
    run_id = submit(store)
    claim(store)
    jobs.cancel(store, run_id)
    me = psutil.Process()  # stands for an app that held the run while it started the worker
    set_row(store, run_id, worker_pid=me.pid, worker_started=me.create_time(), heartbeat=0.0)
    jobs.advance(store)
    assert me.is_running()


# --- room ---


def test_a_run_that_does_not_fit_on_the_disk_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = stopped(store)
    monkeypatch.setattr(disk, "free_space", lambda folder: 10**6)
    with pytest.raises(jobs.NoSpace, match=r"may need \d+ MB .* and 1 MB are free"):
        submit(store)
    with pytest.raises(jobs.NoSpace):
        jobs.resume(store, ended)
    assert store.run(ended).status == "cancelled"
    monkeypatch.setattr(disk, "free_space", lambda folder: None)  # a system that does not say how much is free
    submit(store)
