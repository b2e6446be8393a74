"""The Runs page: whose runs are shown, in which order, and what one of them says."""

from __future__ import annotations

import pytest

from kdcore import jobs
from kdcore.config import make_run_config
from kdcore.store import Store
from pages.ui import state
from tests.pages.conftest import OTHER, VISITOR, OpenPage, curves_of, html_of, in_address, only_run

SMALL = {"labels": 50, "epochs": 2, "seeds": 2, "device": "cpu"}


def test_without_a_run_it_leads_to_the_first_one(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("runs")
    assert not app.exception and not app.error
    assert "No run yet" in html_of(app)
    assert not [button for button in app.button if button.key.startswith("kd-open-")]


def test_runs_are_the_visitors_own_newest_first(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with jobs.turn(empty_store, "a test", OTHER):  # so that none of them starts
        ids = [jobs.submit(empty_store, make_run_config("digits", **SMALL), who) for who in (VISITOR, OTHER, VISITOR)]
        app = open_page("runs")
        assert _listed(app) == [ids[2], ids[0]]
        assert html_of(app).count("No result yet") == 2
        monkeypatch.setattr(state, "is_local", lambda: True)  # the person at the machine
        assert _listed(open_page("runs")) == ids[::-1]
        for run_id in ids:
            jobs.cancel(empty_store, run_id)


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


def _listed(app: object) -> list[str]:
    keys = [button.key for button in app.button]  # type: ignore[attr-defined]
    return [key.removeprefix("kd-open-") for key in keys if key.startswith("kd-open-")]
