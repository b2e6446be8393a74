"""The photos that come with the app: whom they are from, and what the teacher `photos` says of each."""

from __future__ import annotations

import pytest
from PIL import Image

from kdcore.pictures.decode import open_picture
from kdcore.teachers.load import load_teacher
from kdcore.teachers.predict import predict
from pages.ui.pictures.sample_pictures import SamplePicture, credit_line, folder, sample_pictures, thumbnail_url

ANIMAL_KINDS = {
    "amphibian", "arachnid", "bear", "big cat", "bird", "cat", "crustacean", "dog", "fish", "fox", "insect", "mollusc",
    "other animal", "other mammal", "primate", "reptile", "ungulate", "wild dog", "wolf",
}  # fmt: skip
SAMPLES = sample_pictures()


def test_every_photo_has_a_credit_and_every_credit_a_photo() -> None:
    assert sorted(path.stem for path in folder().glob("*") if path.suffix != ".json") == sorted(
        sample.name for sample in SAMPLES
    )
    for sample in SAMPLES:
        assert all(vars(sample).values()), sample
        assert sample.licence == "CC0 1.0"
        assert sample.author in credit_line(sample)
        assert sample.source in credit_line(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_photo_is_small_and_carries_nothing_but_its_pixels(sample: SamplePicture) -> None:
    assert sample.path.stat().st_size <= 40_000
    with Image.open(sample.path) as photo:
        assert photo.format == "JPEG"
        assert max(photo.size) <= 384
        assert not photo.getexif()
    assert len(thumbnail_url(sample)) < 12_000  # five of them travel with every look at the page


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_kind_of_a_photo_is_first_with_at_least_60_percent(sample: SamplePicture) -> None:
    answer = predict(load_teacher("photos"), open_picture(sample.path.read_bytes(), sample.name))
    first, share = max(answer["superclasses"].items(), key=lambda item: item[1])
    assert first == sample.kind
    assert share >= 0.6
    assert answer["none_of_these"] is False


def test_three_photos_show_an_animal_and_two_show_none() -> None:
    animals = [sample.name for sample in SAMPLES if sample.kind in ANIMAL_KINDS]
    assert animals == ["dog", "cat", "tiger"]
    assert len(SAMPLES) == 5
    assert set(load_teacher("photos").card.superclasses or ()) >= ANIMAL_KINDS


def test_a_project_without_the_folder_has_no_samples(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("pages.ui.pictures.sample_pictures.assets", lambda: tmp_path)
    assert sample_pictures() == ()
