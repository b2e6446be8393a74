"""The Model cards page in Streamlit's test harness: every card, and cards that lack most of their contents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from kdcore.teachers.card import ModelCard
from tests.pages.conftest import OpenPage, chart_of, html_of, in_address

BUNDLED = Path(__file__).parents[2] / "assets" / "models"
CARDS = {path.stem: ModelCard.read(path) for path in sorted(BUNDLED.glob("*.json"))}


@pytest.fixture(autouse=True)
def fresh(own_home: Path) -> Iterator[None]:
    """Clear the app's caches before and after each test. The creatures, which are slow to draw, are drawn only once."""
    forget()
    yield
    forget()


@pytest.fixture
def models(own_home: Path) -> Iterator[Path]:
    """The folder of networks that were trained or fetched on this machine; it is removed after the test."""
    folder = own_home / "models"
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def forget() -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def put(folder: Path, name: str, base: str = "digits", **changes: Any) -> None:
    """Write a card of this machine, with its weights."""
    values = {**CARDS[base].to_json(), "name": name, **changes}
    (folder / f"{name}.json").write_text(json.dumps(values))
    shutil.copy(BUNDLED / f"{base}.safetensors", folder / f"{name}.safetensors")


def fine(app: AppTest) -> None:
    assert not app.exception
    assert not app.error


def words_of(app: AppTest) -> str:
    return "\n".join([html_of(app), *(one.value for kind in (app.caption, app.subheader) for one in kind)])


def test_every_card_is_in_the_list_and_opens(open_page: OpenPage) -> None:
    app = open_page("models")
    fine(app)
    picker = app.radio(key="model_pick")
    assert {option.strip("*") for option in picker.options} >= set(CARDS)
    for name, card in CARDS.items():
        app.radio(key="model_pick").set_value(name).run()
        fine(app)
        said = words_of(app)
        assert app.subheader[0].value == name
        assert f"<b>{100 * (card.accuracy or 0):.1f} %</b>" in said
        for fact in (card.sha256, card.model, card.date, f"<dd>{card.dataset}</dd>"):
            assert fact in said
        assert [code.value for code in app.code] == [card.command]
        assert in_address(app, "model") == (None if name == "creatures" else name)
        shown = card.dataset in ("creatures", "digits")
        assert ("data:image" in said) is shown, "only embedded pictures may be shown"
        assert ("belong to others" in said) is (not shown and bool(card.notes))


def test_the_card_of_the_creatures_shows_its_mistakes_and_its_calibration(open_page: OpenPage) -> None:
    app = open_page("models", model="creatures")
    fine(app)
    html = html_of(app)
    assert html.count('<figure class="kd-card">') == 8
    assert html.count("By its traits:") == 8
    card = CARDS["creatures"]
    wrong = round((1 - (card.accuracy or 0)) * card.figures["test_size"])
    assert any(f"{n:,} of 5,000 test pictures are answered wrongly" in html for n in range(wrong - 9, wrong + 10))
    figure = chart_of(app, "kd-card-reliability")
    assert len(figure["data"]) == 2  # the diagonal, and this network
    assert sum(figure["data"][1]["customdata"]) == 5000
    for name, row in card.figures["by_superclass"].items():
        assert f">{name}<small>n = {row['n']:,}</small>" in html


def test_a_student_is_compared_with_its_baseline(open_page: OpenPage) -> None:
    app = open_page("models", model="creatures-distilled")
    fine(app)
    html = html_of(app)
    seeds = [CARDS[f"creatures-{arm}"].figures["accuracy"]["per_seed"] for arm in ("distilled", "baseline")]
    gain = sum(a - b for a, b in zip(*seeds, strict=True)) / len(seeds[0])
    assert f"<b>{100 * gain:+.1f}</b><span>points above its baseline</span>" in html
    assert "from the soft labels of the teacher creatures" in html
    assert "Means over 5 seeds" in html


def test_a_bare_card_a_published_one_and_a_damaged_one(open_page: OpenPage, models: Path) -> None:
    put(models, "bare", figures={}, accuracy=None, recipe={}, seeds=[], notes="", command="")
    put(
        models, "published", "animals", dataset="imagenet", figures={"published_accuracy": {"mean": 0.7613}},
        accuracy=0.7613, calibration=1.0, recipe={"weights": "V1", "epochs": 90}, seeds=[],
        command="kdcore teachers get published", notes="Trained elsewhere.",
    )  # fmt: skip
    put(models, "odd", figures=dict.fromkeys(CARDS["animals"].figures, "x"), recipe={"views": 3, "epochs": []})
    (models / "half.json").write_text('{"name": "half"')
    (models / "numbers.json").write_text("[1, 2]")
    for name in ("bare", "published", "odd"):
        app = open_page("models", model=name)
        fine(app)
        assert app.subheader[0].value == name
        assert [one.value.split()[0] for one in app.warning] == ["half.json", "numbers.json"]
        said = words_of(app)
        assert "None" not in said and "nan" not in said
        if name == "bare":
            assert "was not measured on this machine" in said and not app.code
        if name == "published":
            assert "<b>76.1 %</b><span>accuracy, as published</span>" in said and "Trained elsewhere." in said


def test_a_card_whose_weights_or_pictures_are_not_here_says_so_and_stays(open_page: OpenPage, models: Path) -> None:
    put(models, "lost")
    (models / "lost.safetensors").unlink()
    put(models, "other", dataset_sha256="0" * 64)
    for name, says in (("lost", "lost"), ("other", "learned other pictures than digits")):
        app = open_page("models", model=name)
        assert not app.exception
        (error,) = app.error
        assert says in error.value
        assert [code.value for code in app.code] == [CARDS["digits"].command]


def test_without_any_card_one_sentence_says_how_to_get_one(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdcore.teachers.card.model_folders", lambda: (tmp_path,))
    app = open_page("models")
    assert "kdcore teachers train creatures" in app.info[0].value
    assert not app.exception


def test_a_bad_address_is_ignored(open_page: OpenPage) -> None:
    for name in ("nosuch", "../../etc/passwd"):
        app = open_page("models", model=name)
        fine(app)
        assert app.radio(key="model_pick").value == "creatures"
