"""Methods, controls and sweeps on the pages, with runs that really trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from kdcore import jobs
from kdcore.datasets import DATASETS
from kdcore.errors import UnknownName
from kdcore.jobs import worker
from kdcore.reports.comparison import claim_counts
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.defaults import DEFAULTS
from kdcore.settings.sweeps import points
from kdcore.store import RunRow, Store
from pages.ui.run import sentences
from pages.ui.settings_form import run_form
from tests.pages.conftest import (
    OTHER,
    VISITOR,
    OpenPage,
    _store,
    bars_of,
    chart_of,
    curves_of,
    html_of,
    in_address,
    only_run,
)

TINY = {"labels": 40, "epochs": 2, "seeds": 2, "student": "mlp-8", "device": "cpu"}
CONTROLLED = {"method": "dkd", "parameters": {"non_target_weight": 4}, "controls": ("shuffled", "noise")}


@pytest.fixture(scope="module")
def two_runs_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a run that has controls, and a sweep; tests only read it."""
    home = tmp_path_factory.mktemp("methods")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDCORE_HOME", str(home))
        for settings in (CONTROLLED, {"vary": {"temperature": (1.0, 4.0), "labels": (40, 60)}}):
            with Store() as store:
                run_id = jobs.submit(store, make_run_config("digits", **{**TINY, **settings}), VISITOR)
            assert worker.main([run_id]) == 0
    return home


@pytest.fixture
def two_runs(two_runs_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunRow, RunRow]]:
    """The run with controls, and the sweep."""
    for store in _store(two_runs_home, monkeypatch):
        sweep, controlled = store.list_runs()
        yield controlled, sweep


