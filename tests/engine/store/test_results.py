"""Every reader of a list of runs finds in an outcome what it finds in the whole result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcore.reports.export import summary
from kdcore.reports.selection import accuracy, gain, run_seconds
from kdcore.store import RunRow
from kdcore.store.results import outcome_of
from tests.engine.reports.finished_run import RESULT, ROW

SWEEP = {"varied": ["temperature"], "rows": [{"values": {"temperature": n}, "claim": "none", "x": 1} for n in (1, 4)]}


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        replace(ROW, config={**ROW.config, "vary": {"temperature": [1.0, 4.0]}}, result={**RESULT, "sweep": SWEEP}),
        replace(ROW, result={**RESULT, "arms": {"baseline": {"num_params": 3}}, "paired_difference": None}),
        replace(ROW, result={"run_id": 1}),
    ],
    ids=["run", "sweep", "without figures", "of another form"],
)
def test_a_list_reads_the_same_in_outcomes(row: RunRow) -> None:
    assert row.result is not None
    short = replace(row, result=outcome_of(row.result))
    for read in (summary, gain, accuracy, run_seconds):
        assert read(short) == read(row)
    left_out = str(short.result)
    assert "confusion" not in left_out and "latency_ms" not in left_out and "class_names" not in left_out
