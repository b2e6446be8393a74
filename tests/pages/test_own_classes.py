"""The Own classes page in Streamlit's test harness: collecting, teaching, the result, and visitors elsewhere."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

import kdcore.datasets
from kdcore.datasets.splits import MIN_CLASS_PICTURES
from kdcore.errors import ConfigError
from kdcore.store import Store
from kdcore.teachers.predict import predict
from kdcore.teachers.teacher import load_model, load_single
from pages.ui.kit.formats import format_accuracy
from pages.ui.own_classes import collection as own
from pages.ui.run.sentences import outcome_sentence
from pages.ui.session.visitor_picture import VisitorPicture
from tests.pages.conftest import OpenPage, bars_of, html_of, in_address, only_run

KEPT = "_kept_own_collection"  # where the session keeps what was collected


@pytest.fixture(autouse=True)
def at_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: True)
    yield
    st.cache_data.clear()


def pictures(count: int, start: int = 0) -> list[own.CollectedPicture]:
    files = []
    for level in range(start, start + count):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 40), (level, 200 - level, 90)).save(buffer, "PNG")
        files.append((f"{level}.png", buffer.getvalue()))
    return own.read_pictures(files)[0]


def collected(first: int, second: int, extra: int = 0) -> own.Collection:
    collection = own.renamed(own.renamed(own.Collection(), 1, "oak"), 2, "elm")
    for place, count, start in ((1, first, 0), (2, second, 50), (own.EXTRA, extra, 100)):
        collection, _notes = own.with_pictures(collection, place, pictures(count, start))
    return collection


def with_collection(app: AppTest, collection: own.Collection) -> AppTest:
    app.session_state[KEPT] = collection
    return app.run()


def sentences_of(app: AppTest) -> list[str]:
    return [one.value for kind in (app.info, app.warning, app.error) for one in kind]


@dataclass(frozen=True)
class Given:
    """What stands for a picture that the page hands to the engine."""

    name: str
    data: bytes


def test_the_empty_page_explains_itself_and_teaches_nothing(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("own_classes")
    assert not app.exception
    assert not app.error
    html = html_of(app)
    assert "Transfer learning" in html
    assert "Distillation" in html
    assert app.button(key="own_teach").disabled
    assert [box.placeholder for box in app.text_input] == ["Class 1", "Class 2"]
    (privacy,) = [one.value for one in app.caption if "24 hours" in one.value]
    assert "memory" in privacy
    assert len([one for one in app.info if str(MIN_CLASS_PICTURES) in one.value]) == 1


def test_classes_are_named_added_and_removed(empty_store: Store, open_page: OpenPage) -> None:
    app = open_page("own_classes")
    app.text_input(key="own_name_1").set_value("oak").run()
    for _more in range(own.MOST_CLASSES - 2):
        app.button(key="own_add_class").click().run()
    assert len(app.text_input) == own.MOST_CLASSES
    assert not [button for button in app.button if button.key == "own_add_class"]
    for number in range(2, own.MOST_CLASSES):
        app.button(key=f"own_drop_{number}").click().run()
    assert [box.value for box in app.text_input] == ["oak", ""]
    assert not [button for button in app.button if str(button.key).startswith("own_drop_")]
    assert not app.exception


@pytest.mark.parametrize(
    ("collection", "words"),
    [
        (collected(1, 10), "oak has 1 picture, and a class needs at least"),
        (own.with_pictures(collected(6, 6), 2, pictures(1))[0], "0.png is in oak and in elm"),
        (own.renamed(collected(6, 6), 2, "Oak"), "Two classes are called oak"),
    ],
)
def test_what_is_missing_is_one_sentence(
    collection: own.Collection, words: str, empty_store: Store, open_page: OpenPage
) -> None:
    app = with_collection(open_page("own_classes"), collection)
    assert len([one for one in sentences_of(app) if words in one]) == 1
    assert app.button(key="own_teach").disabled


def test_each_class_shows_its_own_pictures_with_their_names(empty_store: Store, open_page: OpenPage) -> None:
    app = with_collection(open_page("own_classes"), collected(3, 2))
    strips = [one.proto for one in app.get("bidi_component") if one.proto.component_name == "kd_thumbnails"]
    names = [[picture["name"] for picture in json.loads(strip.json)["pictures"]] for strip in strips]
    assert names == [["0.png", "1.png", "2.png"], ["50.png", "51.png"]]
    assert "3 pictures" in html_of(app)


def test_files_are_added_once_even_where_the_reading_of_them_was_interrupted(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, read, interruptions = pictures(3), own.read_pictures, iter((True,))

    def interrupted_once(files: Iterable[tuple[str, bytes]]) -> tuple[list[own.CollectedPicture], list[str]]:
        if next(interruptions, False):
            raise RuntimeError("the visitor's next click ends this script")
        return read(files)

    monkeypatch.setattr(own, "read_pictures", interrupted_once)
    app = open_page("own_classes")
    files = [(one.name, one.png, "image/png") for one in given]
    app.file_uploader(key="own_files_1_0").set_value(files).run()
    assert "3 pictures" not in html_of(app)
    app.run()
    assert "3 pictures" in html_of(app)
    assert not app.warning
    app.run()
    assert app.session_state[KEPT].classes[0].pictures == tuple(given)


def test_two_tabs_collect_apart(empty_store: Store, open_page: OpenPage) -> None:
    with_collection(open_page("own_classes"), collected(3, 2))
    other = open_page("own_classes")
    assert "0 pictures" in html_of(other)
    assert "3 pictures" not in html_of(other)


def teach_with(monkeypatch: pytest.MonkeyPatch, added: list[Mapping[str, Sequence[Given]]], extra: list[Given]) -> None:
    """Let the engine's part accept pictures without training: what it is given is noted, and `digits` is taught."""

    def add_given(name: None, classes: Mapping[str, Sequence[Given]], more: Sequence[Given], **_kw: object) -> object:
        added.append(classes)
        extra.extend(more)
        return SimpleNamespace(name="digits")

    given = SimpleNamespace(GivenPicture=Given, add_given=add_given)
    monkeypatch.setitem(sys.modules, "kdcore.datasets.given", given)  # type: ignore[arg-type]
    monkeypatch.setattr("kdcore.jobs.advance", lambda store: None)
    make = "kdcore.settings.config.make_run_config"
    from kdcore.settings.config import make_run_config

    monkeypatch.setattr(make, lambda name, extra_pictures=None: make_run_config(name, labels=60, epochs=2, seeds=2))


