"""The Compare page: the networks of a real run, timed here, and their answers to one picture."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from kdcore import jobs
from kdcore.pictures import open_picture
from kdcore.soft_labels import predict
from kdcore.store import Store
from kdcore.teachers import load_bundled, load_model
from tests.pages.conftest import OTHER, OpenPage, bars_of, chart_of, charts_of, html_of, only_run

ARMS = ("teacher", "distilled", "baseline")


def png(side: int = 24) -> bytes:
    """A grey scribble, not square."""
    pixels = np.random.default_rng(3).integers(0, 256, (side, side + 7), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_run_is_compared_and_timed_without_a_click(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("compare", run=run.id)
    assert not app.exception and not app.error
    page = html_of(app)
    assert run.result is not None
    for arm in ARMS:
        row = run.result["arms"][arm]
        assert f"{100 * row['accuracy']['mean']:.1f} %" in page
        assert f"{row['num_params']:,}" in page
    measured = app.session_state[f"_kept_latency_{run.id}"]
    assert set(measured) == set(ARMS)
    for many in measured.values():
        assert [one["batch_size"] for one in many] == [1, 64]
        assert all(0 < one["p50"] <= one["p95"] for one in many)
    assert "…" not in page and page.count("p95 ") == 6
    points = chart_of(app, "kd-tradeoff")["data"]
    assert [trace["x"][0] for trace in points] == [measured[arm][0]["p50"] for arm in ARMS]
    assert [one.kind for one in trained_store.list_runs()] == ["run"], "the turn was not given back"


def test_it_is_measured_once_a_session_and_again_on_demand(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("compare", run=run.id)
    first = app.session_state[f"_kept_latency_{run.id}"]
    app.run()
    assert app.session_state[f"_kept_latency_{run.id}"] is first
    app.button(key="kd-measure").click().run()
    assert not app.exception
    assert app.session_state[f"_kept_latency_{run.id}"] is not first


def test_nothing_is_measured_beside_another_run(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    with jobs.turn(trained_store, "a test", OTHER):
        app = open_page("compare", run=run.id)
        assert not app.exception
        assert "when it has ended" in app.info[0].value
        assert f"_kept_latency_{run.id}" not in app.session_state
        assert html_of(app).count("<td>…") == 6
        assert "kd-measure" not in [button.key for button in app.button]


def test_the_answers_are_the_engines(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("compare", run=run.id)
    app.file_uploader[0].set_value(("mine.png", png(), "image/png")).run()
    assert not app.exception and not app.error
    folder = jobs.runs_dir(run.id, trained_store.home) / "models"
    networks = {"teacher": load_bundled("digits")} | {
        arm: load_model(folder / f"{arm}.safetensors") for arm in ("distilled", "baseline")
    }
    for arm, bars in zip(ARMS, bars_of(app), strict=True):
        wanted = predict(networks[arm], open_picture(png(), "mine.png"))["soft_labels"]
        assert list(bars) == [str(digit) for digit in range(10)]
        assert list(bars.values()) == pytest.approx([100 * share for share in wanted], abs=0.006)
    assert app.session_state["_current_picture"] == "upload"


def test_there_is_a_picture_before_one_is_chosen(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", run=only_run(trained_store).id)
    assert [sum(bars.values()) for bars in bars_of(app)] == pytest.approx([100.0] * 3, abs=0.1)


@pytest.mark.parametrize("data", [b"not a picture at all", b"", png()[:60]], ids=["text", "empty", "truncated"])
def test_a_bad_picture_is_one_sentence(trained_store: Store, open_page: OpenPage, data: bytes) -> None:
    app = open_page("compare", run=only_run(trained_store).id)
    app.file_uploader[0].set_value(("mine.png", data, "image/png")).run()
    assert not app.exception
    (error,) = app.error
    assert error.value.count(".") >= 1 and "Traceback" not in error.value
    assert len(bars_of(app)) == 3  # the last picture stays


def test_without_a_run_in_the_address_it_is_the_visitors_last_one(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare")
    assert not app.exception
    assert "Your last run: digits, 60 labelled pictures" in html_of(app)


def test_somebody_without_a_run_sees_the_bundled_networks(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", visitor=OTHER)
    assert not app.exception and not app.error
    assert "The bundled networks for creatures" in html_of(app)
    assert set(app.session_state["_kept_latency_bundled"]) == set(ARMS)
    names = [list(bars) for bars in bars_of(app)]
    assert names[0] == names[1] == names[2] and "wolf" in names[0]


def test_an_unknown_run_is_one_sentence(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", run="nonsense12345")
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith('There is no run "nonsense12345"')


def test_every_chart_has_words(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", run=only_run(trained_store).id)
    words = [chart.proto.alt for chart in charts_of(app)] + re.findall(r'aria-label="(.*?)"', html_of(app))
    assert len(words) == 4
    assert all(len(one) > 20 for one in words)
