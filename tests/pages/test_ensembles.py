"""Ensembles, and pictures of none of the classes, run by Streamlit's own test harness with real teachers."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from kdcore import jobs
from kdcore.jobs import worker
from kdcore.metrics.soft_labels import soften
from kdcore.networks.registry import build_model
from kdcore.settings.config import make_run_config
from kdcore.store import Store
from kdcore.teachers.ensembles import member_logits
from kdcore.teachers.load import load_teacher
from kdcore.teachers.teacher import load_single, save_model
from pages.ui.kit import formats
from pages.ui.pictures import pickers
from tests.pages.conftest import OpenPage, html_of, in_address

BUNDLED = Path(__file__).parents[2] / "assets" / "models"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    st.cache_resource.clear()


def add_teacher(home: Path, name: str, like: str, **changes: object) -> None:
    """Copy a bundled teacher to another name, as if it had been trained on this machine.

    Args:
        like: the bundled teacher.
        changes: what its card says differently.
    """
    folder = home / "models"
    folder.mkdir(exist_ok=True)
    shutil.copy(BUNDLED / f"{like}.safetensors", folder / f"{name}.safetensors")
    card = {**json.loads((BUNDLED / f"{like}.json").read_text(encoding="utf-8")), "name": name, **changes}
    (folder / f"{name}.json").write_text(json.dumps(card), encoding="utf-8")


def fine(app: AppTest) -> None:
    assert not app.exception
    assert not app.error


def rows_of(app: AppTest) -> dict[str, list[str]]:
    """The texts of the cells in the table of members, by the member's name."""
    (table,) = re.findall(r'<table class="kd-members".*?</table>', html_of(app), re.S)
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table, re.S)
    return {name: re.findall(r">([^<>]+)<", cells) for name, cells in rows}


def test_two_teachers_with_the_same_labels_can_be_averaged_and_the_members_are_shown(open_page: OpenPage) -> None:
    app = open_page("soft_labels", source="digit")
    assert app.selectbox(key="teacher_pick").value == "digits"
    assert not re.search("kd-members", html_of(app))
    app.multiselect(key="ensemble_digits").set_value(["mnist"]).run()
    fine(app)
    assert in_address(app, "teacher") == "digits+mnist"
    rows = rows_of(app)
    assert list(rows) == ["digits", "mnist", "average"]

    ensemble = load_teacher("digits+mnist")
    picture = Image.open(io.BytesIO(app.session_state["_pictures"]["digit"].png))
    seen = ensemble.prepare(picture)
    z = member_logits(ensemble, seen)[0].double().numpy()
    probs = np.exp(z - z.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)
    for name, p in zip(rows, [*probs, probs.mean(0)], strict=True):
        shown = float(rows[name][-1])
        assert shown == pytest.approx(-(p * np.log(p)).sum(), abs=0.011)
        assert f"{100 * p.max():.1f} %" in rows[name] or p.max() >= 0.9995


def test_the_address_brings_an_ensemble_back_whatever_the_order_and_the_plus(open_page: OpenPage) -> None:
    for name in ("mnist+digits@logits", "digits mnist@logits"):
        app = open_page("soft_labels", source="digit", teacher=name)
        fine(app)
        assert app.selectbox(key="teacher_pick").value == "digits"
        assert app.multiselect(key="ensemble_digits").value == ["mnist"]
        assert app.selectbox(key="ensemble_rule_digits").value == "logits"
    app.selectbox(key="ensemble_rule_digits").set_value("4").run()
    assert in_address(app, "teacher") == "digits+mnist@4"
    app.multiselect(key="ensemble_digits").set_value([]).run()
    fine(app)
    assert in_address(app, "teacher") in (None, "digits")


@pytest.mark.parametrize("name", ["digits+nobody", "digits+creatures", "digits+mnist@x"])
def test_an_address_that_names_no_ensemble_is_ignored(name: str, open_page: OpenPage) -> None:
    app = open_page("soft_labels", source="digit", teacher=name)
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "digits"
    assert app.multiselect(key="ensemble_digits").value == []