def test_a_method_brings_its_settings_and_takes_them_away(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits")
    assert app.selectbox(key="method_pick").value == "kd" and app.multiselect(key="controls_pick").value == []
    usual = DEFAULTS["digits"].distill_weight
    app.selectbox(key="method_pick").select("dkd").run()
    assert not app.exception and not app.error
    assert app.slider(key="distill_weight").value == 0.5 and app.number_input(key="non_target_weight").value == 8.0
    assert in_address(app, "method") == "dkd"
    assert any("Zhao et al. 2022" in caption.value for caption in app.caption)
    app.selectbox(key="method_pick").select("label-smoothing").run()
    asked = {one.key for one in (*app.number_input, *app.slider)}
    assert "smoothing" in asked and not asked & {"temperature", "distill_weight"} and not app.multiselect
    assert "from smoothed labels, without a teacher" in html_of(app)
    smoothed = bars_of(app)[1]
    assert sorted(smoothed.values())[-2:] == [1.0, 91.0] and "spread over all classes" in html_of(app)
    app.selectbox(key="method_pick").select("mutual").run()
    assert not app.exception and len(bars_of(app)) == 1 and "two students that start differently" in html_of(app)
    assert app.number_input(key="temperature").value == 1.0  # both students' soft labels use it
    assert "does not teach by this method" in app.selectbox(key="distil_teacher").help
    app.selectbox(key="method_pick").select("kd").run()
    assert not app.exception and not app.error
    assert app.slider(key="distill_weight").value == usual and in_address(app, "method") is None


def test_a_link_carries_method_controls_and_sweep(empty_store: Store, open_page: OpenPage) -> None:
    link = {"method": "dkd", "non_target_weight": "4", "controls": "noise,shuffled,nonsense", "vary": "temperature"}
    app = open_page("distil", dataset="digits", labels="60", vary_values="1, 4", **link)
    assert not app.exception and not app.error
    assert "Temperature: 1, 4" in html_of(app) and any("Theory:" in one.value for one in app.caption)
    with jobs.reserve_machine(empty_store, "a test", OTHER):  # so that it does not start
        app.button(key="kd-start").click().run()
        assert not app.exception and not app.error
    wanted = make_run_config(
        "digits", labels=60, method="dkd", parameters={"non_target_weight": 4}, controls=("noise", "shuffled"),
        vary={"temperature": (1.0, 4.0)},
    )  # fmt: skip
    assert only_run(empty_store).config == wanted.to_json()


def test_values_that_are_no_values_are_one_sentence(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", vary="temperature")
    assert app.text_input(key="vary_values").value == "1, 2, 4, 8, 20" and not app.error
    for text, words in (
        ("1, hot", "temperature is a number, not 'hot'"),
        ("4, 4", "differ"),
        (" ", "Enter the values"),
    ):
        app.text_input(key="vary_values").set_value(text).run()
        assert not app.exception and words in app.error[0].value
    app.selectbox(key="vary_pick").select("student").run()
    assert not app.exception and not app.error
    assert app.text_input(key="vary_values").value == ", ".join(DEFAULTS["digits"].students)


def test_the_widget_of_what_varies_rests(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", vary="temperature", vary_values="1, 8", temperature="3")
    assert not app.exception and not app.error
    assert app.number_input(key="temperature").disabled and not app.number_input(key="labels").disabled
    for name in ("labels", "epochs", "student", "distill_weight", "method"):
        app.selectbox(key="vary_pick").select(name).run()
        assert not app.exception and not app.error and not app.number_input(key="temperature").disabled
        widgets = [*app.number_input, *app.selectbox, *app.slider]
        assert {one.key for one in widgets if one.disabled} == {"method_pick" if name == "method" else name}


def started(app: AppTest, store: Store) -> RunConfig:
    with jobs.reserve_machine(store, "a test", OTHER):  # so that it does not start
        app.button(key="kd-start").click().run()
        assert not app.exception and not app.error
        run = only_run(store)
        jobs.cancel(store, run.id)
    return RunConfig.from_json(run.config)


def test_a_temperature_that_a_visitor_sets_holds_for_every_method(empty_store: Store, open_page: OpenPage) -> None:
    link = {"dataset": "digits", "vary": "method", "vary_values": "standardised-kd, dkd"}
    config = started(open_page("distil", temperature="8", **link), empty_store)
    assert [(one.config.method, one.config.temperature) for one in points(config)] == [
        ("standardised-kd", 8.0), ("dkd", 8.0),
    ]  # fmt: skip
    query = run_form.settings_query(config.to_json())
    again = open_page("distil", **query)
    assert not again.exception and not again.error
    assert again.selectbox(key="vary_pick").value == "method" and again.number_input(key="temperature").value == 8.0


def test_methods_bring_their_own_settings_unless_a_visitor_sets_them(empty_store: Store, open_page: OpenPage) -> None:
    link = {"dataset": "digits", "vary": "method", "vary_values": "standardised-kd, dkd"}
    app = open_page("distil", method="dist", between_weight="3", **link)  # not a method of the sweep
    assert started(app, empty_store) == make_run_config("digits", vary={"method": ("standardised-kd", "dkd")})


def test_a_run_with_controls_shows_what_each_takes_away(two_runs: tuple[RunRow, RunRow], open_page: OpenPage) -> None:
    run = two_runs[0]
    assert run.result is not None
    app = open_page("distil", run=run.id)
    assert not app.exception and not app.error
    html = html_of(app)
    for arm in ("shuffled", "noise"):
        assert f"{100 * run.result['arms'][arm]['accuracy']['mean']:.1f} %" in html
    table = re.search(r"kd-controls.*", html)
    assert table is not None and "Theory: " in table.group()
    for arm in ("shuffled", "noise"):
        low, high = (f"{100 * bound:+.1f}".replace("-", "−") for bound in minus_distilled(run, arm))
        assert f"{low} to {high}".replace(" %", "\u00a0%") in table.group().replace("\u00a0", " ")
    assert any("seed by seed on the same" in caption.value for caption in app.caption)
    drawn = [trace["y"][0] for trace in chart_of(app, "kd-dots")["data"] if len(trace["y"]) == 1]
    assert [name.replace("<br>", " ") for name in drawn] == [
        "teacher", "distilled", "baseline", "shuffled within classes", "pictures of noise",
    ]  # fmt: skip
    assert {line["arm"]: line["quiet"] for line in curves_of(app)["series"]} == {
        "shuffled": True, "noise": True, "distilled": False, "baseline": False,
    }  # fmt: skip
    app.button(key="kd-take").click().run()
    assert not app.exception and not app.error and not app.warning
    assert app.selectbox(key="method_pick").value == "dkd" and app.number_input(key="non_target_weight").value == 4.0
    assert app.multiselect(key="controls_pick").value == ["shuffled", "noise"]
    assert in_address(app, "controls") == "shuffled,noise"


def minus_distilled(run: RunRow, arm: str) -> list[float]:
    """Return the interval of a control's accuracy minus distilled's from the result, after checking its differences."""
    assert run.result is not None
    row, distilled = (run.result["arms"][name] for name in (arm, "distilled"))
    steps = [a - b for a, b in zip(row["accuracy"]["per_seed"], distilled["accuracy"]["per_seed"], strict=True)]
    assert row["minus_distilled"]["per_seed"] == pytest.approx(steps)
    return list(row["minus_distilled"]["ci95"])


def test_what_a_run_cannot_do_is_said_before_it_starts(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", labels="19", controls="shuffled")
    assert not app.exception and "at least 20 labels" in app.error[0].value
    app.number_input(key="labels").set_value(20).run()
    assert not app.exception and not app.error
    app.selectbox(key="method_pick").select("fitnets").run()
    assert not app.exception and "another student" in app.error[0].value
    app.selectbox(key="student").select("convnet-4").run()
    assert not app.exception and not app.error


def test_a_sweep_shows_its_chart_its_table_and_its_own_point(
    two_runs: tuple[RunRow, RunRow], open_page: OpenPage
) -> None:
    run = two_runs[1]
    assert run.result is not None
    app = open_page("distil", run=run.id)
    assert not app.exception and not app.error
    lines = {trace.get("name"): trace for trace in chart_of(app, "kd-sweep")["data"]}
    rows = run.result["sweep"]["rows"]
    for labels in (40, 60):
        wanted = [row["arms"]["distilled"]["accuracy"]["mean"] for row in rows if row["values"]["labels"] == labels]
        assert lines[f"distilled, labelled pictures {labels}"]["y"] == pytest.approx([100 * one for one in wanted])
    assert html_of(app).count("<tr><th") >= 4 and "of 4 settings" in html_of(app)
    assert app.subheader[0].value == "In detail: temperature 4, labelled pictures 40"
    assert [one["epochs"] for one in curves_of(app)["series"]] == [[1, 2], [1, 2]]


def test_a_sweep_whose_dataset_is_gone_is_shown_whole(
    two_runs: tuple[RunRow, RunRow], open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(DATASETS, "digits")
    st.cache_data.clear()
    with pytest.raises(UnknownName):
        make_run_config("digits")
    app = open_page("distil", run=two_runs[1].id)
    assert not app.exception and not app.error
    shown = [one.value for one in app.subheader]
    assert shown == ["In detail: temperature 4, labelled pictures 40", "On the test pictures"]
    assert len(curves_of(app)["series"]) == 2 and chart_of(app, "kd-dots")["data"]
    assert "kd-readout" in html_of(app) and any(one.key == "kd-take" for one in app.button)
    links = [one.proto.label for one in app.get("page_link")]
    assert "Compare speed, size and answers" in links
    app.button(key="kd-take").click().run()
    assert not app.exception and not app.error and app.selectbox(key="dataset").value == "creatures"
    st.cache_data.clear()


def test_a_sweep_that_waits_and_one_that_was_stopped_have_their_points(empty_store: Store, open_page: OpenPage) -> None:
    config = make_run_config("digits", **{**TINY, "vary": {"temperature": (1.0, 4.0)}})
    with jobs.reserve_machine(empty_store, "a test", OTHER):  # so that it does not start
        run_id = jobs.submit(empty_store, config, VISITOR)
        app = open_page("distil", run=run_id)
        assert not app.exception and not app.error
        assert curves_of(app)["tick_words"] == ["1", "4"] and html_of(app).count("<td>–<") == 4
        jobs.cancel(empty_store, run_id)
        app.run()
        assert not app.exception and not app.error and len(app.warning) == 1
        assert curves_of(app)["axis"] == "temperature"


def test_the_other_pages_take_them_too(two_runs: tuple[RunRow, RunRow], open_page: OpenPage) -> None:
    for run in two_runs:
        app = open_page("runs", run=run.id, compare=",".join(one.id for one in two_runs))
        assert not app.exception and not app.error
        html = html_of(app)
        assert "Decoupled distillation" in html and "temperature (1, 4)" in html and "2 controls" in html
        assert ">None<" not in html  # a run without controls
        (row,) = re.findall(r"<tr><th[^>]*>Of a sweep<.*?</tr>", html)
        cells = re.findall(r"<td>(.*?)<small>", row)
        assert sorted(cells) == ["", "temperature 4, labelled pictures 40"]
    sweep = two_runs[1]
    (said,) = re.findall(r'<p class="kd-what">([^<]* settings)</p>', html)  # in the list, and no one point's figures
    assert said == sentences.sweep_outcome_sentence(claim_counts(sweep.result)).removesuffix(".")
    at = "Shown are its networks at temperature 4, labelled pictures 40."
    for run in two_runs:
        app = open_page("compare", run=run.id)
        assert not app.exception and not app.error
        assert (at in html_of(app)) == (run is sweep)


def test_like_classes_are_the_engines(two_runs: tuple[RunRow, RunRow], open_page: OpenPage) -> None:
    app = open_page("compare", run=two_runs[0].id, look="likeness")
    assert not app.exception and not app.error
    names = chart_of(app, "kd-tree")["layout"]["yaxis"]["ticktext"]
    assert sorted(names) == [str(digit) for digit in range(10)]
    assert html_of(app).count("100.0 %") >= 10  # the diagonal
    before = html_of(app)
    app.slider(key="likeness_t").set_value(1.0).run()
    assert not app.exception and html_of(app) != before
