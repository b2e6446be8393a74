"""Parallel work: each part is done once, results keep their order, and all threads stop when asked to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from kdcore.datasets import load_dataset
from kdcore.machine.device import pick_device
from kdcore.machine.parallel import ParallelThreads, cores
from kdcore.settings.config import make_run_config
from kdcore.training import teams
from kdcore.training.arms import baseline_student
from kdcore.training.students import Schedule

PATIENCE = 30.0


@pytest.mark.parametrize("num_threads", [1, 2, 9])
def test_every_part_is_worked_on_once_and_answers_in_its_place(num_threads: int) -> None:
    seen: list[int] = []

    def work(part: int, should_stop: Callable[[], bool]) -> int:
        seen.append(part)
        return part**2

    assert ParallelThreads(num_threads).run_each(work, range(7)) == [0, 1, 4, 9, 16, 25, 36]
    assert sorted(seen) == list(range(7))
    assert ParallelThreads(num_threads).run_each(work, []) == []


def test_parts_are_worked_on_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE)  # a single thread never passes it
    assert sorted(ParallelThreads(2).run_each(lambda part, _: meeting.wait(), "ab")) == [0, 1]


def test_one_at_a_time_means_the_callers_thread() -> None:
    threads = ParallelThreads(1).run_each(lambda part, _: threading.current_thread(), "abc")
    assert set(threads) == {threading.current_thread()}


def test_all_leave_their_work_when_somebody_says_so() -> None:
    askers: list[threading.Thread] = []

    def stop() -> bool:
        askers.append(threading.current_thread())
        return len(askers) > 1

    def work(part: str, should_stop: Callable[[], bool]) -> str:
        waiting = threading.Event()
        while not should_stop():
            waiting.wait(0.01)
        return f"{part} left"

    assert ParallelThreads(2).run_each(work, "ab", stop) == ["a left", "b left"]
    assert set(askers) == {threading.current_thread()}, "a store's connection belongs to one thread"


def test_an_error_in_one_ends_the_others() -> None:
    def work(part: str, should_stop: Callable[[], bool]) -> None:
        if part == "b":
            raise ZeroDivisionError(part)
        waiting = threading.Event()
        while not should_stop():
            waiting.wait(0.01)

    with pytest.raises(ZeroDivisionError, match="b"):
        ParallelThreads(3).run_each(work, "abc")


def test_no_more_cores_than_this_process_may_use() -> None:
    assert 1 <= cores() <= (torch.multiprocessing.cpu_count() or 1)


@pytest.mark.parametrize("student", ["mlp-8", "resnet-4"])  # stacked, and as separate networks
def test_teams_learn_the_same_side_by_side(student: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teams, "MOST_STACKED", 2)
    dataset, config = load_dataset("digits"), make_run_config("digits", student=student, labels=40, seeds=5)
    learners = [baseline_student(config, dataset, dataset.train.images, seed) for seed in config.seeds]
    results = []
    for num_threads in (1, 3):
        monkeypatch.setattr(teams, "cores", lambda num_threads=num_threads: num_threads)
        device = replace(pick_device("cpu"), threads=1)
        built = teams.build_teams(learners, dataset.image_shape, dataset.num_classes, Schedule.of(config), device)
        assert len(built) == (3 if student == "mlp-8" else 5)
        threads = teams.threads_for(built)
        losses = [teams.train_epoch(built, epoch, threads) for epoch in range(2)]
        results.append(
            (losses, torch.stack(threads.run_each(lambda team, _: team.logits(dataset.test.images)[0], built)))
        )
    assert results[0][0] == results[1][0] and len(results[0][0][0] or {}) == 5
    assert torch.equal(results[0][1], results[1][1])