def test_teach_gives_the_engine_every_picture_and_the_url_names_the_run(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[Mapping[str, Sequence[Given]]] = []
    extra: list[Given] = []
    teach_with(monkeypatch, added, extra)
    collection = collected(6, 7, extra=3)
    app = with_collection(open_page("own_classes"), collection)
    app.button(key="own_teach").click().run()
    assert not app.exception
    (classes,) = added
    assert {name: [one.data for one in given] for name, given in classes.items()} == {
        one.name: [picture.png for picture in one.pictures] for one in collection.classes
    }
    assert [one.data for one in extra] == [picture.png for picture in collection.extra]
    assert in_address(app, "run") == only_run(empty_store).id


def test_a_run_that_cannot_start_leaves_no_pictures_behind(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    teach_with(monkeypatch, [], [])
    monkeypatch.setattr(kdcore.datasets, "remove_dataset", removed.append)

    def refuse(*_args: object, **_kw: object) -> None:
        raise ConfigError("The queue is full.")

    monkeypatch.setattr("kdcore.jobs.submit", refuse)
    app = with_collection(open_page("own_classes"), collected(6, 6))
    app.button(key="own_teach").click().run()
    assert [one.value for one in app.error] == ["The queue is full."]
    assert removed == ["digits"]
    assert in_address(app, "run") is None


@pytest.fixture
def digits_are_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trained run on `digits` stand for one on a visitor's own pictures."""
    others = {name: info for name, info in kdcore.datasets.DATASETS.items() if name != "digits"}
    monkeypatch.setattr(kdcore.datasets, "DATASETS", others)


@pytest.mark.usefixtures("digits_are_own")
def test_a_finished_run_shows_the_engines_figures_and_all_three_answer_a_new_picture(
    trained_store: Store, trained_home: Path, open_page: OpenPage
) -> None:
    run = only_run(trained_store)
    assert run.result is not None
    app = open_page("own_classes", run=run.id)
    assert not app.exception
    html = html_of(app)
    assert outcome_sentence(run.result) in html
    for arm in ("teacher", "distilled", "baseline"):
        assert format_accuracy(run.result["arms"][arm]["accuracy"]["mean"]) in html
    (picture,) = pictures(1, 33)
    chosen = VisitorPicture(picture.png, "new.png", "upload")
    app.session_state["_pictures"] = {"upload": chosen}
    app.run()
    assert not app.error
    folder = trained_home / "runs" / run.id / "models"
    networks = [load_single(run.config["teacher"])]
    networks += [load_model(folder / f"{arm}.safetensors") for arm in ("distilled", "baseline")]
    opened = Image.open(io.BytesIO(picture.png))
    for drawn, network in zip(bars_of(app), networks, strict=True):
        expected = predict(network, opened)
        assert list(drawn) == expected["class_names"]
        assert list(drawn.values()) == pytest.approx([100 * share for share in expected["soft_labels"]], abs=0.006)


@pytest.mark.usefixtures("digits_are_own")
def test_the_pictures_are_collected_again_from_a_run_and_deleted_on_request(
    trained_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(kdcore.datasets, "remove_dataset", removed.append)
    app = open_page("own_classes", run=only_run(trained_store).id)
    app.session_state[KEPT] = collected(6, 6)
    app.button(key="own_delete_yes").click().run()
    assert removed == ["digits"]
    assert app.session_state[KEPT] is None
    app.button(key="own_again").click().run()
    assert in_address(app, "run") is None
    assert app.button(key="own_teach").disabled


def test_a_run_on_another_dataset_leaves_the_page_to_collecting(trained_store: Store, open_page: OpenPage) -> None:
    app = open_page("own_classes", run=only_run(trained_store).id)
    assert not app.exception
    assert app.button(key="own_teach")


def test_a_visitor_from_elsewhere_collects_nothing_and_reads_why(
    empty_store: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: False)
    app = open_page("own_classes")
    assert not app.exception
    assert not app.text_input
    assert len([one for one in app.info if "on the machine itself" in one.value]) == 1
