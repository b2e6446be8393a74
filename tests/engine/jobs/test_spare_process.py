"""A real spare worker trains the run that it is given like any other worker, and ends with its parent."""

from __future__ import annotations

from kdcore import jobs
from kdcore.events import EpochEnded
from kdcore.jobs.lease import is_alive
from kdcore.jobs.spare import Order, offers_folder
from kdcore.jobs.spawn import LOG
from kdcore.settings.config import make_run_config
from kdcore.store import Store
from kdcore.training.trainer import train
from tests.engine.jobs.short_runs import SHORT, epochs, submit, wait_for
from tests.engine.jobs.spares import real_spare


def test_it_trains_a_run_as_a_new_worker_would_and_outlives_its_parent(store: Store) -> None:
    with real_spare(store) as (process, offer):
        wait_for(lambda: offer.is_ready)
        run_id = submit(store, epochs=40)
        jobs.advance(store)
        assert store.run(run_id).worker_pid == process.pid
        assert process.stdin is not None
        process.stdin.close()  # as when the app is killed
        wait_for(lambda: store.run(run_id).done)
        row = store.run(run_id)
        assert (row.status, row.attempts, row.error) == ("finished", 1, None)
        assert process.wait(60) == 0
    assert (jobs.runs_dir(run_id) / LOG).is_file()
    assert list(offers_folder(store.home).iterdir()) == []
    undisturbed = train(make_run_config("digits", **{**SHORT, "epochs": 40}))
    assert [event.curves for event in undisturbed if isinstance(event, EpochEnded)] == [
        event.curves for event in epochs(store, run_id)
    ]


def test_a_run_that_comes_while_it_imports_is_trained(store: Store) -> None:
    with real_spare(store) as (process, offer):
        run_id = submit(store)
        jobs.advance(store)
        assert not offer.is_ready and store.run(run_id).worker_pid == process.pid
        wait_for(lambda: store.run(run_id).done)
        assert store.run(run_id).status == "finished"


def test_one_that_nobody_needs_any_more_ends_and_leaves_nothing(store: Store) -> None:
    with real_spare(store) as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    assert list(offers_folder(store.home).iterdir()) == []
    run_id = submit(store)
    jobs.advance(store)  # with a new worker
    wait_for(lambda: store.run(run_id).done)
    assert store.run(run_id).status == "finished"


def test_a_run_whose_spare_worker_is_killed_at_once_goes_on(store: Store) -> None:
    with real_spare(store) as (process, _):
        run_id = submit(store)
        jobs.advance(store)
        assert store.run(run_id).worker_pid == process.pid
        process.kill()
        process.wait()
    assert not is_alive(store.run(run_id))
    jobs.advance(store)
    wait_for(lambda: store.run(run_id).done)
    assert (store.run(run_id).status, store.run(run_id).attempts) == ("finished", 2)


def test_it_writes_nothing_to_a_run_that_it_does_not_hold(store: Store) -> None:
    with real_spare(store) as (process, offer):
        run_id = submit(store)
        assert offer.hand_over(Order(run_id, 7))  # an attempt that was never claimed
        assert process.wait(120) == 1
    row = store.run(run_id)
    assert (row.status, row.worker_pid) == ("queued", None) and store.events(run_id) == []
