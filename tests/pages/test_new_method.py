"""A new method is one entry in the registry: everything else finds it there by itself."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from torch import Tensor

from kdcore import jobs, train
from kdcore.cli import main
from kdcore.events import EpochEnded, RunFinished
from kdcore.jobs import worker
from kdcore.methods.entry_losses import kd, relations
from kdcore.methods.method import FeatureComparison, Method, Parameter
from kdcore.methods.registry import METHODS
from kdcore.reports.export import export_text
from kdcore.settings.config import make_run_config
from kdcore.settings.sweeps import parse_vary, points
from kdcore.store import Store
from tests.pages.conftest import VISITOR, OpenPage, html_of, in_address

if TYPE_CHECKING:
    from kdcore.methods.method import Settings

TINY = {"labels": 40, "epochs": 2, "seeds": 2, "student": "mlp-8", "device": "cpu"}


def halved(student_logits: Tensor, teacher_logits: Tensor, hard_labels: Tensor, settings: Settings) -> Tensor:
    return settings["shrink"] * kd(student_logits, teacher_logits, hard_labels, settings)


HALVED = Method(
    name="halved-kd",
    title="Halved distillation",
    sentence="The distill loss counts for a part of what it would otherwise count for.",
    paper="Nobody 2026, Half of It, section 1",
    distill=halved,
    parameters=(Parameter("shrink", 0.5, "factor of the distill loss", 0.0, 1.0),),
    distill_weight=0.75,
)
PLACED = Method(
    name="placed-kd",
    title="Distillation in the last layer",
    sentence="Besides the soft labels, the student learns how far pictures are from each other.",
    paper="Nobody 2026, How Far, section 1",
    distill=kd,
    parameters=(
        Parameter("distance_weight", 3.0, "weight of the distances"),
        Parameter("angle_weight", 0.0, "weight of the angles"),
        Parameter("student_layer", "", "path of the student's layer"),
        Parameter("teacher_layer", "", "path of the teacher's layer"),
    ),
    features=FeatureComparison(layer="embedding", loss=relations),
    learns_from="from the soft labels and the last layer of a teacher",
)


@pytest.fixture
def new_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in (HALVED, PLACED):
        monkeypatch.setitem(METHODS, method.name, method)


@pytest.mark.usefixtures("new_methods")
def test_a_new_method_trains_and_a_sweep_takes_it(empty_store: Store) -> None:
    accepted = parse_vary(["method=kd,halved-kd,placed-kd", "shrink=0.5,1"])
    assert accepted == {"method": ("kd", "halved-kd", "placed-kd"), "shrink": (0.5, 1.0)}
    config = make_run_config("digits", vary={"method": accepted["method"]}, **TINY)
    assert [point.config.distill_weight for point in points(config)][1] == 0.75
    events = list(train(config))
    curves = [event.curves for event in events if isinstance(event, EpochEnded)][-1]
    losses = [curves[f"distilled{at}"]["train_loss"] for at in ("", " (method=halved-kd)", " (method=placed-kd)")]
    assert all(math.isfinite(loss) for seeds in losses for loss in seeds)
    assert len({tuple(seeds) for seeds in losses}) == 3  # each is trained by a loss of its own
    finished = next(event for event in events if isinstance(event, RunFinished))
    rows = finished.result["sweep"]["rows"]
    assert [row["values"]["method"] for row in rows] == ["kd", "halved-kd", "placed-kd"]


@pytest.mark.usefixtures("new_methods")
def test_the_command_line_lists_a_new_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    table = capsys.readouterr().out
    assert "halved-kd" in table and HALVED.sentence in table and "shrink=0.5" in table
    assert main(["methods", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["methods"]}
    assert rows["halved-kd"] == HALVED.to_json()
    assert rows["halved-kd"]["uses"] == "teacher" and rows["placed-kd"]["uses"] == "features"


@pytest.mark.usefixtures("new_methods")
def test_the_form_offers_a_new_method_with_its_parameter(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits")
    app.selectbox(key="method_pick").select("halved-kd").run()
    assert not app.exception and not app.error
    assert HALVED.title in app.selectbox(key="method_pick").options
    assert app.number_input(key="shrink").value == 0.5 and app.number_input(key="shrink").max == 1.0
    assert app.slider(key="distill_weight").value == 0.75 and in_address(app, "method") == "halved-kd"
    assert any(HALVED.sentence in caption.value for caption in app.caption)
    assert app.multiselect(key="controls_pick").value == []  # it learns from soft labels alone
    app.selectbox(key="vary_pick").select("method").run()
    assert not app.exception and not app.error
    assert app.text_input(key="vary_values").value == "kd, standardised-kd, dkd, dist, halved-kd, label-smoothing"
    app.selectbox(key="vary_pick").select("nothing").run()
    app.selectbox(key="method_pick").select("placed-kd").run()
    assert not app.exception and not app.error and PLACED.learns_from in html_of(app)
    assert not app.multiselect  # no controls for a method that needs more than soft labels


@pytest.mark.usefixtures("new_methods")
def test_links_carry_the_parameter_of_a_new_method(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("distil", dataset="digits", method="halved-kd", shrink="0.25", unknown="1")
    assert not app.exception and not app.error and app.number_input(key="shrink").value == 0.25
    links = [link.proto.query_string for link in app.get("page_link")]
    assert links and all("shrink=0.25" in link and "unknown" not in link for link in links)


@pytest.mark.usefixtures("new_methods")
def test_a_report_of_a_stored_run_names_a_new_method(empty_store: Store, open_page: OpenPage) -> None:
    config = make_run_config("digits", method="halved-kd", parameters={"shrink": 0.25}, **TINY)
    run_id = jobs.submit(empty_store, config, VISITOR)
    assert worker.main([run_id]) == 0
    report = export_text(empty_store.run(run_id), empty_store.events(run_id), "html")
    assert HALVED.title in report and HALVED.sentence in report and "shrink" in report
    app = open_page("distil", run=run_id)
    assert not app.exception and not app.error and HALVED.title in html_of(app)
