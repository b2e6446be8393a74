"""Sweeps and controls on the page: their numbers and order in charts, tables and sentences, and escaped text."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import pytest

from kdcore.events import EpochEnded, Event, RunStarted, TeacherCached, TeacherEpochEnded, event_from_json
from kdcore.methods.registry import METHODS
from kdcore.reports.comparison import claim_counts
from kdcore.reports.curves import Curve
from kdcore.settings.config import make_run_config
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import own_point
from kdcore.settings.stages import event_names
from kdcore.settings.sweeps import arms_of, groups, points
from kdcore.store import Store, add_event, to_text
from pages.ui.kit import formats, look, settings_words, tables
from pages.ui.run import control_views, curves_data, sentences, sweep_charts, sweep_views
from pages.ui.run import view as vm
from pages.ui.session import state


def estimate(mean: float, half: float | None = 0.02) -> dict[str, Any]:
    interval = None if half is None else [mean - half, mean + half]
    return {"mean": mean, "ci95": interval, "per_seed": [mean, mean, mean]}


def row(values: dict[str, Any], baseline: float, distilled: float, claim: str = "none") -> dict[str, Any]:
    arms = {"baseline": {"accuracy": estimate(baseline)}, "distilled": {"accuracy": estimate(distilled)}}
    return {"values": values, "arms": arms, "paired_difference": estimate(distilled - baseline, 0.03), "claim": claim}


BY_TEMPERATURE = {
    "sweep": {
        "varied": ["temperature"],
        "rows": [
            row({"temperature": 1.0}, 0.60, 0.61),
            row({"temperature": 4.0}, 0.60, 0.70, "distilled"),
            row({"temperature": 20.0}, 0.60, 0.68, "distilled"),
        ],
    }
}
BY_BOTH = {
    "sweep": {
        "varied": ["labels", "student"],
        "rows": [
            row({"labels": labels, "student": student}, 0.5 + labels / 1000, 0.6 + labels / 1000, "baseline")
            for labels in (50, 100)
            for student in ("mlp-8", "mlp-64")
        ],
    }
}


def found(result: dict[str, Any]) -> sweep_views.Sweep:
    sweep = sweep_views.finished_sweep(result)
    assert sweep is not None
    return sweep


def test_the_chart_of_one_setting_holds_its_points_and_the_baseline_once() -> None:
    figure = sweep_charts.sweep_chart(found(BY_TEMPERATURE))
    traces = {trace.name: trace for trace in figure.data if trace.name}
    distilled, baseline = traces["distilled"], traces["baseline"]
    assert list(distilled.x) == [1.0, 4.0, 20.0] and list(distilled.y) == pytest.approx([61.0, 70.0, 68.0])
    assert list(distilled.error_y.array) == pytest.approx([2.0] * 3) == list(distilled.error_y.arrayminus)
    assert list(baseline.x) == [1.0, 20.0] and list(baseline.y) == pytest.approx([60.0, 60.0])  # a band: it is shared
    (band,) = (trace for trace in figure.data if trace.fill == "toself")
    assert sorted(set(band.y)) == pytest.approx([58.0, 62.0])
    assert figure.layout.xaxis.type == "log" and list(figure.layout.xaxis.ticktext) == ["1", "4", "20"]
    assert (distilled.marker.color, distilled.marker.symbol) == (look.DISTILLED, look.ARM_MARKERS["distilled"])


def test_two_settings_give_a_line_for_each_value_of_the_second() -> None:
    figure = sweep_charts.sweep_chart(found(BY_BOTH))
    lines = {trace.name: list(trace.y) for trace in figure.data}
    assert lines["distilled, student mlp-8"] == pytest.approx([65.0, 70.0])
    assert lines["baseline, student mlp-64"] == pytest.approx([55.0, 60.0])
    assert len(lines) == 4 and figure.layout.xaxis.type == "linear"  # 100 is not far from 50
    assert len({trace.line.dash for trace in figure.data}) == 2


def test_names_have_a_row_each_and_no_line() -> None:
    rows = [row({"method": "kd"}, 0.60, 0.61), row({"method": "standardised-kd"}, 0.60, 0.70)]
    figure = sweep_charts.sweep_chart(found({"sweep": {"varied": ["method"], "rows": rows}}))
    traces = {trace.name: trace for trace in figure.data if trace.name}
    distilled, baseline = traces["distilled"], traces["baseline"]
    ticks = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    assert [ticks[place] for place in distilled.y] == ["Knowledge<br>distillation", "Logit<br>standardisation"]
    assert list(distilled.x) == pytest.approx([61.0, 70.0]) and distilled.y[0] > distilled.y[1]  # the first on top
    assert distilled.mode == "markers" and list(distilled.error_x.array) == pytest.approx([2.0] * 2)
    assert list(baseline.x) == pytest.approx([60.0] * 2) and min(baseline.y) < min(distilled.y)
    assert distilled.hovertext[1] == "Logit standardisation: 70.0 %"
    own = [row({"student": f"mlp-{size}"}, 0.5 + size / 100, 0.6) for size in (8, 16)]
    distilled, baseline = sweep_charts.sweep_chart(found({"sweep": {"varied": ["student"], "rows": own}})).data
    assert (distilled.name, baseline.name, baseline.mode) == ("distilled", "baseline", "markers")
    assert not set(distilled.y) & set(baseline.y)  # beside each other


def test_two_seeds_are_dots_and_no_interval_that_fills_the_chart() -> None:
    rows = [row({"temperature": t}, 0.60, 0.61) for t in (1.0, 4.0)]
    for one in rows:
        for figures in (one["arms"]["baseline"], one["arms"]["distilled"]):
            figures["accuracy"] |= {"ci95": [0.0, 1.0], "per_seed": [0.59, 0.62]}
        one["paired_difference"]["per_seed"] = [0.0, 0.02]
    sweep = found({"sweep": {"varied": ["temperature"], "rows": rows}})
    figure = sweep_charts.sweep_chart(sweep)
    assert not any(trace.fill for trace in figure.data)
    ends = [end for trace in figure.data for end in trace.y]
    assert min(ends) == pytest.approx(59.0) and max(ends) == pytest.approx(62.0)
    (distilled,) = (trace for trace in figure.data if trace.name == "distilled")
    assert distilled.error_y.visible is False
    (dots,) = (trace for trace in figure.data if trace.marker.opacity == 0.4)
    assert list(dots.x) == [1.0, 1.0, 4.0, 4.0] and list(dots.y) == pytest.approx([59.0, 62.0] * 2)
    assert "each seed instead" in sweep_views.table_note(sweep)
    assert "each seed instead" not in sweep_views.table_note(found(BY_TEMPERATURE))
    few = {**BY_TEMPERATURE["sweep"]["rows"][0], "paired_difference": estimate(1.0, None)}
    note = sweep_views.table_note(found({"sweep": {**BY_TEMPERATURE["sweep"], "rows": [few]}}))
    assert note.startswith("Fewer than 10 test pictures give no interval")


def test_names_stand_side_by_side_and_numbers_where_they_belong() -> None:
    names = sweep_views.Sweep(("method",), tuple(sweep_views.SweepPoint({"method": one}, {}) for one in ("kd", "dkd")))
    assert sweep_views.axis_positions(names) == {"kd": 1.0, "dkd": 2.0} and not names.is_log
    data = sweep_charts.growing_data(names)
    assert data["tick_words"] == ["kd", "dkd"] and all(one["apart"] for one in data["series"])
    numbers = [1.0, 2.0, 16.0]
    some = sweep_views.Sweep(
        ("temperature",), tuple(sweep_views.SweepPoint({"temperature": one}, {}) for one in numbers)
    )
    assert list(sweep_views.axis_positions(some).values()) == pytest.approx(
        [1.0, 1.5, 3.0]
    )  # log 2 is a quarter of log 16
    drawn = sweep_charts.growing_data(some)
    assert not any(one["apart"] for one in drawn["series"])
    assert drawn["ticks"][0] == drawn["last"] - drawn["ticks"][-1] == 0.5  # as much room on both sides


SHAPES = """async ([code, css, data]) => {
  const host = document.createElement("div");
  document.body.append(host);
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${css}</style>`;
  const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  module.default({ parentElement: root, data });
  const found = (kind) => [...root.querySelectorAll(kind)];
  return { lines: found(".line").length, bands: found(".band").length, marks: found("path title").length,
           bars: found(".bar").map((bar) => bar.getBoundingClientRect().toJSON()) };
}"""


@pytest.mark.parametrize("values", [("mlp-8", "mlp-64"), (8.0, 64.0)])
def test_points_at_names_are_drawn_apart(values: tuple[Any, ...], browser: Any) -> None:
    """Points at names have error bars and no line; points at numbers, which have an order, a line with a band."""
    setting = "student" if isinstance(values[0], str) else "temperature"
    arms = {"distilled": estimate(0.7, 0.1), "baseline": estimate(0.6, 0.1)}
    sweep = sweep_views.Sweep((setting,), tuple(sweep_views.SweepPoint({setting: one}, arms) for one in values))
    folder = Path(sweep_charts.__file__).parents[1] / "components" / "curves"
    code, css = ((folder / f"curves.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    page = browser.new_page(viewport={"width": 900, "height": 600})
    drawn = page.evaluate(SHAPES, [code, css, sweep_charts.growing_data(sweep)])
    page.close()
    apart = setting == "student"
    assert (drawn["lines"], drawn["bands"], len(drawn["bars"])) == ((0, 0, 2) if apart else (2, 2, 0))
    assert drawn["marks"] == 4
    if apart:
        baseline, distilled = drawn["bars"]  # each spans both of its points: 20 of 60 percent points of the axis
        assert distilled["left"] > baseline["left"] + 10 and baseline["height"] == pytest.approx(distilled["height"])


def test_a_share_is_on_no_log_axis() -> None:
    values = [0.05, 0.5, 1.0]
    for name, log in (
        ("distill_weight", False),
        ("label_smoothing", False),
        ("smoothing", False),
        ("weight_decay", True),
    ):
        sweep = sweep_views.Sweep((name,), tuple(sweep_views.SweepPoint({name: one}, {}) for one in values))
        assert sweep.is_log is log
    shares = {one.name for method in METHODS.values() for one in method.parameters if one.meaning.startswith("share")}
    assert shares and all(map(sweep_views.is_share, shares))


def test_a_table_and_a_sentence_say_every_point() -> None:
    sweep = found(BY_TEMPERATURE)
    html = sweep_views.sweep_html(sweep, "<caption>").replace("\u00a0", " ")
    assert re.findall(r'scope="row">(.*?)<', html) == ["1", "4", "20"]
    assert re.findall(r"<td>(.*?)<", html) == ["61.0 %", "60.0 %", "+1.0", "70.0 %", "60.0 %", "+10.0", "68.0 %",
                                               "60.0 %", "+8.0"]  # fmt: skip
    assert "+7.0 to +13.0" in html and "<caption><" not in html
    words = sweep_views.sweep_caption(sweep, "On test:")
    assert "temperature 4: distilled 70.0 % (68.0 to 72.0 %), baseline 60.0 %" in words
    sentence = sentences.sweep_outcome_sentence(claim_counts(BY_TEMPERATURE))
    assert sentence == "Distilled is better in 2 of 3 settings; no difference can be claimed in 1 of 3 settings."
    assert sentences.sweep_outcome_sentence(claim_counts(BY_BOTH)) == "The baseline is better in 4 of 4 settings."
    assert sentences.short_outcome("finished", {**BY_BOTH, "verdict": {"claim": "distilled"}}) == (
        "The baseline is better in 4 of 4 settings"
    )
    assert sweep_views.finished_sweep({"arms": {}}) is None


def test_the_points_of_a_sweep_and_their_arms_are_the_engines() -> None:
    """The arms that the page derives from the varied values alone are those of the engine's points and groups."""
    for vary in (
        {"temperature": (1.0, 4.0), "labels": (100, 200)},
        {"method": ("dkd", "kd"), "learning_rate": (0.01, 0.03), "distill_weight": (0.5, 1.0)},
        {"student": ("mlp-8", "mlp-16"), "epochs": (2, 60), "teacher": ("digits",)},
    ):
        config = make_run_config("digits", vary=vary)
        wanted = {}
        for group in groups(points(config)):
            for point in group:
                wanted[point.values] = {"baseline": group[0].arm("baseline"), "distilled": point.arm("distilled")}
        as_json = json.loads(json.dumps(config.to_json()))
        found = arms_of(as_json["vary"], own_point(as_json))
        assert {tuple(values.items()): names for values, names in found} == wanted
        assert [tuple(values.items()) for values, _names in found] == [point.values for point in points(config)]
        (main,) = (point for point in points(config) if point.main)
        assert own_point(as_json) == dict(main.values)


def test_a_sweep_grows_from_its_events_and_shares_what_learns_together() -> None:
    config = make_run_config("digits", vary={"temperature": (1.0, 4.0), "labels": (100, 200)}, seeds=2)
    every = points(config)
    events: list[Event] = [RunStarted(config.to_json(), ("teacher", "baseline", "distilled"), 120, "cpu", "", 200, 2)]
    assert all(not one.arms for one in _growing(config, events).points)
    # The own point has temperature 4 and 200 labels; both points with 200 labels share its baseline.
    measured = {"baseline": [0.5, 0.6], "distilled": [0.7, 0.8], "distilled (temperature=1, labels=200)": [0.6, 0.6]}
    events += [
        EpochEnded(1, 120, 1.0, {arm: {"validation_accuracy": values} for arm, values in measured.items()}),
        EpochEnded(2, 120, 1.0, {arm: {"train_loss": [1.0, 1.0]} for arm in measured}),
    ]
    growing = _growing(config, events)
    means = {tuple(one.values.values()): {arm: x["mean"] for arm, x in one.arms.items()} for one in growing.points}
    assert means[4.0, 200] == pytest.approx({"distilled": 0.75, "baseline": 0.55})
    assert means[1.0, 200] == pytest.approx({"distilled": 0.6, "baseline": 0.55})
    assert means[1.0, 100] == {} and len(means) == len(every)
    of_missing_dataset = sweep_views.growing_sweep({**config.to_json(), "dataset": "gone", "teacher": "gone"}, events)
    assert of_missing_dataset == growing  # the sweep of a run is shown even when its dataset was removed
    data = sweep_charts.growing_data(growing, "words")
    json.dumps(data, allow_nan=False)
    assert [one["mean"] for one in data["series"] if one["arm"] == "distilled, labelled pictures 200"] == [
        pytest.approx([60.0, 75.0])
    ]
    assert list(vm.run_view(events).accuracy) == ["distilled", "baseline"]  # the view has only the own point's arms


def _growing(config: Any, events: list[Event]) -> sweep_views.Sweep:
    sweep = sweep_views.growing_sweep(config.to_json(), events)
    assert sweep is not None
    return sweep


def test_a_stage_is_told_as_one() -> None:
    started = RunStarted({}, ("teacher", "baseline", "distilled"), 10, "cpu", "fp32", 100, 3)
    events: list[Event] = [
        started,
        TeacherCached("t", 1, 0.1, True),
        TeacherEpochEnded("generation 1", 3, 10, 0.5, 1.0),
    ]
    view = vm.run_view(events)
    assert view.phase == "stage"
    assert "generation 1: epoch 3 of 10, about 7 s to go" in sentences.progress_sentence(view)
    assert vm.run_view([*events, EpochEnded(1, 10, 1.0, {})]).phase == "training"
    assert vm.run_view(events[:1]).phase == "preparing"


def test_a_stage_of_a_later_point_is_shown_while_it_trains(tmp_path: Path) -> None:
    """The events go through the store, which keeps only the latest event of each stage."""
    config = make_run_config("digits", method="born-again", vary={"temperature": (1.0, 4.0), "labels": (20, 40)})
    arms, shown, done = ("teacher", "baseline", "distilled"), [], 0
    with Store(home=tmp_path) as store:

        def view(event: Event) -> vm.RunView:
            with store.write() as connection:
                add_event(connection, "x", event)
            return vm.run_view([one.event for one in store.events("x")])

        view(RunStarted(config.to_json(), arms, 4, "cpu", "fp32", 20, 1))
        view(TeacherCached("digits", 1, 0.1, True))
        for group in groups(points(config)):
            for name in (name for point in group for name in event_names(point)):
                found = view(TeacherEpochEnded(name, 1, 2, None, 30.0))
                assert found.phase == "stage"
                shown.append(sentences.progress_sentence(found))
                view(TeacherEpochEnded(name, 2, 2, 0.5, 30.0))
            for _ in (1, 2):
                done += 1
                assert view(EpochEnded(done, 4, 1.0, {})).phase == ("training" if done < 4 else "measuring")
    assert len(shown) == 4 and len(set(shown)) == 4
    assert "generation 1 (temperature=1, labels=40): epoch 1 of 2, about 30 s to go" in shown[2]


def test_what_was_not_measured_of_a_teacher_is_not_said() -> None:
    def sentence(accuracy: float | None) -> str:
        event = event_from_json(json.loads(to_text(TeacherEpochEnded("t", 1, 3, accuracy, 5.0).to_json())))
        return sentences.progress_sentence(vm.run_view([event]))

    assert "right on 50.0 % of validation" in sentence(0.5).replace("\u00a0", " ")
    for nothing in (None, 0.0):  # older versions wrote 0 for "not measured"
        assert "%" not in sentence(nothing) and "epoch 1 of 3, about 10 s to go" in sentence(nothing)


def test_controls_stand_behind_the_arms_with_what_theory_says() -> None:
    arms = {arm: {"accuracy": estimate(0.7)} for arm in ("teacher", "baseline", "distilled")}
    arms |= {"noise": {"accuracy": estimate(0.3)}, "shuffled": {"accuracy": estimate(0.66)}}
    html = control_views.controls_html(arms, "Controls").replace("\u00a0", " ")
    assert html.index("shuffled within classes") < html.index("pictures of noise")  # the registry's order
    assert escape(CONTROLS["noise"].theory) in html and "30.0 %" in html
    assert "−40.0" in html and "−42.8 to −37.2" in html  # half width 2 · √2 points: unpaired, as in old results
    assert "independent" in control_views.controls_note(arms)
    arms["noise"] = {**arms["noise"], "minus_distilled": estimate(-0.4, 0.01)}
    arms["shuffled"] = {**arms["shuffled"], "minus_distilled": estimate(-0.04, None)}  # one seed
    html = control_views.controls_html(arms, "Controls").replace("\u00a0", " ")
    assert "−41.0 to −39.0" in html and "−4.0<small></small>" in html
    assert control_views.controls_note(arms) == "In points, seed by seed on the same test pictures."
    assert control_views.controls_html({arm: arms[arm] for arm in ("teacher", "baseline", "distilled")}, "") == ""
    assert list(control_views.non_control_arms(arms)) == ["teacher", "baseline", "distilled"]
    assert all(formats.arm_name(name) != name or name.islower() for name in CONTROLS)
    assert {look.arm_colour(name) for name in CONTROLS} == {look.MUTE} and not look.is_control("posterior")
    readouts = [formats.Readout(arm, formats.arm_name(arm), "70.0 %", "") for arm in ("distilled", "noise")]
    large, small = tables.readouts_html(readouts).split("kd-small")
    assert "distilled" in large and "pictures of noise" in small and tables.GLYPHS["x"] in small


def test_a_control_is_drawn_thin_and_first() -> None:
    curves = {
        arm: Curve((1, 2), (0.4, 0.5), (0.3, 0.4), (0.5, 0.9), ((0.4, 0.5),) * 3) for arm in ("distilled", "noise")
    }
    noise, distilled = curves_data.curves_data(curves, 2)["series"]
    assert noise["quiet"] and noise["low"] is None and not distilled["quiet"] and distilled["low"] is not None


def test_what_a_run_was_told_in_words_for_every_method() -> None:
    base = make_run_config("digits", seeds=3).to_json()
    sentence = settings_words.config_sentence(base).replace("\u00a0", " ")
    assert sentence == "digits, 200 labelled pictures, mlp-16, T = 4, weight 0.9, 3 seeds"
    old = {name: value for name, value in base.items() if name not in ("parameters", "controls", "vary", "method")}
    assert settings_words.config_sentence(old).replace("\u00a0", " ") == sentence  # old configurations have no method
    for name, method in METHODS.items():
        teacher = "digits+mnist" if name == "multi-teacher" else None
        config = make_run_config("digits", student="convnet-4", method=name, teacher=teacher).to_json()
        facts = dict(settings_words.config_facts(config))
        assert facts["Method"] == method.title
        assert ("Temperature" in facts) == (name != "label-smoothing")
        assert settings_words.config_sentence(config).count("T\u00a0=") == (name != "label-smoothing")
        alone = name in ("label-smoothing", "mutual", "born-again")
        wanted = "chooses the class of digits, which taught none of them" if alone else "chooses the teacher's class"
        assert settings_words.agreement_note(config) == wanted
        result = {"config": config, "paired_difference": estimate(0.1)}
        assert ("hold for this one teacher" in sentences.interval_note(result)) == (not alone)
    smooth = make_run_config("digits", method="label-smoothing").to_json()
    assert "10.0 % of it spread over all classes" in settings_words.label_note(smooth)
    assert settings_words.weight_note(smooth) == "" and "other's soft labels" in settings_words.weight_note(
        make_run_config("digits", method="mutual").to_json()
    )
    methods = make_run_config("digits", vary={"method": ("kd", "dkd")}).to_json()
    assert "T\u00a0=" not in settings_words.config_sentence(methods)  # each method has its own temperature
    assert settings_words.own_point_text(methods) == "method “Knowledge distillation”"
    assert "method\u00a0(2 values)" in settings_words.config_sentence(methods)
    assert dict(settings_words.config_facts(methods))["Method"] == "Knowledge distillation, Decoupled distillation"
    many = make_run_config("digits", vary={"temperature": (1.0, 4.0)}, controls=("noise",)).to_json()
    said = settings_words.config_sentence(many).replace("\u00a0", " ")
    assert "temperature (1, 4)" in said and "1 control" in said and "T =" not in said
    assert "Temperature: 1, 4" in settings_words.extra_arms_sentence(
        many
    ) and "pictures of noise" in settings_words.extra_arms_sentence(many)


@pytest.mark.parametrize("name", list(METHODS))
def test_the_first_sentence_is_true_of_every_method(name: str) -> None:
    said = settings_words.pair_sentence({"method": name})
    assert said.startswith("The same small student learns twice: from hard labels, and ") and len(said) < 130
    assert ("teacher's soft labels" in said) == (METHODS[name].uses in ("teacher", "features"))
    assert ("without a teacher" in said) == (name == "label-smoothing")
    assert (
        settings_words.pair_sentence({})
        == settings_words.pair_sentence({"method": "kd"})
        == settings_words.pair_sentence({"method": "gone"})
    )
    assert "one method after the other" in settings_words.pair_sentence(
        {"method": name, "vary": {"method": ["kd", "dkd"]}}
    )


def test_every_parameter_of_a_method_travels_with_a_link() -> None:
    names = {one.name for method in METHODS.values() for one in method.parameters}
    assert all(map(state.is_parameter, names)) and not state.is_parameter("nonsense")