def test_a_teacher_without_an_equal_stands_alone(open_page: OpenPage) -> None:
    app = open_page("soft_labels", source="upload", teacher="animals")
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "animals" and not app.multiselect


def test_the_form_offers_ensembles_and_a_run_of_one_can_be_compared(
    tmp_path: Path, empty_store: Store, open_page: OpenPage
) -> None:
    add_teacher(tmp_path, "twin", "digits")
    app = open_page("distil", dataset="digits", distil_teacher="digits+twin@logits")
    fine(app)
    assert app.selectbox(key="distil_teacher").options == ["digits", "twin", "digits+twin", "digits+twin@logits"]
    settings = {"labels": 40, "epochs": 1, "seeds": 2, "student": "mlp-4", "device": "cpu"}
    config = make_run_config("digits", teacher="digits+twin", **settings)
    run_id = jobs.submit(empty_store, config, "a" * 32)
    assert worker.main([run_id]) == 0
    app = open_page("compare", run=run_id)
    fine(app)
    assert formats.format_count(2 * load_single("digits").card.num_params) in html_of(app)


def test_a_picture_of_no_class_is_said_to_be_none(tmp_path: Path, open_page: OpenPage) -> None:
    none_of_these = {"false_alarms": {"mean": 0.048, "ci95": [0.04, 0.056]}, "found": {"vehicles": 0.5}}
    figures = {**load_single("digits").card.figures, "none_of_these": none_of_these}
    for name, none_below in (("unsure", 1e6), ("sure", -1e6)):
        add_teacher(tmp_path, name, "digits", none_below=none_below, figures=figures)
        app = open_page("soft_labels", source="digit", teacher=name)
        fine(app)
        warnings = [info.value.replace("\u00a0", " ") for info in app.info]
        if name == "sure":
            assert warnings == []
        else:
            (warning,) = warnings
            assert "none of the 10 classes that unsure knows" in warning
            assert "4.8 %" in warning


def test_whose_figure_a_teachers_accuracy_is_stands_beside_it() -> None:
    card = load_single("digits").card
    assert "right on 99.7 % of the test pictures" in pickers.teacher_description(card)
    published = replace(card, accuracy=0.7613, figures={"published_accuracy": {"mean": 0.7613}})
    assert "right on 76.1 % as published, and not measured here" in pickers.teacher_description(published)
    assert "not measured on test pictures here" in pickers.teacher_description(replace(card, accuracy=None, figures={}))


def test_a_thousand_classes_are_answered_and_averaged(tmp_path: Path, open_page: OpenPage) -> None:
    """The teachers are like those of ImageNet: long class names, superclasses, and pictures of another size."""
    names = tuple(f"American Staffordshire terrier, number {index}" for index in range(1000))
    superclasses = tuple(f"kind {index % 30}" for index in range(1000))
    for seed, name in enumerate(("many", "more")):
        card = {**vars(load_single("creatures").card), "name": name, "model": "convnet-4", "dataset": "imagenet"}
        card |= {
            "class_names": names,
            "superclasses": superclasses,
            "image_shape": (3, 64, 64),
            "resize": 72,
            "accuracy": None,
        }
        for computed in ("sha256", "size_bytes"):
            del card[computed]
        save_model(tmp_path / "models", build_model("convnet-4", (3, 64, 64), 1000, seed=seed), card)
    app = open_page("soft_labels", source="digit", teacher="many+more")
    fine(app)
    assert list(rows_of(app)) == ["many", "more", "average"]
    assert any("not measured" in caption.value for caption in app.caption)
    (found,) = [part.proto for part in app.get("bidi_component") if part.proto.component_name == "kd_instrument"]
    data = json.loads(found.json)
    assert (len(data["class_names"]), data["top"]) == (1000, 10)
    logits = torch.tensor(data["logits"])
    assert float(soften(logits).sum()) == pytest.approx(1.0)
    assert len(json.dumps({key: value for key, value in data.items() if key not in ("picture", "sees")})) < 100_000
