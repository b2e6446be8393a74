"""The Datasets page, run by Streamlit's own test harness: with data, without any, and with a simulated download."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

import kdcore.datasets
from kdcore.datasets import Dataset, FetchProgress, Split, list_datasets, load_dataset
from kdcore.errors import DatasetUnavailable
from pages.ui.datasets.views import PICTURES_A_CLASS, balance_sentence, class_groups, dataset_view
from pages.ui.frame.download_bar import fetch_sentence
from tests.pages.conftest import html_of, in_address

APP = Path(__file__).parents[2] / "app.py"
PUBLISHED = ("mnist", "fashion-mnist", "cifar10", "cifar100")


@pytest.fixture(scope="session")
def drawn_creatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The creatures, drawn once for all of these tests."""
    home = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDCORE_HOME", str(home))
        load_dataset("creatures")
    (path,) = (home / "datasets").glob("creatures-*.safetensors")
    return path


@pytest.fixture(autouse=True)
def own_home(drawn_creatures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts with the embedded datasets alone, as the person at the machine, and with empty caches."""
    folder = tmp_path / "home" / "datasets"
    folder.mkdir(parents=True)
    shutil.copy(drawn_creatures, folder)
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KDCORE_DATA", raising=False)
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: True)
    forget()
    yield
    forget()


def forget() -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def datasets(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    app.switch_page("pages/datasets.py")
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def fine(app: AppTest) -> None:
    assert not app.exception
    assert not app.error


def folders(place: Path, classes: tuple[str, ...] = ("oak", "elm"), pictures: int = 12) -> Path:
    """Write folders of small random pictures, one folder a class, below `place`."""
    rng = np.random.default_rng(0)
    for name in classes:
        (place / name).mkdir(parents=True)
        for number in range(pictures):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number}.png")
    return place


def made(counts: list[int], side: int = 8, superclasses: tuple[str, ...] | None = None) -> Dataset:
    """A dataset whose pictures have one grey level each: the picture's index in the train split, modulo 256."""
    labels = torch.cat([torch.full((count,), index) for index, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    images = torch.arange(len(labels)).remainder(256).to(torch.uint8)[:, None, None, None].expand(-1, 1, side, side)
    split = Split(images.contiguous(), labels)
    names = tuple(f"class {index}" for index in range(len(counts)))
    two = split.select(torch.arange(2))
    return Dataset("made", names, superclasses or names, split, two, two, "ab" * 32)


def test_a_strip_holds_the_first_training_pictures_of_its_class_and_the_counts_are_those_of_train() -> None:
    dataset = made([30, 3, 0])
    view = dataset_view(dataset)
    assert [one.count for one in view.classes] == [30, 3, 0]
    assert [one.shown for one in view.classes] == [PICTURES_A_CLASS, 3, 0]
    levels = [i % 256 for i, label in enumerate(dataset.train.hard_labels.tolist()) if label == 0][:PICTURES_A_CLASS]
    strip = Image.open(io.BytesIO(base64.b64decode(view.classes[0].strip.split(",")[1])))
    step = (strip.width - 8) // (PICTURES_A_CLASS - 1)
    assert [strip.getpixel((place * step + 4, 4)) for place in range(PICTURES_A_CLASS)] == [
        (g, g, g, 255) for g in levels
    ]
    assert view.classes[2].strip == ""
    assert balance_sentence(view) == "Training pictures a class: from 0 (class 2) to 30 (class 0)."


@pytest.mark.parametrize("above", [None, tuple(f"family {index % 7}" for index in range(50))])
def test_many_classes_are_divided_so_that_each_is_in_one_group_and_can_be_found_by_its_name(
    above: tuple[str, ...] | None,
) -> None:
    view = dataset_view(made([1] * 50, superclasses=above))
    groups = class_groups(view)
    assert sorted(index for group in groups for index in group.classes) == list(range(50))
    assert all(len(group.classes) <= 12 for group in groups)
    assert all(view.classes[index].name in group.label for group in groups for index in group.classes)
    assert len(class_groups(dataset_view(made([1] * 20)))) == 1


def test_how_far_a_download_is_in_words() -> None:
    now = FetchProgress("train.gz", 40_000_000, 160_000_000)
    assert fetch_sentence(now, None) == "train.gz: 40.0 MB of 160.0 MB"
    assert fetch_sentence(now, 2e6) == "train.gz: 40.0 MB of 160.0 MB · 2.0 MB a second, about 1 min 0 s left"


def test_without_data_every_dataset_says_what_it_waits_for_and_what_works() -> None:
    app = datasets()
    fine(app)
    names = [info.name for info in list_datasets()]
    assert len(app.radio(key="dataset_pick").options) == len(names)
    for name in names:
        app.radio(key="dataset_pick").set_value(name).run()
        fine(app)
        if name in ("creatures", "digits"):
            assert "kd-classes" in html_of(app)
            continue
        assert in_address(app, "dataset_shown") == name
        assert f"{name} is not on this machine" in app.info[0].value
        assert "Creatures, Digits" in app.caption[-1].value
        assert any(button.key == "dataset_fetch" for button in app.button) is (name in PUBLISHED)


def test_a_dataset_that_is_here_shows_its_sizes_hash_and_every_class() -> None:
    app = datasets(dataset_shown="digits")
    fine(app)
    html, digits = html_of(app), load_dataset("digits")
    assert digits.sha256 in html
    for count in (len(digits.train), len(digits.validation), len(digits.test)):
        assert f"<dd>{count:,}</dd>" in html
    shown = [int(count) for count in re.findall(r"<span>(\d+)</span></div><img", html)]
    assert shown == digits.train.hard_labels.bincount().tolist()
    assert html.count("data:image/png") == 10


def test_a_copy_in_the_data_folder_is_read_in_place(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_DATA", str(data_dir))
    forget()
    app = datasets(dataset_shown="mnist")
    fine(app)
    assert html_of(app).count('class="kd-class"') == 10
    assert str(data_dir / "MNIST") in html_of(app)


def test_a_folder_of_the_machine_is_shown_to_nobody_else(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_DATA", str(data_dir))
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: False)
    forget()
    app = datasets(dataset_shown="mnist")
    fine(app)
    assert str(data_dir) not in html_of(app)
    assert not app.text_input
    assert any("kdcore datasets add" in caption.value for caption in app.caption)


@pytest.mark.parametrize("name", ["cifar10", "animals64"])
def test_a_visitor_from_elsewhere_downloads_nothing_and_sees_no_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.ui.session.browser.is_local", lambda: False)
    app = datasets(dataset_shown=name)
    fine(app)
    assert not [button for button in app.button if button.key == "dataset_fetch"]
    (info,) = app.info
    assert "is not on the machine that runs this app" in info.value
    assert ("kdcore datasets get cifar10" in info.value) is (name == "cifar10")
    texts = [html_of(app), *(one.value for kind in (app.info, app.caption, app.markdown) for one in kind)]
    assert not [text for text in texts if str(tmp_path) in text or "KDCORE" in text]


def test_a_download_shows_its_way_and_ends_with_the_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    bar = st.delta_generator.DeltaGenerator.progress
    monkeypatch.setattr(
        st.delta_generator.DeltaGenerator,
        "progress",
        lambda self, value, text=None: (drawn.append(value), bar(self, value, text))[1],
    )
    monkeypatch.setattr("pages.ui.frame.download_bar.REDRAW_SECONDS", 0.0)

    def simulated(name: str) -> Iterator[FetchProgress]:
        assert name == "mnist"
        for done in (0, 1, 3, 4):
            yield FetchProgress("train.gz", done, 4)

    monkeypatch.setattr(kdcore.datasets, "fetch_dataset", simulated)
    app = datasets(dataset_shown="mnist")
    app.button(key="dataset_fetch").click().run()
    fine(app)
    assert drawn == [0.0, 0.0, 0.25, 0.75, 1.0]
    assert app.button(key="dataset_fetch")  # the simulated download brought nothing, and the page looked again


def test_a_download_that_fails_says_why_and_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def simulated(name: str) -> Iterator[FetchProgress]:
        yield FetchProgress("train.gz", 1, 4)
        raise DatasetUnavailable("train.gz could not be fetched (example: not reachable).")

    monkeypatch.setattr(kdcore.datasets, "fetch_dataset", simulated)
    app = datasets(dataset_shown="fashion-mnist")
    app.button(key="dataset_fetch").click().run()
    assert not app.exception
    assert [error.value for error in app.error] == ["train.gz could not be fetched (example: not reachable)."]
    monkeypatch.setattr(kdcore.datasets, "fetch_dataset", lambda name: (step for step in ()))
    app.button(key="dataset_fetch").click().run()
    fine(app)


def test_your_own_folder_is_added_shown_trained_on_and_forgotten(tmp_path: Path) -> None:
    place = folders(tmp_path / "Leaves of 2026")
    app = datasets(dataset_shown="digits")
    app.text_input(key="own_path").set_value(str(place)).run()
    app.button(key="own_add").click().run()
    fine(app)
    assert in_address(app, "dataset_shown") == "leaves-of-2026"
    assert app.radio(key="dataset_pick").value == "leaves-of-2026"
    assert html_of(app).count('class="kd-class"') == 2
    app.switch_page("pages/distil.py").run()
    assert "leaves-of-2026" in app.selectbox(key="dataset").options
    app.switch_page("pages/datasets.py")
    app.query_params["dataset_shown"] = "leaves-of-2026"
    app.run()
    app.button(key="own_forget").click().run()
    fine(app)
    assert all("leaves" not in option for option in app.radio(key="dataset_pick").options)
    assert len(list(place.rglob("*.png"))) == 24


@pytest.mark.parametrize(
    ("path", "name", "says"),
    [("nowhere", "", "nowhere"), ("one", "", "two class folders"), ("two", "Not A Name", "no name for a dataset")],
)
def test_own_data_that_cannot_be_used_gets_one_sentence(tmp_path: Path, path: str, name: str, says: str) -> None:
    folders(tmp_path / "one", ("oak",))
    folders(tmp_path / "two")
    app = datasets(dataset_shown="digits")
    app.text_input(key="own_path").set_value(str(tmp_path / path))
    app.text_input(key="own_name").set_value(name).run()
    app.button(key="own_add").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert says in app.error[0].value


@pytest.mark.parametrize("query", [{"dataset_shown": "nothing"}, {"dataset_shown": "../../etc"}])
def test_a_bad_address_is_ignored(query: dict[str, str]) -> None:
    app = datasets(**query)
    fine(app)
    assert app.radio(key="dataset_pick").value == "creatures"
