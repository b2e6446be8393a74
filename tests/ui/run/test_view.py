"""View-models of runs against SciPy and against sentences written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherCached
from kdcore.reports.arm_style import arms_in_order
from kdcore.reports.curves import seed_interval
from kdcore.store.results import outcome_of
from pages.ui.compare.trio import Answer, answer_of, shown_classes
from pages.ui.kit import bars, formats
from pages.ui.run import curves_data, queue_words, sentences
from pages.ui.run import view as vm

ARMS = ("teacher", "baseline", "distilled")


def started(epochs: int = 4, seeds: int = 3) -> RunStarted:
    return RunStarted({}, ARMS, epochs, "cpu", "fp32", 100, seeds)


def epoch(number: int, values: list[float] | None, epochs: int = 4, seconds: float = 2.0) -> EpochEnded:
    def curves(shift: float) -> dict[str, list[float]]:
        measured = {"train_loss": [1.0 / number + shift, 1.1 / number + shift, 0.9 / number + shift]}
        if values is not None:
            measured["validation_accuracy"] = [value + shift for value in values]
        return measured

    return EpochEnded(number, epochs, seconds, {"baseline": curves(0.0), "distilled": curves(0.1)})


def result(claim: str, mean: float, ci95: tuple[float, float] | None, seeds: int = 5) -> dict:
    difference = {"mean": mean, "ci95": list(ci95) if ci95 else None, "per_seed": [mean] * seeds}
    return {"verdict": {"claim": claim, "sentence": ""}, "paired_difference": difference}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.732, "73.2 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.73249, "73.2 %")],
)
def test_accuracies_have_one_decimal(value: float, text: str) -> None:
    assert formats.format_accuracy(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"), (0.00531, "0.0053 ms"), (0.5349, "0.53 ms"), (0.996, "1.0 ms"), (1.26, "1.3 ms"),
        (9.96, "10 ms"), (12.4, "12 ms"), (99.6, "100 ms"), (123.4, "120 ms"), (1234.0, "1200 ms"),
    ],
)  # fmt: skip
def test_milliseconds_have_two_significant_digits(value: float, text: str) -> None:
    assert formats.format_ms(value) == text


def test_other_numbers() -> None:
    assert formats.format_points(0.0812) == "8.1"
    assert [formats.format_signed(x) for x in (0.0123, -0.009)] == ["+1.2", "−0.9"]
    assert formats.format_interval((0.71, 0.753)) == "71.0 to 75.3 %"
    assert (formats.format_accuracy(-0.003), formats.format_interval((-0.02, 0.01))) == ("0.0 %", "0.0 to 1.0 %")
    assert formats.format_interval(None) == "–"
    assert [formats.format_count(n) for n in (512, 9842, 712_345, 1.24e6, 2.5e9)] == [
        "512", "9,842", "712,345", "1.2 million", "2.5 billion",
    ]  # fmt: skip
    assert [formats.format_size(n) for n in (39_400, 12_300_000)] == ["39 kB", "12.3 MB"]
    assert [formats.format_duration(s) for s in (-1, 41.7, 65, 3600 + 720)] == [
        "0 s",
        "42 s",
        "1 min 5 s",
        "1 h 12 min",
    ]


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
def test_the_interval_over_seeds_is_students(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.7, 0.02, seeds)
    low, high = stats.t.interval(0.95, seeds - 1, values.mean(), stats.sem(values))
    assert seed_interval(values.tolist()) == pytest.approx((low, high))


def test_one_seed_has_no_interval() -> None:
    assert seed_interval([0.7]) is None
    only = EpochEnded(1, 1, 1.0, {"baseline": {"train_loss": [1.0], "validation_accuracy": [0.5]}})
    curve = vm.run_view([started(1, 1), only]).accuracy["baseline"]
    assert (curve.mean, curve.low, curve.high) == ((0.5,), None, None)


def test_curves_have_points_only_where_they_were_measured() -> None:
    events: list[Event] = [started(), epoch(1, None), epoch(2, [0.4, 0.5, 0.6]), epoch(3, None)]
    view = vm.run_view(events)
    assert list(view.accuracy) == ["distilled", "baseline"]
    baseline = view.accuracy["baseline"]
    assert baseline.epochs == (2,)
    assert baseline.mean == pytest.approx((0.5,))
    low, high = stats.t.interval(0.95, 2, 0.5, stats.sem([0.4, 0.5, 0.6]))
    assert baseline.low is not None and baseline.high is not None
    assert (baseline.low[0], baseline.high[0]) == pytest.approx((low, high))
    assert view.loss["baseline"].epochs == (1, 2, 3)
    assert view.loss["distilled"].mean[1] == pytest.approx(0.6)


def test_seeds_that_agree_have_a_value_without_an_interval() -> None:
    view = vm.run_view([started(), epoch(1, [1.0, 1.0, 1.0])])
    assert [(one.value, one.detail) for one in vm.live_readouts(view) if one.arm == "baseline"] == [("100.0 %", "")]
    assert curves_data.curves_data(view.accuracy, 4)["series"][1]["says"] == ["epoch 1: baseline 100.0 %"]


def test_bands_stay_within_what_is_possible() -> None:
    view = vm.run_view([started(), epoch(1, [0.0, 0.4, 0.8])])
    baseline = view.accuracy["baseline"]
    assert baseline.low == (0.0,)
    assert baseline.high is not None and baseline.high[0] == min(1.0, seed_interval([0.0, 0.4, 0.8])[1])


def test_an_epoch_heard_twice_counts_once() -> None:
    """A resumed run repeats its last finished epoch."""
    again = [started(), epoch(1, [0.3, 0.3, 0.3]), started(), epoch(1, [0.3, 0.3, 0.3], seconds=0.0)]
    view = vm.run_view(again)
    assert (view.epochs_done, view.accuracy["baseline"].epochs) == (1, (1,))


def test_phases_in_order() -> None:
    events: list[Event] = []
    seen = []
    for event in (
        None, started(2), TeacherCached("creatures", 2, 0.1, False), epoch(1, [0.2] * 3, 2), epoch(2, [0.3] * 3, 2),
        RunFinished({"arms": {}}),
    ):  # fmt: skip
        events += [event] if event else []
        seen.append(vm.run_view(events).phase)
    assert seen == ["waiting", "preparing", "training", "training", "measuring", "finished"]
    failed = vm.run_view([started(), RunFailed("It was stopped.", "cancelled")])
    assert (failed.phase, failed.failure.kind) == ("failed", "cancelled")


def test_a_run_that_was_interrupted_and_continued_has_not_failed() -> None:
    view = vm.run_view([started(), epoch(1, None), RunFailed("Its worker died.", "interrupted"), started()])
    assert view.failure is None and view.phase == "training"


def test_time_left_is_judged_by_the_recent_epochs() -> None:
    slow_then_fast = [epoch(n, None, 20, seconds=10.0 if n <= 2 else 1.0) for n in range(1, 13)]
    view = vm.run_view([started(20), *slow_then_fast])
    assert view.share_done == pytest.approx(0.6)
    assert view.seconds_left == pytest.approx(8.0)  # 8 epochs, 1 s each
    assert vm.run_view([started(20)]).seconds_left is None


def test_the_sentence_says_what_the_claim_allows() -> None:
    assert sentences.outcome_sentence(result("distilled", 0.081, (0.06, 0.102))) == (
        "Distilled is better by 8.1 points, 95 % interval 6.0 to 10.2, 5 seeds."
    )
    assert sentences.outcome_sentence(result("baseline", -0.031, (-0.05, -0.012), seeds=3)) == (
        "The baseline is better by 3.1 points, 95 % interval 1.2 to 5.0, 3 seeds."
    )
    assert sentences.outcome_sentence(result("none", 0.004, (-0.01, 0.018))) == (
        "No difference can be claimed: distilled minus baseline is +0.4 points, 95 % interval −1.0 to +1.8, 5 seeds."
    )
    assert sentences.outcome_sentence(result("none", 0.2, None, seeds=1)) == (
        "No difference can be claimed: one seed gives no interval."
    )
    few = {**result("none", 1.0, None, seeds=5), "config": {}}  # two test pictures
    assert sentences.outcome_sentence(few) == (
        "No difference can be claimed: fewer than 10 test pictures give no interval."
    )
    assert sentences.interval_note(few).startswith("Fewer than 10 test pictures give no interval")


def test_the_sentence_agrees_with_the_engines() -> None:
    """The engine's verdict and the page's sentence are written separately; both must hold the same numbers."""
    from kdcore.metrics.scores import Estimate
    from kdcore.metrics.verdict import judge

    for mean, half in ((0.08, 0.02), (-0.03, 0.01), (0.004, 0.02), (1.0, None)):
        estimate = Estimate(mean, None if half is None else (mean - half, mean + half), (mean,) * 5)
        said = judge(estimate)
        ours = sentences.outcome_sentence(result(said.claim, mean, estimate.ci95))
        numbers = [word.strip(",.+-−") for word in said.sentence.split() if any(c.isdigit() for c in word)]
        assert [word.strip(",.+-−") for word in ours.split() if any(c.isdigit() for c in word)] == numbers


def test_captions_say_what_the_chart_shows() -> None:
    view = vm.run_view([started(), epoch(2, [0.4, 0.5, 0.6])])
    caption = sentences.curves_caption(view)
    assert "after 2 of 4 epochs" in caption
    assert "distilled 60.0 %" in caption and "baseline 50.0 %" in caption
    assert (
        sentences.curves_caption(vm.run_view([started()]))
        == "No epoch has been checked on the validation pictures yet."
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "a second or less"), (41.7, "42 s"), (60, "1 min"), (700, "12 min"), (3569, "59 min"), (3580, "1 h"),
        (4300, "1 h 10 min"), (6950, "2 h"),
    ],
)  # fmt: skip
def test_what_is_only_estimated_is_said_roughly(seconds: float, text: str) -> None:
    assert formats.rough_time(seconds) == text


def test_what_all_pictures_would_take_and_a_teacher_that_was_trained_first() -> None:
    whole = {"config": {"labels": 500}, "whole": {"labels": 45_000, "seconds": 720.0}, "teacher_seconds": 0.0}
    assert sentences.full_data_sentence(whole) == "All 45,000 labelled pictures would take about 12 min."
    taught = {**whole, "teacher_seconds": 95.0}
    assert sentences.full_data_sentence(taught).endswith(
        "12 min. Its teacher was trained first, in 1 min 35 s; it is kept, and the next run begins at once."
    )
    several = {**taught, "config": {"labels": 500, "controls": ["smoothed-teacher"]}}  # a control's teacher, too
    assert sentences.full_data_sentence(several).endswith(
        "12 min. Teachers that were missing were trained first, in 1 min 35 s; they are kept for the next run."
    )
    assert sentences.full_data_sentence({**whole, "config": {"labels": 45_000}}) == ""
    assert sentences.full_data_sentence({"config": {"labels": 500}}) == ""  # a result of an older version


def test_two_seeds_are_two_lines_and_three_a_band() -> None:
    """The 95 % interval of two seeds is 12.7 standard errors to each side: a band that wide would hide the curves."""
    for seeds in (1, 2, 3):
        values = [0.4, 0.6, 0.5][:seeds]
        view = vm.run_view([started(4, seeds), epoch(1, values), epoch(2, values[::-1])])
        data = curves_data.curves_data(view.accuracy, 4)
        baseline = next(one for one in data["series"] if one["arm"] == "baseline")
        assert (baseline["low"] is not None) is (seeds == 3)
        assert baseline["seeds"] == ([[40.0, 60.0], [60.0, 40.0]] if seeds == 2 else [])
        assert (data["low"] <= 40.0) and (data["high"] >= 70.0 if seeds == 2 else True)
        assert ("Each thin line is one seed." in sentences.curves_caption(view)) is (seeds == 2)
    few = {"paired_difference": {"per_seed": [0.1, 0.2]}, "config": {}}
    assert "thin line" in sentences.interval_note(few) and "bands" not in sentences.interval_note(few)


def test_readouts_show_a_dash_before_there_is_a_number() -> None:
    view = vm.run_view([started(), epoch(1, None)])
    assert [(one.name, one.value) for one in vm.live_readouts(view)] == [("distilled", "–"), ("baseline", "–")]


def test_arms_have_one_order() -> None:
    arms = dict.fromkeys(["baseline", "control", "distilled", "teacher", "posterior"], math.nan)
    assert list(arms_in_order(arms)) == ["teacher", "posterior", "distilled", "baseline", "control"]


def test_a_loss_that_is_no_number_any_more_is_left_out() -> None:
    """The store writes NaN as null; one diverged seed must not hide the others."""
    lost = EpochEnded(1, 2, 1.0, {"baseline": {"train_loss": [None, 1.0, 3.0]}, "distilled": {"train_loss": [None]}})  # type: ignore[list-item]
    view = vm.run_view([started(2), lost])
    assert view.loss["baseline"].mean == (2.0,)
    assert view.loss["distilled"].mean == ()


def test_progress_and_endings_in_words() -> None:
    training = vm.run_view([started(10), epoch(1, None, 10, seconds=3.0)])
    assert sentences.progress_sentence(training) == "Epoch 1 of 10, about 27 s left"
    assert sentences.progress_sentence(vm.run_view([])) == "Starting"
    assert queue_words.waiting_sentence(2, None) == "Waiting: place 2 in the queue. It starts by itself."
    assert sentences.ending_sentence("cancelled", None, 3, 40) == "This run was stopped after 3 of 40 epochs."
    assert sentences.ending_sentence("cancelled", None, 0, 40) == "This run was stopped before it began."
    assert sentences.ending_sentence("failed", "The disk is full.", 3, 40) == "The disk is full."


def test_the_list_says_the_claim_and_no_more() -> None:
    arms = {arm: {"accuracy": {"mean": mean}} for arm, mean in (("baseline", 0.64), ("distilled", 0.72))}
    assert sentences.short_outcome("running", None) == "No result yet"
    better = {**result("distilled", 0.08, (0.06, 0.1)), "arms": arms}
    assert sentences.short_outcome("finished", better) == "Distilled better by 8.0 points: 72.0 % against 64.0 %"
    none = {**result("none", 0.08, (-0.01, 0.17)), "arms": arms}
    assert sentences.short_outcome("finished", none) == "No difference claimed: distilled 72.0 %, baseline 64.0 %"
    for whole in (better, none):  # a list of runs has no more than the outcome
        assert sentences.short_outcome("finished", outcome_of(whole)) == sentences.short_outcome("finished", whole)


def test_of_many_classes_those_that_any_network_finds_likely_are_shown() -> None:
    names = tuple("abcdef")
    one = Answer("teacher", names, (0.5, 0.1, 0.1, 0.1, 0.1, 0.1), 1.0)
    other = Answer("baseline", names, (0.02, 0.02, 0.02, 0.02, 0.02, 0.9), 1.0)
    assert shown_classes([one, other], count=2) == [0, 5]
    assert shown_classes([one, other]) == [0, 1, 2, 3, 4, 5]
    narrow = Answer("distilled", tuple("abcdef"), (0.1, 0.1, 0.1, 0.3, 0.2, 0.2), 1.0)
    third = Answer("baseline", tuple("abcdef"), (0.4, 0.02, 0.02, 0.02, 0.52, 0.02), 1.0)
    assert shown_classes([narrow, third], count=2) == [3, 4]  # what each chose, though "a" is likelier
    assert other.chosen == "f" and other.confidence == 0.9
    assert other.restricted_to([0, 5]) == (["a", "f"], [0.02, 0.9])


def test_the_row_of_all_other_classes_never_wins() -> None:
    rows = (("wolf", "dog", "98 others"), (0.2, 0.1, 0.7))
    assert bars.bars("distilled", *rows, others=True).count('kd-won"><b>wolf') == 1
    assert bars.bars("distilled", *rows).count('kd-won"><b>98 others') == 1


def test_an_answers_time_is_the_middle_one() -> None:
    said = [{"class_names": ["a", "b"], "soft_labels": [0.3, 0.7], "latency_ms": ms} for ms in (9.0, 1.0, 2.0)]
    assert answer_of("teacher", said) == Answer("teacher", ("a", "b"), (0.3, 0.7), 2.0)


@pytest.mark.parametrize(
    ("status", "events", "started", "expected"),
    [
        ("running", [], 995.0, True),
        ("running", [started()], 995.0, True),
        ("running", [started(), epoch(1, [0.5] * 3)], 995.0, False),
        ("running", [started()], 900.0, False),
        ("running", [], None, False),
        ("queued", [], 995.0, False),
    ],
)
def test_a_run_begins_until_its_first_epoch_and_only_for_some_seconds(
    status: str, events: list[Event], started: float | None, expected: bool
) -> None:
    assert vm.begins(vm.run_view(events), status, started, now=1000.0) == expected
