"""The Compare page: the networks of a real run, timed here, and their answers to one picture."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from kdcore import jobs
from kdcore.datasets import load_dataset
from kdcore.errors import DatasetUnavailable
from kdcore.metrics.reliability import reliability
from kdcore.metrics.soft_labels import soften
from kdcore.networks.latency import measure_latency
from kdcore.pictures.decode import open_picture
from kdcore.settings.config import make_run_config
from kdcore.store import RunRow, Store
from kdcore.teachers.answers import answer_test_split, pictures_of_group
from kdcore.teachers.predict import predict
from kdcore.teachers.teacher import Teacher, load_model, load_single
from pages.ui.compare.cached import measured_latencies
from tests.pages.conftest import OTHER, OpenPage, bars_of, chart_of, charts_of, html_of, in_address, only_run

ARMS = ("teacher", "distilled", "baseline")


@pytest.fixture(autouse=True)
def few_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time each network only a few times: what the page shows does not depend on the number of repetitions."""
    monkeypatch.setattr("kdcore.networks.latency.REPETITIONS", 20)
    monkeypatch.setattr("kdcore.networks.latency.FEWER_REPETITIONS", {256: 2})


def png(side: int = 24) -> bytes:
    """Return the bytes of a grey picture that is not square."""
    pixels = np.random.default_rng(3).integers(0, 256, (side, side + 7), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def networks_of(run: RunRow, store: Store) -> dict[str, Teacher]:
    """Return the teacher and the two students of the run on digits, loaded by the engine."""
    folder = jobs.runs_dir(run.id, store.home) / "models"
    students = {arm: load_model(folder / f"{arm}.safetensors") for arm in ("distilled", "baseline")}
    return {"teacher": load_single("digits"), **students}


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
    measured = measured_latencies(run.id)
    assert measured is not None and set(measured) == set(ARMS)
    for many in measured.values():
        assert [one["batch_size"] for one in many] == [1, 64]
        assert all(0 < one["p50"] <= one["p95"] for one in many)
    assert "…" not in page and page.count("p95 ") == 6
    points = chart_of(app, "kd-tradeoff")["data"]
    assert [trace["x"][0] for trace in points] == [measured[arm][0]["p50"] for arm in ARMS]
    assert [one.kind for one in trained_store.list_runs()] == ["run"], "the turn was not given back"


def test_it_is_measured_once_for_all_visitors_and_again_on_demand(
    trained_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        "kdcore.networks.latency.measure_latency",
        lambda models, device, sizes, **more: measured.append(sizes) or measure_latency(models, device, sizes, **more),
    )
    run = only_run(trained_store)
    app = open_page("compare", run=run.id)
    app.run()
    other = open_page("compare", visitor=OTHER, run=run.id)
    assert measured == [(1,), (64,)]
    assert html_of(other).count("p95 ") == 6, "the other visitor sees the same times at once"
    app.button(key="kd-measure").click().run()
    assert not app.exception
    assert measured == [(1,), (64,)] * 2


def test_nothing_is_measured_beside_another_run(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    with jobs.reserve_machine(trained_store, "a test", OTHER):
        app = open_page("compare", run=run.id)
        assert not app.exception
        assert "when it has ended" in app.info[0].value
        assert measured_latencies(run.id) is None
        assert html_of(app).count("<td>…") == 6
        assert "kd-measure" not in [button.key for button in app.button]


def test_the_answers_are_the_engines(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("compare", run=run.id)
    app.file_uploader[0].set_value(("mine.png", png(), "image/png")).run()
    assert not app.exception and not app.error
    networks = networks_of(run, trained_store)
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
    assert set(measured_latencies("creatures-distilled") or ()) == set(ARMS)
    names = [list(bars) for bars in bars_of(app)]
    assert names[0] == names[1] == names[2] and "wolf" in names[0]


def test_other_bundled_networks_are_a_choice_that_the_address_keeps(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", networks="creatures")
    assert not app.exception
    assert "The bundled networks for creatures" in html_of(app), "not the visitor's last run"
    choice = app.segmented_control(key="networks_pick")
    assert choice.value == "creatures"
    choice.set_value("last").run()
    assert "Your last run: digits" in html_of(app)
    assert in_address(app, "networks") is None


def test_an_unknown_run_is_one_sentence(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", run="nonsense12345")
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith('There is no run "nonsense12345"')


def test_a_run_that_ended_without_a_result_is_one_sentence(empty_store: Store, open_page: OpenPage) -> None:
    run_id = jobs.submit(empty_store, make_run_config("digits"), OTHER)
    jobs.cancel(empty_store, run_id)
    app = open_page("compare", run=run_id)
    assert not app.exception and not app.error
    assert app.info[0].value.startswith("The run in the address ended without a result")


def test_every_chart_has_words(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare", run=only_run(trained_store).id)
    words = [chart.proto.alt for chart in charts_of(app)] + re.findall(r'aria-label="(.*?)"', html_of(app))
    assert len(words) == 4
    assert all(len(one) > 20 for one in words)


SECTIONS = ("picture", "mixups", "classes", "likeness", "calibration", "cost", "gallery")


def heat_of(app: AppTest) -> tuple[list[str], np.ndarray]:
    """Return the true classes of the confusion table on the page, and the shares that its shades stand for."""
    table = re.search(r'<table class="kd-heat.*?</table>', html_of(app))
    assert table is not None
    shades = [float(one) / 70 for one in re.findall(r" ([0-9.]+)%, transparent", table.group())]
    rows = re.findall(r'scope="row">(.*?)<', table.group())
    return rows, np.array(shades).reshape(len(rows), -1)


def test_every_section_opens_by_its_address_with_the_bundled_networks(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("compare")
    for section in SECTIONS:
        app.query_params["look"] = section
        app.session_state["look_pick"] = section
        app.run()
        assert not app.exception and not app.error
        assert app.subheader[0].value.endswith(("?", "answers"))
        words = [chart.proto.alt for chart in charts_of(app)]
        assert len(words) == (2 if section in ("classes", "likeness", "calibration", "cost") else 1)
        assert all(len(one) > 20 for one in words)
        assert in_address(app, "look") == (None if section == "picture" else section)


def test_only_the_chosen_section_is_computed(
    trained_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "kdcore.teachers.answers.answer_test_split", lambda *args: asked.append(1) or answer_test_split(*args)
    )
    app = open_page("compare", run=only_run(trained_store).id)
    assert not asked, "the test pictures were asked about before anybody wanted to know"
    for section in ("calibration", "gallery", "classes", "calibration"):
        app.segmented_control(key="look_pick").set_value(section).run()
        assert not app.exception and not app.error
    assert asked == [1], "the answers were not kept"


def test_the_confusion_is_the_results_and_agrees_with_the_accuracy(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    app = open_page("compare", run=run.id, look="mixups")
    assert run.result is not None
    shares = {}
    for arm in (*ARMS, "difference"):
        app.segmented_control(key="mixups_arm").set_value(arm).run()
        names, shares[arm] = heat_of(app)
        assert names == run.result["class_names"]
    for arm in ARMS:
        counts = np.array(run.result["arms"][arm]["confusion"])
        assert shares[arm].sum(1) == pytest.approx(np.ones(10), abs=0.01)
        assert shares[arm] == pytest.approx(counts / counts.sum(1, keepdims=True), abs=0.001)
        by_row = counts.sum(1) / counts.sum()
        accuracy = float((np.diag(shares[arm]) * by_row).sum())
        assert accuracy == pytest.approx(run.result["arms"][arm]["accuracy"]["mean"], abs=0.002)
    gap = np.abs(shares["distilled"] - shares["baseline"])
    assert shares["difference"] == pytest.approx(gap / gap.max(), abs=0.01)


def share_right(run: RunRow, arm: str, digit: int) -> float:
    """Return the share of a digit's test pictures that an arm has right over all seeds, from its confusion matrix."""
    assert run.result is not None
    answers = run.result["arms"][arm]["confusion"][digit]
    return float(answers[digit] / sum(answers))


def test_sections_show_all_seeds_or_what_the_engine_says_of_the_first_ones_networks(
    trained_store: Store, open_page: OpenPage
) -> None:
    run = only_run(trained_store)
    found = answer_test_split(networks_of(run, trained_store), load_dataset("digits"))
    assert run.result is not None
    for arm in ARMS:
        right = float((found.chosen[arm] == found.hard_labels).double().mean())
        assert right == pytest.approx(run.result["arms"][arm]["accuracy"]["per_seed"][0]), "not the networks of the run"

    app = open_page("compare", run=run.id, look="classes")
    dots = {y: x for trace in chart_of(app, "kd-classes")["data"] for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert {name[0] for name in dots} == {str(digit) for digit in range(10)}
    for name, x in dots.items():
        digit = int(name[0])
        assert x == pytest.approx(100 * (share_right(run, "distilled", digit) - share_right(run, "baseline", digit)))
        count = int((found.hard_labels == digit).sum())
        assert f"n = {count}" in name.replace("<br>", " ").replace(
            "\u00a0", " "
        )  # fewer than 50 pictures of each digit

    app.segmented_control(key="look_pick").set_value("calibration").run()
    drawn = {trace["name"]: trace for trace in chart_of(app, "kd-reliability")["data"] if "name" in trace}
    for arm in ARMS:
        wanted = reliability(found.logits[arm].float(), found.hard_labels)
        assert drawn[arm]["x"] == pytest.approx([100 * one.confidence for one in wanted])
        assert drawn[arm]["y"] == pytest.approx([100 * one.accuracy for one in wanted])
        assert f"{100 * run.result['arms'][arm]['ece']['mean']:.1f} %" in html_of(app)


def test_the_gallery_counts_shows_and_softens(trained_store: Store, open_page: OpenPage) -> None:
    run = only_run(trained_store)
    found = answer_test_split(networks_of(run, trained_store), load_dataset("digits"))
    app = open_page("compare", run=run.id, look="gallery")
    one, other, dissent = (len(pictures_of_group(found, group)) for group in ("distilled", "baseline", "dissent"))
    assert f"only the distilled student has {one} right, only the baseline {other}." in html_of(app)
    app.segmented_control(key="gallery_group").set_value("dissent").run()
    assert html_of(app).count("<figure") == min(12, dissent)
    slider = app.select_slider(key=f"gallery_t_{run.id}")
    assert slider.value == run.config["temperature"]
    slider.set_value(1.0).run()
    first = int(pictures_of_group(found, "dissent")[0])
    wanted = soften(found.logits["teacher"][first])
    card = html_of(app).split("<figure")[1]
    bars = re.findall(r"<b>(\d)</b><div><i style=\"width:([0-9.]+)%", card)
    assert len(bars) == 4
    for name, share in bars:
        assert float(share) == pytest.approx(100 * float(wanted[int(name)]), abs=0.006)
    if dissent > 12:
        app.button(key="kd-more").click().run()
        assert html_of(app).count("<figure") == min(24, dissent)


def test_more_batch_sizes_are_timed_when_somebody_looks_and_money_waits_for_a_price(
    trained_store: Store, open_page: OpenPage
) -> None:
    run = only_run(trained_store)
    app = open_page("compare", run=run.id, look="cost")
    assert not app.exception and not app.error
    measured = measured_latencies(run.id)
    curve = chart_of(app, "kd-batches")["data"]
    assert [trace["name"] for trace in curve] == list(ARMS)
    for trace in curve:
        times = {one["batch_size"]: one["p50"] for one in measured[trace["name"]]}
        assert trace["x"] == [1, 8, 64, 256] and trace["y"] == [times[size] for size in trace["x"]]
    assert "at your price" not in html_of(app)
    app.number_input(key="kd_price").set_value(0.5).run()
    assert "at your price" in html_of(app) and not app.exception


def test_a_dataset_that_is_gone_is_one_sentence_and_the_rest_works(
    trained_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str) -> None:
        raise DatasetUnavailable(f"{name} is not on this machine.")

    monkeypatch.setattr("kdcore.datasets.load_dataset", gone)
    app = open_page("compare", run=only_run(trained_store).id, look="calibration")
    assert not app.exception
    assert [error.value for error in app.error] == ["digits is not on this machine."]
    assert "Accuracy" in html_of(app) and measured_latencies(only_run(trained_store).id)
    app.segmented_control(key="look_pick").set_value("mixups").run()
    assert not app.error, "the result holds the confusion"
