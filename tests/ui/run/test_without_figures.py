"""What the pages say of a run of which students diverged."""

from __future__ import annotations

from typing import Any

from kdcore.events import EpochEnded, RunStarted
from kdcore.store.results import outcome_of
from pages.ui.compare.trio import has_all_networks
from pages.ui.run import charts, sentences, sweep_charts, sweep_views
from pages.ui.run import view as vm

FINE = {"mean": 0.6, "ci95": [0.5, 0.7], "per_seed": [0.55, 0.65]}
LOST = {"mean": None, "ci95": None, "per_seed": [0.5, None]}


def result(sweep: bool = False) -> dict[str, Any]:
    rows = [
        {
            "values": {"temperature": value},
            "arms": {"baseline": {"accuracy": LOST}, "distilled": {"accuracy": distilled}},
            "paired_difference": LOST,
            "claim": "none",
        }
        for value, distilled in ((1.0, FINE), (4.0, LOST))
    ]
    return {
        "arms": {"teacher": {"accuracy": FINE}, "baseline": {"accuracy": LOST}, "distilled": {"accuracy": FINE}},
        "paired_difference": LOST,
        "verdict": {"claim": "none", "sentence": ""},
        "diverged": [{"arm": "baseline", "seed": 1, "epoch": 4}],
        **({"sweep": {"varied": ["temperature"], "rows": rows}} if sweep else {}),
    }


def test_sentences_claim_nothing_and_name_the_student() -> None:
    assert sentences.outcome_sentence(result()) == "No difference can be claimed, because students diverged."
    assert "diverged" in sentences.short_outcome("finished", result())
    assert "diverged" in sentences.short_outcome("finished", outcome_of(result()))
    assert "baseline with seed 1 in epoch 4" in sentences.diverged_sentence(result())
    assert sentences.diverged_sentence({}) == ""
    assert "None" not in sentences.dots_caption(result())


def test_numbers_above_the_chart_have_a_dash() -> None:
    readouts = {one.arm: (one.value, one.detail) for one in vm.result_readouts(result())}
    assert readouts["baseline"] == ("–", "diverged in epoch 4")
    assert readouts["distilled"] == ("60.0 %", "50.0 to 70.0 %")


def test_charts_leave_the_arm_out() -> None:
    names = {name for trace in charts.accuracy_dots(result()).data for name in trace.y}
    assert names == {"teacher", "distilled"}
    sweep = sweep_views.finished_sweep(result(sweep=True))
    assert sweep is not None
    drawn = [value for trace in sweep_charts.sweep_chart(sweep).data for value in trace.y or ()]
    assert None not in drawn and 60.0 in drawn
    assert "None" not in sweep_views.sweep_html(sweep, "") and "None" not in sweep_views.sweep_caption(sweep, "")


def test_a_growing_run_says_which_arm_diverged() -> None:
    started = RunStarted({}, ("teacher", "baseline", "distilled"), 3, "cpu", "fp32", 40, 2)
    curves = {"baseline": {"train_loss": [0.4, None]}, "distilled": {"train_loss": [0.4, 0.5]}}
    view = vm.run_view([started, EpochEnded(1, 3, 1.0, {}), EpochEnded(2, 3, 1.0, curves)])
    assert view.diverged == {"baseline": 2}
    readouts = {one.arm: one.detail for one in vm.live_readouts(view)}
    assert readouts == {"baseline": "diverged in epoch 2", "distilled": ""}


def test_only_a_run_with_all_networks_is_compared() -> None:
    assert not has_all_networks(result())
    whole = result()
    whole["arms"]["baseline"] = {"accuracy": FINE}
    assert has_all_networks(whole)
