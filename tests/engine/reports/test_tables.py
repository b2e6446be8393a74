"""Reports of runs with controls and sweeps: every figure has its place."""

from __future__ import annotations

from dataclasses import replace

from kdcore.cli import text
from kdcore.settings.controls import CONTROLS
from tests.engine.reports.finished_run import CONTROLLED, RESULT, ROW, SWEEP, arm, estimate, page_of


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
