"""The Distil page with a real store, real workers and a run that really trained."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

from kdcore import jobs
from kdcore.events import EpochEnded
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import DEFAULTS
from kdcore.store import Store
from kdcore.store.schema import runs
from kdcore.teachers.card import list_teachers
from pages.ui.engine import cache
from pages.ui.pictures import cached
from pages.ui.run.queue_words import waiting_sentence
from tests.pages.conftest import (
    OTHER,
    VISITOR,
    OpenPage,
    bars_of,
    charts_of,
    curves_of,
    html_of,
    in_address,
    only_run,
    wait_until,
)

LONG = {"labels": 400, "epochs": 1000, "seeds": 4, "device": "cpu"}


def test_it_says_what_will_happen_before_the_first_click(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", temperature="8")
    assert not app.exception and not app.error
    assert not app.button(key="kd-start").disabled
    baseline, distilled = bars_of(app)
    assert sorted(baseline.values())[-2:] == [0.0, 100.0]
    assert sum(distilled.values()) == pytest.approx(100.0, abs=0.1)
    assert list(baseline) == list(distilled) == [str(digit) for digit in range(10)]
    app.number_input(key="temperature").set_value(1.0).run()
    assert max(bars_of(app)[1].values()) > max(distilled.values())


def test_another_dataset_brings_its_own_settings(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil")
    assert app.selectbox(key="dataset").value == "creatures"
    app.number_input(key="labels").set_value(500)
    app.selectbox(key="dataset").select("digits").run()
    assert not app.exception
    wanted = DEFAULTS["digits"]
    assert app.number_input(key="labels").value == wanted.labels
    assert app.selectbox(key="student").value == wanted.student
    assert app.selectbox(key="distil_teacher").value == wanted.teacher
    assert app.number_input(key="epochs").value == wanted.epochs


def test_a_link_carries_the_settings_and_illegal_ones_fall_back(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", labels="120", epochs="-3", distill_weight="2", student="nonsense")
    assert not app.exception and not app.error
    assert app.number_input(key="labels").value == 120
    assert app.number_input(key="epochs").value == DEFAULTS["digits"].epochs
    assert app.slider(key="distill_weight").value == DEFAULTS["digits"].distill_weight
    assert app.selectbox(key="student").value == DEFAULTS["digits"].student


def test_extra_pictures_take_the_place_of_hard_labels(empty_store: Store, open_page: OpenPage, data_dir: Path) -> None:
    app = open_page("distil", dataset="creatures", extra_pictures="cifar10", labels="60", epochs="2")
    assert not app.exception and not app.error
    assert app.selectbox(key="extra_pictures").value == "cifar10"
    assert "own" not in app.selectbox(key="extra_pictures").options
    assert not [one for one in app.slider if one.key == "distill_weight"]
    app.button(key="kd-start").click().run()
    run = only_run(empty_store)
    assert run.config["extra_pictures"] == "cifar10" and run.config["distill_weight"] == 1.0
    jobs.cancel(empty_store, run.id)
    app = open_page("distil", dataset="digits", extra_pictures="cifar10")
    assert not app.exception and not app.error
    assert not [one for one in app.selectbox if one.key == "extra_pictures"], "grey pictures"


def test_a_run_starts_trains_and_ends_with_its_outcome(empty_store: Store, open_page: OpenPage) -> None:
    settings = {"labels": "60", "epochs": "3", "seeds": "2", "student": "mlp-8", "distill_weight": "0.8"}
    app = open_page("distil", dataset="digits", **settings)
    app.button(key="kd-start").click().run()
    assert not app.exception and not app.error
    run = only_run(empty_store)
    assert in_address(app, "run") == run.id
    assert run.visitor == VISITOR
    assert (
        run.config
        == make_run_config("digits", labels=60, epochs=3, seeds=2, student="mlp-8", distill_weight=0.8).to_json()
    )
    wait_until(lambda: only_run(empty_store).done, step=app.run)
    app.run()
    assert not app.exception and not app.error and not app.warning
    result = only_run(empty_store).result
    assert result is not None
    assert result["verdict"]["sentence"].split("%")[-1] in html_of(app).replace("−", "-")
    for arm in ("teacher", "distilled", "baseline"):
        assert f"{100 * result['arms'][arm]['accuracy']['mean']:.1f} %" in html_of(app)


def test_the_chart_holds_the_events_numbers(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("distil", run=run.id)
    epochs = [stored.event for stored in trained_store.events(run.id) if isinstance(stored.event, EpochEnded)]
    lines = {line["arm"]: line for line in curves_of(app)["series"]}
    assert set(lines) == {"baseline", "distilled"}
    for arm, line in lines.items():
        measured = [(one.epoch, one.curves[arm].get("validation_accuracy")) for one in epochs]
        assert line["epochs"] == [epoch for epoch, values in measured if values]
        assert line["mean"] == pytest.approx([100 * fmean(values) for _epoch, values in measured if values], abs=1e-3)
    (teacher,) = curves_of(app)["references"]
    assert run.result is not None  # the run's own figure, as in the table below, not the one on the teacher's card
    assert teacher["value"] == pytest.approx(100 * run.result["arms"]["teacher"]["accuracy"]["mean"])
    whole = run.result["whole"]
    assert f"All {whole['labels']:,} labelled pictures would take about" in html_of(app)


def test_until_a_run_has_measured_its_teacher_the_card_speaks(empty_store: Store, open_page: OpenPage) -> None:
    run_id = jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR)
    wait_until(
        lambda: any("validation_accuracy" in str(one.event) for one in empty_store.events(run_id)),
        step=lambda: jobs.advance(empty_store),
    )
    (teacher,) = curves_of(open_page("distil", run=run_id))["references"]
    card = next(card for card in list_teachers() if card.name == "digits")
    assert teacher["value"] == pytest.approx(100 * card.accuracy)


def test_a_teacher_that_is_not_here_yet_is_no_error(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tuple(card for card in list_teachers() if card.name != "digits")
    monkeypatch.setattr(cache, "teacher_cards", lambda: others)
    monkeypatch.setattr(cached, "teacher_cards", lambda: others)  # it imported the function by name
    monkeypatch.setattr(cache, "teacher_seconds", lambda name: 90.0)
    app = open_page("distil", dataset="digits")
    assert not app.exception and not app.error
    assert app.info[0].value.startswith("The teacher digits is not on this machine yet")
    assert "You watch both learn" in html_of(app)


def test_a_rerun_says_whose_change_it_is_once(empty_store: Store, open_page: OpenPage) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):  # so that none of them starts
        first = jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR)
        settings = {"dataset": "digits", "labels": "60", "epochs": "3", "seeds": "2"}
        jobs.cancel(empty_store, first)
        app = open_page("distil", parent=first, **settings)
        app.number_input(key="temperature").set_value(2.0).run()
        assert in_address(app, "parent") == first
        app.button(key="kd-start").click().run()
        second = in_address(app, "run")
        assert second is not None and empty_store.run(second).parent == first
        assert in_address(app, "parent") is None
        jobs.cancel(empty_store, second)
        app.run()
        app.button(key="kd-start").click().run()
        third = in_address(app, "run")
        assert third not in (None, second) and empty_store.run(str(third)).parent is None
        jobs.cancel(empty_store, str(third))


@pytest.mark.parametrize("parent", ["nosuchrun12", "../../etc", "<b>"])
def test_a_parent_that_never_was_is_not_recorded(empty_store: Store, open_page: OpenPage, parent: str) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        app = open_page("distil", dataset="digits", parent=parent)
        app.button(key="kd-start").click().run()
        assert not app.exception and not app.error
        assert only_run(empty_store).parent is None
        jobs.cancel(empty_store, only_run(empty_store).id)


def test_a_student_that_a_link_brings_is_on_the_list_and_stays(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", student="mlp-123", labels="60")
    student = app.selectbox(key="student")
    assert not app.exception and student.value == "mlp-123"
    assert student.options == [*DEFAULTS["digits"].students, "mlp-123"]
    student.select("mlp-8").run()
    assert app.selectbox(key="student").value == "mlp-8"
    app.selectbox(key="student").select("mlp-123").run()
    assert app.selectbox(key="student").value == "mlp-123"
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        app.button(key="kd-start").click().run()
        assert only_run(empty_store).config["student"] == "mlp-123"
        jobs.cancel(empty_store, only_run(empty_store).id)
    app.selectbox(key="dataset").select("creatures").run()
    assert app.selectbox(key="student").value == DEFAULTS["creatures"].student


def test_the_settings_of_a_run_with_an_unusual_student_can_be_taken(empty_store: Store, open_page: OpenPage) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        run_id = jobs.submit(empty_store, make_run_config("digits", student="mlp-77", labels=60), VISITOR)
        jobs.cancel(empty_store, run_id)
    app = open_page("distil", run=run_id)
    app.button(key="kd-take").click().run()
    assert not app.exception and app.selectbox(key="student").value == "mlp-77"


def keys_of(app: AppTest) -> list[str | None]:
    return [button.key for button in app.button]


def test_a_run_can_be_stopped_and_resumed(empty_store: Store, open_page: OpenPage) -> None:
    run_id = jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR)
    app = open_page("distil", run=run_id)
    wait_until(lambda: empty_store.run(run_id).status == "running", step=app.run)
    app.run()
    assert app.button(key="kd-start").disabled and app.button(key="kd-stop").label == "Stop"
    assert "kd-resume" not in keys_of(app)
    wait_until(lambda: any(isinstance(one.event, EpochEnded) for one in empty_store.events(run_id)))
    app.button(key="kd-stop").click().run()
    assert empty_store.run(run_id).cancel_requested
    wait_until(lambda: empty_store.run(run_id).done)
    app.run()
    assert empty_store.run(run_id).status == "cancelled"
    assert "stopped" in app.warning[0].value
    assert not app.button(key="kd-start").disabled
    epochs = max(one.event.epoch for one in empty_store.events(run_id) if isinstance(one.event, EpochEnded))
    with jobs.reserve_machine(empty_store, "a test", OTHER):  # so that it waits
        app.button(key="kd-resume").click().run()
        assert not app.exception and not app.error and not app.warning
        assert empty_store.run(run_id).status == "queued" and app.get("progress")
        assert max(one.event.epoch for one in empty_store.events(run_id) if isinstance(one.event, EpochEnded)) == epochs
        jobs.cancel(empty_store, run_id)  # in another tab
        app.run()
        assert f"after {epochs} of 1000 epochs" in app.warning[0].value


def test_a_waiting_run_shows_its_place_and_can_leave_the_queue(empty_store: Store, open_page: OpenPage) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        run_id = jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR)
        app = open_page("distil", run=run_id)
        assert not app.exception
        (bar,) = app.get("progress")
        assert bar.proto.text == "Waiting: place 1 in the queue. It starts by itself."
        assert app.button(key="kd-stop").label == "Leave the queue"
        app.button(key="kd-stop").click().run()
    assert empty_store.run(run_id).status == "cancelled"


def test_the_wait_is_said_when_it_is_known(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "expected_wait", lambda store, run_id: 100.0)
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        ids = [jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR) for _ in range(3)]
        (bar,) = open_page("distil", run=ids[2]).get("progress")
        assert bar.proto.text == "Waiting: place 3 in the queue, starts in about 2 minutes."
        for run_id in ids:
            jobs.cancel(empty_store, run_id)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "in a few seconds"),
        (9.9, "in a few seconds"),
        (11, "in about 20 seconds"),
        (50, "in about 50 seconds"),
        (50.1, "in about 1 minute"),
        (61, "in about 2 minutes"),
        (89 * 60, "in about 89 minutes"),
        (90 * 60, "in about 2 hours"),
        (None, "It starts by itself."),
    ],
)
def test_a_wait_in_words(seconds: float | None, words: str) -> None:
    assert waiting_sentence(2, seconds).endswith(words if seconds is None else f"place 2 in the queue, starts {words}.")


def test_a_visitor_with_too_many_runs_reads_one_sentence(empty_store: Store, open_page: OpenPage) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        ids = [jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR) for _ in range(jobs.MAX_UNFINISHED)]
        app = open_page("distil", dataset="digits")
        app.button(key="kd-start").click().run()
        assert not app.exception
        assert app.error[0].value.startswith("5 of your runs are waiting or training already")
        for run_id in ids:
            jobs.cancel(empty_store, run_id)
        config = make_run_config("digits", **LONG)
        for _ in range(jobs.MAX_UNFINISHED):
            jobs.submit(empty_store, config, VISITOR)
        app = open_page("distil", run=ids[0])
        app.button(key="kd-resume").click().run()
        assert app.error[0].value.startswith("5 of your runs are") and empty_store.run(ids[0]).status == "cancelled"
        app.run()
        assert not app.error  # said once
        for row in empty_store.list_runs():
            jobs.cancel(empty_store, row.id)


def test_somebody_elses_run_can_be_watched_but_not_stopped(empty_store: Store, open_page: OpenPage) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        run_id = jobs.submit(empty_store, make_run_config("digits", **LONG), OTHER)
        app = open_page("distil", run=run_id)
        assert app.get("progress")
        assert any("Another visitor started this run." in one.value for one in app.caption)
        assert "kd-stop" not in keys_of(app) and "kd-take" in keys_of(app)
        assert not app.button(key="kd-start").disabled
        jobs.cancel(empty_store, run_id)
        app.run()
        assert "stopped" in app.warning[0].value and "kd-resume" not in keys_of(app)


def test_a_button_drawn_before_the_run_changed_hands_does_nothing(empty_store: Store, open_page: OpenPage) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):
        run_id = jobs.submit(empty_store, make_run_config("digits", **LONG), VISITOR)
        app = open_page("distil", run=run_id)
        with empty_store.write() as connection:
            connection.execute(sa.update(runs).values(visitor=OTHER))
        app.button(key="kd-stop").click().run()
        assert empty_store.run(run_id).status == "queued"
        jobs.cancel(empty_store, run_id)


def test_the_settings_of_a_run_can_be_taken(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", run=only_run(trained_store).id)
    assert app.selectbox(key="dataset").value == "creatures"
    app.button(key="kd-take").click().run()
    assert not app.exception
    assert app.selectbox(key="dataset").value == "digits"
    assert app.number_input(key="labels").value == 60
    assert app.number_input(key="seeds").value == 3
    assert app.selectbox(key="student").value == "mlp-8"


def test_an_unknown_run_is_one_sentence(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", run="nonsense12345", dataset="digits")
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith('There is no run "nonsense12345"')
    assert not app.button(key="kd-start").disabled


def test_a_full_queue_is_one_sentence(empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["kdcore.jobs.submit"], "MAX_QUEUED", 0)
    app = open_page("distil", dataset="digits")
    app.button(key="kd-start").click().run()
    assert not app.exception
    assert "are waiting already" in app.error[0].value
    assert not empty_store.list_runs()


def test_a_page_about_a_run_reads_only_what_is_new(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("distil", run=run.id)
    mark, seq, events = app.session_state["_kept_run_events"]
    stored = trained_store.events(run.id)
    assert mark == (run.id, run.attempts, True) and seq == stored[-1].seq
    assert events == [one.event for one in stored]
    app.run()
    assert app.session_state["_kept_run_events"][2] is events


def test_every_chart_has_words(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", run=only_run(trained_store).id)
    words = [chart.proto.alt for chart in charts_of(app)] + [curves_of(app)["words"]]
    assert len(words) == 3
    assert all(len(one) > 40 for one in words)


def test_nothing_is_trained_in_the_pages_process() -> None:
    """The pages contain no training code: neither an optimiser nor a loop over data."""
    root = Path(__file__).parents[2] / "pages"
    for path in root.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "trainer" not in source and "backward(" not in source, path
