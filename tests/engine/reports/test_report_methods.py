"""Reports of runs with other methods, controls and sweeps: every figure has its place, and every sentence is true."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kdcore.cli import text
from kdcore.cli.parser import build_parser
from kdcore.cli.training import _given_settings
from kdcore.events import EpochEnded, RunStarted
from kdcore.methods.registry import METHODS
from kdcore.reports.curves import validation_curves
from kdcore.reports.words import measurement_paragraphs, taught_by
from kdcore.settings.config import make_run_config
from kdcore.settings.controls import CONTROLS
from kdcore.settings.describe import differing_settings, flat_settings, run_command
from kdcore.settings.sweeps import parse_vary
from tests.engine.reports.test_export import RESULT, ROW, arm, estimate, page_of, told

CONTROLLED = make_run_config(
    "digits", method="dkd", parameters={"non_target_weight": 4}, controls=("noise", "shuffled"), seeds=2
).to_json()
SWEEP = make_run_config("digits", vary={"temperature": (1.0, 4.0), "labels": (50, 200)}, seeds=2).to_json()
BY_METHOD = [
    make_run_config("digits", vary={"method": ("standardised-kd", "dkd", "kd")}, seeds=2, **more).to_json()
    for more in ({}, {"temperature": 8.0}, {"method": "dkd"})
]


def test_controls_have_a_table_and_no_column() -> None:
    arms = {**RESULT["arms"], "shuffled": arm(0.70, 0.66, 0.74), "noise": arm(0.20, 0.15, 0.25)}
    page = page_of(replace(ROW, config=CONTROLLED, result={**RESULT, "arms": arms}))
    assert CONTROLS["noise"].theory in page.text and "pictures of noise" in page.text
    assert "What carries the gain" in page.text
    none = {**RESULT, "arms": arms, "verdict": {"claim": "none", "sentence": "No claim."}}
    assert "What carries the gain" not in page_of(replace(ROW, config=CONTROLLED, result=none)).text
    # noise 20 (15 to 25) minus distilled 72.3 (69.4 to 75.2): the ends are 5 and 2.9 away, √33.4 together
    assert "-52.3 points, 95 % interval -58.1 to -46.5" in page.text
    assert "as if the two were independent" in page.text  # an old result, whose controls were not paired
    (chart,) = (value for name, value in page.attributes if name == "aria-label" and "test pictures" in value)
    assert "shuffled within classes 70.0 % (66.0 to 74.0 %)" in chart
    assert "Decoupled distillation" in page.text and "non target weight 4" in page.text


def test_controls_that_were_paired_with_distilled_are_shown_so() -> None:
    paired = {"mean": -0.023, "ci95": [-0.031, -0.015], "per_seed": [-0.02, -0.026]}
    arms = {**RESULT["arms"], "shuffled": {**arm(0.70, 0.66, 0.74), "minus_distilled": paired}}
    arms |= {"noise": {**arm(0.20, 0.15, 0.25), "minus_distilled": {**paired, "ci95": None}}}  # one seed
    result = {**RESULT, "config": CONTROLLED, "arms": arms}
    page = page_of(replace(ROW, config=CONTROLLED, result=result))
    assert "-2.3 points, 95 % interval -3.1 to -1.5" in page.text and "seed by seed, on the same" in page.text
    assert page.text.count("-2.3 points") == 2 and "independent" not in page.text
    printed = text.result(result)
    assert "-2.3 [-3.1, -1.5]" in printed and printed.count("-2.3") == 2
    before = {
        name: {key: value for key, value in row.items() if key != "minus_distilled"} for name, row in arms.items()
    }
    assert "-52.3 [-58.1, -46.5]" in text.result({**result, "arms": before})
    assert "minus distilled" not in text.result(RESULT)


def test_the_points_of_a_sweep_have_a_table() -> None:
    rows = [
        {
            "values": {"temperature": temperature, "labels": labels},
            "arms": {name: {"accuracy": estimate(mean, mean - 0.1, mean + 0.1)} for name, mean in arms.items()},
            "paired_difference": estimate(0.0625, 0.01, 0.115),
            "claim": "distilled",
        }
        for temperature, labels, arms in ((1.0, 50, {"baseline": 0.55, "distilled": 0.6125}),)
    ]
    rows.append({**rows[0], "claim": "none"})
    result = {**RESULT, "sweep": {"varied": ["temperature", "labels"], "rows": rows}}
    page = page_of(replace(ROW, config=SWEEP, result=result))
    head, detail = page.text.split("In detail, at temperature 4, labels 200: on 360 test pictures")
    assert "Distilled is better in 1 of 2 settings; no difference can be claimed in 1 of 2 settings." in head
    assert "8.1" not in head and "+8.1 points" in detail  # the own point's difference is no headline
    assert ("class", "verdict none") in page.attributes
    assert ("class", "verdict distilled") in page_of(
        replace(ROW, config=SWEEP, result={**result, "sweep": {**result["sweep"], "rows": rows[:1]}})
    ).attributes
    assert "temperature labels baseline distilled distilled minus baseline 1 50 55.0 % 45.0 to 65.0 %" in page.text
    assert "+6.2 points" in page.text and "temperature, varied 1, 4" in page.text
    assert "belong to one of its points: temperature 4, labels 200." in page.text


@pytest.mark.parametrize("name", list(METHODS))
def test_what_is_said_of_a_method_is_so(name: str) -> None:
    teacher = "digits+mnist" if name == "multi-teacher" else "digits"
    config = make_run_config("digits", student="convnet-4", method=name, teacher=teacher, seeds=2).to_json()
    page = page_of(replace(ROW, config=config))
    paragraphs = " ".join(measurement_paragraphs(replace(ROW, config=config)))
    assert (METHODS[name].sentence in paragraphs) == (name != "kd")
    assert ("at temperature" in paragraphs) == (name != "label-smoothing")
    # Who teaches, and with whom agreement is measured, in the report and in the terminal.
    taught = {
        "label-smoothing": "without a teacher",
        "mutual": "and its peer",
        "born-again": "taught by itself, trained before",
        "teacher-assistant": "taught by digits through an assistant",
    }.get(name, f"taught by {teacher}")
    printed = text.result({**RESULT, "config": config})
    assert page.words[0].endswith(f"convnet-4 {taught}") and f"convnet-4 {taught}, {name}," in printed
    alone = name in ("label-smoothing", "mutual", "born-again")
    assert ("Agreement with digits, which taught none of them" in page.text) == alone
    assert ("Agreement with the teacher" in page.text) == (not alone)
    assert ("agreement is with digits, which taught none of them" in printed) == alone
    assert ("hold for this one teacher" in paragraphs) == (not alone)
    assert alone == ("teacher" not in METHODS[name].settings)
    assert ("distill weight" in page.text.lower()) == (name != "label-smoothing")


def test_several_assistants_are_several() -> None:
    parameters = {"assistants": "convnet-8, convnet-6"}
    config = make_run_config("creatures", method="teacher-assistant", parameters=parameters).to_json()
    assert taught_by(config) == "taught by creatures through assistants"


@pytest.mark.parametrize("config", [CONTROLLED, SWEEP, *BY_METHOD])
def test_the_command_repeats_method_controls_and_sweep(config: dict[str, Any]) -> None:
    words = run_command(config)
    assert "kdcore sweep" in words if config["vary"] else "kdcore run" in words
    options = build_parser().parse_args(words.replace("'", "").split()[1:])
    vary = parse_vary(options.vary) if config["vary"] else None
    again = make_run_config(options.dataset, vary=vary, **_given_settings(options)).to_json()
    assert {**again, "recipe": None} == {**config, "recipe": None}


def test_settings_are_read_flat_and_those_of_before_are_no_difference() -> None:
    assert flat_settings(CONTROLLED)["non_target_weight"] == 4 and "parameters" not in flat_settings(CONTROLLED)
    assert flat_settings(SWEEP)["temperature"] == [1.0, 4.0]
    plain = make_run_config("digits", seeds=2).to_json()
    before = {name: value for name, value in plain.items() if name not in ("parameters", "controls", "vary")}
    assert differing_settings([plain, before]) == ()
    assert [one.name for one in differing_settings([plain, SWEEP])] == ["labels", "temperature"]


def test_other_points_of_a_sweep_are_no_arms() -> None:
    started = RunStarted({}, ("teacher", "baseline", "distilled"), 2, "cpu", "fp32", 50, 2)
    curves_of_epoch = {
        arm: {"validation_accuracy": [0.5, 0.7]} for arm in ("baseline", "distilled", "distilled (temperature=8)")
    }
    curves = validation_curves([started, EpochEnded(1, 2, 0.1, curves_of_epoch)])
    assert list(curves) == ["baseline", "distilled"] and curves["distilled"].mean == pytest.approx((0.6,))
    assert "temperature=8" not in page_of(ROW, told(started, EpochEnded(1, 2, 0.1, curves_of_epoch))).text
