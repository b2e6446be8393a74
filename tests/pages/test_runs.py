"""The Runs page: whose runs are listed, in which order, how they are compared, and what can be done with one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil
import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from kdcore import jobs
from kdcore.events import EpochEnded, RunStarted
from kdcore.settings.config import make_run_config
from kdcore.store import Store, add_event, new_id, to_text
from kdcore.store.schema import runs as run_table
from pages.ui.engine import cache
from pages.ui.run import controls
from pages.ui.runs import actions
from pages.ui.runs import list as run_list
from pages.ui.session import browser, state
from tests.pages.conftest import OTHER, VISITOR, OpenPage, chart_of, curves_of, html_of, in_address, only_run

TABLE = 'class="kd-table kd-comparison"'
SMALL = {"labels": 50, "epochs": 2, "seeds": 2, "device": "cpu"}


def test_without_a_run_it_leads_to_the_first_one(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("runs")
    assert not app.exception and not app.error
    assert "No run yet" in html_of(app)
    assert not [button for button in app.button if button.key.startswith("kd-open-")]


def test_runs_are_the_visitors_own_newest_first(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with jobs.reserve_machine(empty_store, "a test", OTHER):  # so that none of them starts
        ids = [jobs.submit(empty_store, make_run_config("digits", **SMALL), who) for who in (VISITOR, OTHER, VISITOR)]
        app = open_page("runs")
        assert _listed(app) == [ids[2], ids[0]]
        assert html_of(app).count("No result yet") == 2
        monkeypatch.setattr(browser, "is_local", lambda: True)  # the person at the machine
        assert _listed(open_page("runs")) == ids[::-1]
        for run_id in ids:
            jobs.cancel(empty_store, run_id)


def test_clearing_the_caches_closes_the_store_of_the_app(empty_store: Store, open_page: OpenPage) -> None:
    def connections() -> int:
        """How often this process has the file of the store open."""
        paths = [Path(file.path) for file in psutil.Process().open_files()]
        return paths.count((empty_store.home / "runs.sqlite").resolve())

    empty_store.close()
    assert not open_page("runs").exception
    held = cache.store()  # as a script that still runs holds it
    assert connections() >= 1
    st.cache_resource.clear()
    assert connections() == 0
    assert held.list_runs() == [] and cache.store() is not held
    assert not open_page("runs").exception  # a visitor who is there goes on with a new one


def test_a_run_is_opened_in_its_place_and_closed_again(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("runs")
    assert run.result is not None
    assert "digits, 60 labelled pictures, mlp-8" in html_of(app)
    app.button(key=f"kd-open-{run.id}").click().run()
    assert not app.exception and not app.error
    assert in_address(app, "run") == run.id
    page = html_of(app)
    assert "95 % interval" in page and run.id in page
    assert {line["arm"] for line in curves_of(app)["series"]} == {"distilled", "baseline"}
    app.button(key=f"kd-open-{run.id}").click().run()
    assert in_address(app, "run") is None
    assert "95 % interval" not in html_of(app)


def test_a_link_opens_somebody_elses_run(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("runs", visitor=OTHER, run=run.id)
    assert not app.exception and not app.error
    assert "95 % interval" in html_of(app)


def test_an_unknown_run_is_one_sentence_above_the_list(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("runs", run="nonsense12345")
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith('There is no run "nonsense12345"')
    assert _listed(app) == [only_run(trained_store).id]


# --- finding


def add_run(
    store: Store, status: str = "finished", gain: float | None = 0.05, visitor: str = VISITOR,
    tags: tuple[str, ...] = (), loss: float | None = 1.0, **settings: Any,
) -> str:  # fmt: skip
    """Write a run into the store as if it had been trained, and return its id."""
    run_id = new_id()
    config = {**make_run_config("digits", **SMALL).to_json(), **settings}
    result: dict[str, Any] | None = None
    if gain is not None and status == "finished":
        result = {"run_id": run_id, "config": config, "seconds": 9.0, "test_size": 360, "dataset_sha256": "a"}
        result |= {"paired_difference": estimate(gain), "verdict": {"claim": "none", "sentence": "No claim."}}
        result["arms"] = {name: figures(0.6 + step) for name, step in (("baseline", 0.0), ("distilled", gain))}
    with store.write() as connection:
        values = {"id": run_id, "visitor": visitor, "kind": "run", "status": status, "created": 1.7e9}
        texts = {"config": to_text(config), "result": to_text(result) if result else None}
        connection.execute(sa.insert(run_table).values(**values, **texts))
        curves = {"train_loss": [loss, loss], "validation_accuracy": [0.4, None if loss is None else 0.6]}
        add_event(connection, run_id, RunStarted(config, ("baseline", "distilled"), 2, "cpu", "fp32", 50, 2))
        add_event(connection, run_id, EpochEnded(1, 2, 0.1, {"baseline": curves, "distilled": curves}))  # type: ignore[dict-item]
    if tags:
        store.tag(run_id, tags)
    return run_id


def estimate(mean: float) -> dict[str, Any]:
    return {"mean": mean, "ci95": [mean - 0.02, mean + 0.02], "per_seed": [mean, mean]}


def figures(accuracy: float) -> dict[str, Any]:
    sizes = {"num_params": 1, "macs": 1, "size_bytes": 1, "latency_ms": []}
    return {"accuracy": estimate(accuracy), "ece": estimate(0.1), "agreement": estimate(0.9), **sizes}


def opened(page: OpenPage, name: str = "runs", **query: str) -> AppTest:
    app = page(name, **query)
    assert not app.exception, app.exception
    return app


def keys(app: AppTest) -> set[str]:
    found = {one.key for kind in ("button", "multiselect", "checkbox", "download_button") for one in app.get(kind)}
    return {key for key in found if key}


def test_runs_are_filtered_and_sorted_by_the_address(empty_store: Store, open_page: OpenPage) -> None:
    small = add_run(empty_store, gain=0.01, student="mlp-64", tags=("class 7b",))
    large = add_run(empty_store, gain=0.2)
    failed = add_run(empty_store, "failed", dataset="creatures", teacher="creatures", student="convnet-8")
    assert _listed(opened(open_page)) == [failed, large, small]
    assert _listed(opened(open_page, sort="gain")) == [large, small, failed]
    assert _listed(opened(open_page, status="finished", sort="old")) == [small, large]
    assert _listed(opened(open_page, tag="class 7b")) == [small]
    assert _listed(opened(open_page, in_dataset="creatures")) == [failed]
    assert _listed(opened(open_page, words="mlp-64 7B")) == [small]
    assert _listed(opened(open_page, status="nosuch", sort="nosuch", tag="gone")) == [failed, large, small]


def test_a_filter_without_a_run_offers_all_of_them(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store)
    app = opened(open_page, words="<b>nothing</b>", status="failed")
    assert _listed(app) == [] and "No run matches these filters." in html_of(app)
    app.button(key="kd-show-all").click().run()
    assert not app.exception and _listed(app) == [run_id]
    assert in_address(app, "words") is None and in_address(app, "status") is None


def test_widgets_put_their_choice_into_the_address(empty_store: Store, open_page: OpenPage) -> None:
    add_run(empty_store), add_run(empty_store, "failed")
    app = opened(open_page)
    app.selectbox(key="kd-status").set_value("failed").run()
    app.selectbox(key="kd-sort").set_value("old").run()
    assert (in_address(app, "status"), in_address(app, "sort")) == ("failed", "old")
    assert len(_listed(app)) == 1


def test_two_hundred_runs_are_drawn_a_screenful_at_a_time(empty_store: Store, open_page: OpenPage) -> None:
    ids = [add_run(empty_store, student=f"mlp-{8 + number % 2}") for number in range(200)][::-1]
    app = opened(open_page)
    assert _listed(app) == ids[: run_list.RUNS_PER_SCREEN] and app.button(key="kd-back").disabled
    app.button(key="kd-more").click().run()
    assert _listed(app) == ids[run_list.RUNS_PER_SCREEN : 2 * run_list.RUNS_PER_SCREEN]
    app.text_input(key="words").set_value("mlp-9").run()  # a changed filter starts at its first run
    assert _listed(app) == [run_id for place, run_id in enumerate(ids) if place % 2 == 0][: run_list.RUNS_PER_SCREEN]
    app.text_input(key="words").set_value("").run()
    assert _listed(app) == ids[: run_list.RUNS_PER_SCREEN]
    while not app.button(key="kd-more").disabled:
        app.button(key="kd-more").click().run()
    assert _listed(app)[-1] == ids[-1] and app.button(key="kd-more").disabled


# --- comparing


def test_chosen_runs_are_compared(empty_store: Store, open_page: OpenPage) -> None:
    ids = [add_run(empty_store, gain=0.05 * step, temperature=float(step)) for step in (1, 2, 3)]
    app = opened(open_page)
    assert "kd-compare-none" not in keys(app)
    app.checkbox(key=f"kd-pick-{ids[1]}").check().run()
    assert "Choose another one" in html_of(app) and TABLE not in html_of(app)
    app.checkbox(key=f"kd-pick-{ids[0]}").check().run()
    assert not app.exception and in_address(app, "compare") == f"{ids[1]},{ids[0]}"
    page = html_of(app)
    table = page[page.index(TABLE) :]
    assert re.findall(r"<td>([0-9.]+)<small></small></td>", table)[:2] == ["2", "1"]  # the temperatures
    assert "Labelled pictures" not in table and "70.0 %" in table and "65.0 %" in table
    assert "−5.0" in table and "−7.8 to −2.2" in table  # 65 - 70 points, half width 2 · √2
    figure = chart_of(app, "kd-overlay")
    dashes = [trace["line"]["dash"] for trace in figure["data"] if trace["mode"] == "lines"]
    assert dashes == ["solid", "solid", "dash", "dash"]
    assert app.checkbox(key=f"kd-pick-{ids[1]}").label == "**A**"
    app.button(key="kd-compare-none").click().run()
    assert in_address(app, "compare") is None and not app.checkbox(key=f"kd-pick-{ids[1]}").value


def test_a_link_compares_runs_of_somebody_else_and_leaves_out_what_is_gone(
    empty_store: Store, open_page: OpenPage
) -> None:
    ids = [add_run(empty_store, visitor=OTHER), add_run(empty_store, "failed", visitor=OTHER, loss=None)]
    gone = add_run(empty_store, visitor=OTHER)
    empty_store.delete(gone)
    mine = add_run(empty_store)
    app = opened(open_page, compare=",".join([*ids, gone, "nonsense12345", "<b>", ids[0]]))
    assert in_address(app, "compare") == ",".join(ids)
    assert TABLE in html_of(app) and _listed(app) == [mine]
    assert any("not there any more" in info.value or "gone" in info.value for info in app.info)


def test_a_chart_holds_six_runs(empty_store: Store, open_page: OpenPage) -> None:
    ids = [add_run(empty_store) for _number in range(8)]
    app = opened(open_page, compare=",".join(ids[:6]))
    boxes = {box.key: box for box in app.checkbox}
    assert not boxes[f"kd-pick-{ids[5]}"].disabled and boxes[f"kd-pick-{ids[7]}"].disabled
    assert "All settings are the same." in html_of(app)


# --- what can be done with one


def test_tags_are_put_on_and_taken_off(empty_store: Store, open_page: OpenPage) -> None:
    other, run_id = add_run(empty_store, tags=("used before",)), add_run(empty_store)
    app = opened(open_page, run=run_id)
    box = app.multiselect(key=f"kd-tags-{run_id}")
    assert box.options == ["used before"] and box.value == []
    box.set_value([" class  7b", "used before"]).run()
    assert empty_store.run(run_id).tags == ("class 7b", "used before")
    assert app.multiselect(key=f"kd-tags-{run_id}").value == ["class 7b", "used before"]
    app.multiselect(key=f"kd-tags-{run_id}").set_value(["class 7b", "<img src=x>"]).run()
    (error,) = app.error
    assert "is no tag" in error.value and "<" not in error.value
    assert empty_store.run(run_id).tags == ("class 7b", "used before")
    assert app.multiselect(key=f"kd-tags-{run_id}").value == ["class 7b", "used before"]
    empty_store.tag(run_id, ["elsewhere"])  # another tab
    app.run()
    assert not app.error and app.multiselect(key=f"kd-tags-{run_id}").value == ["elsewhere"]
    app.button(key=f"kd-open-{run_id}").click().run()
    assert "<span>elsewhere</span>" in html_of(app) and empty_store.run(other).tags == ("used before",)


def test_a_run_is_deleted_and_comes_back(empty_store: Store, open_page: OpenPage) -> None:
    kept, run_id = add_run(empty_store), add_run(empty_store)
    app = opened(open_page, run=run_id, compare=f"{run_id},{kept}")
    app.button(key="kd-delete").click().run()
    assert not app.exception and _listed(app) == [kept]
    assert in_address(app, "run") is None and in_address(app, "compare") == kept
    app.run()
    app.button(key="kd-undo").click().run()
    assert _listed(app) == [run_id, kept] and in_address(app, "run") == run_id and "kd-undo" not in keys(app)
    app.button(key="kd-delete").click().run()
    app.button(key=f"kd-open-{kept}").click().run()  # the next action
    assert "kd-undo" not in keys(app)
    app.button(key=f"kd-restore-{run_id}").click().run()
    assert empty_store.run(run_id).deleted is None and "kd-deleted" not in keys(app)


def test_the_last_run_can_be_restored_too(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store)
    app = opened(open_page, run=run_id)
    app.button(key="kd-delete").click().run()
    assert "No run yet" in html_of(app) and {"kd-undo", f"kd-restore-{run_id}"} <= keys(app)


def test_two_tabs_delete_the_same_run(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store)
    tabs = [opened(open_page, run=run_id) for _number in range(2)]
    for tab in tabs:
        tab.button(key="kd-delete").click().run()
        assert not tab.exception and not tab.error
    tabs[0].button(key="kd-undo").click().run()
    tabs[1].run()
    assert _listed(tabs[1]) == [run_id] and "kd-undo" not in keys(tabs[1])
    empty_store.delete(run_id)
    empty_store.purge(run_id)
    tabs[0].button(key="kd-delete").click().run()
    assert not tabs[0].exception
    assert all("There is no run" in error.value for error in tabs[0].error) and tabs[0].error


def test_a_link_to_a_deleted_run_says_so(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store)
    empty_store.delete(run_id)
    app = opened(open_page, visitor=OTHER, run=run_id)
    assert "was deleted" in app.error[0].value and "kd-restore-opened" not in keys(app)
    app = opened(open_page, run=run_id)
    app.button(key="kd-restore-opened").click().run()
    assert not app.exception and not app.error and _listed(app) == [run_id] and "kd-delete" in keys(app)


def test_somebody_elses_run_is_read_only(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_run(empty_store, "cancelled", tags=("theirs",))
    mine = {f"kd-tags-{run_id}", "kd-delete", "kd-resume"}
    assert mine <= keys(opened(open_page, run=run_id))
    app = opened(open_page, visitor=OTHER, run=run_id)
    assert not mine & keys(app) and "kd-export-html" in keys(app)
    assert "<span>theirs</span>" in html_of(app)
    monkeypatch.setattr(browser, "visitor_id", lambda: OTHER)
    monkeypatch.setattr(state, "keep", lambda slot, value: None)
    monkeypatch.setattr(state, "widget_value", lambda key: ["mine now"])
    for act in (actions._delete, controls._resume, actions._retag):
        act(run_id)  # a callback checks the owner again, whatever button was drawn
    assert empty_store.run(run_id).status == "cancelled" and empty_store.run(run_id).tags == ("theirs",)
    empty_store.delete(run_id)
    actions._restore(run_id)
    assert empty_store.run(run_id, deleted=True).deleted is not None


def test_the_person_at_the_machine_may_change_all(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = add_run(empty_store, "cancelled", visitor=OTHER)
    monkeypatch.setattr(browser, "is_local", lambda: True)
    app = opened(open_page, run=run_id)
    assert {f"kd-tags-{run_id}", "kd-delete", "kd-resume"} <= keys(app)
    app.button(key="kd-delete").click().run()
    assert empty_store.list_runs() == [] and f"kd-restore-{run_id}" in keys(app)


def test_a_stopped_run_goes_on(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store, "cancelled")
    with jobs.reserve_machine(empty_store, "a test", OTHER):  # so that it waits
        app = opened(open_page, run=run_id)
        app.button(key="kd-resume").click().run()
        assert not app.exception and not app.error
        assert empty_store.run(run_id).status == "queued"
        assert not {"kd-resume", "kd-delete"} & keys(app)
        jobs.cancel(empty_store, run_id)


def test_what_cannot_go_on_is_said(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store, "interrupted", teacher="gone")
    app = opened(open_page, run=run_id)
    app.button(key="kd-resume").click().run()
    assert not app.exception and '"gone"' in app.error[0].value
    app.run()
    assert not app.error


def test_rerun_with_a_change_carries_the_settings(empty_store: Store, open_page: OpenPage) -> None:
    run_id = add_run(empty_store, temperature=2.5, labels=77)
    app = opened(open_page, run=run_id, words="mlp")
    links = {link.proto.label: parse_qs(link.proto.query_string) for link in app.get("page_link")}
    query = {key: values[0] for key, values in links["Rerun with a change"].items()}
    assert query["temperature"] == "2.5" and query["labels"] == "77" and query["dataset"] == "digits"
    assert query["seeds"] == "2" and query["parent"] == run_id
    assert "run" not in query and "words" not in query
    distil = opened(open_page, "distil", **query)
    assert distil.number_input(key="temperature").value == 2.5 and distil.number_input(key="labels").value == 77


def test_exports_are_made_when_they_are_asked_for(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = opened(open_page, run=run.id)
    assert {"kd-export-html", "kd-export-csv", "kd-export-json"} <= keys(app)
    page = actions._export(trained_store, run.id, "html")
    assert run.result is not None and f"{100 * run.result['arms']['distilled']['accuracy']['mean']:.1f} %" in page
    assert actions._export(trained_store, run.id, "csv").startswith("epoch,arm,seed")


def test_every_kind_of_run_is_shown_and_compared(empty_store: Store, open_page: OpenPage) -> None:
    kinds: list[dict[str, Any]] = [
        {"gain": None}, {"loss": None}, {"dataset": "gone", "teacher": "gone"}, {"seeds": [7]},
        {"status": "failed", "loss": None}, {"status": "interrupted"},
    ]  # fmt: skip
    ids = [add_run(empty_store, **kind) for kind in kinds]
    app = opened(open_page, compare=",".join(ids), sort="duration")
    assert TABLE in html_of(app) and not app.error
    for run_id in ids:
        app.button(key=f"kd-open-{run_id}").click().run()
        assert not app.exception and not app.error and in_address(app, "run") == run_id


def _listed(app: object) -> list[str]:
    keys = [button.key for button in app.button]  # type: ignore[attr-defined]
    return [key.removeprefix("kd-open-") for key in keys if key.startswith("kd-open-")]
