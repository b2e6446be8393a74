"""What comes into the queue and what is refused, how a run is cancelled, and how one that ended early waits again."""

from __future__ import annotations

import threading

import pytest

from kdcore import jobs
from kdcore.errors import ConfigError, KdError, RunNotFound, UnknownName
from kdcore.events import EpochEnded, RunFailed
from kdcore.jobs.lease import Lease, LeaseLost
from kdcore.machine import disk
from kdcore.settings.config import make_run_config
from kdcore.store import Store, new_id, to_text
from tests.engine.jobs.short_runs import SHORT, claim, finish, set_row, stopped, submit


def test_the_queue_is_bounded(store: Store) -> None:
    for _ in range(jobs.MAX_QUEUED):
        submit(store)
    with pytest.raises(jobs.QueueFull, match="waiting already"):
        submit(store)
    assert len(store.list_runs()) == jobs.MAX_QUEUED


def test_what_a_worker_would_refuse_is_not_queued(store: Store) -> None:
    with pytest.raises(UnknownName, match='no teacher "nobody"'):
        submit(store, teacher="nobody")
    with pytest.raises(ConfigError, match="cannot teach creatures"):
        jobs.submit(store, make_run_config("creatures", teacher="digits"), "someone")
    assert store.list_runs() == []


def test_a_waiting_run_is_cancelled_at_once(store: Store) -> None:
    first, second = submit(store), submit(store)
    jobs.cancel(store, first)
    row = store.run(first)
    assert row.status == "cancelled" and row.finished is not None and row.error
    assert [one.event for one in store.events(first)] == [RunFailed(row.error, "cancelled")]
    assert jobs.position(store, second) == 1
    jobs.cancel(store, first)  # a second call does no harm
    assert len(store.events(first)) == 1
    with pytest.raises(RunNotFound):
        jobs.cancel(store, new_id())


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
