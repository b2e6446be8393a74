"""Occlusion maps as pictures and sentences: the right place has the right colour, and the words say the same."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from kdcore.teachers.occlusion import OcclusionMaps
from pages.ui.pictures import occlusion_view as view

CELLS = 8


def made(*falls: dict[tuple[int, int], float], side: int = 32, grey: int = 120) -> OcclusionMaps:
    """Maps of `wolf`, `dog` and so on for a picture of one grey, with these falls and 0 elsewhere."""
    maps = torch.zeros(len(falls), CELLS, CELLS, dtype=torch.float64)
    for group, places in zip(maps, falls, strict=True):
        for (row, column), fall in places.items():
            group[row, column] = fall
    names = ("wolf", "dog", "cat")[: len(falls)]
    picture = torch.full((3, side, side), grey, dtype=torch.uint8)
    return OcclusionMaps(names, picture, torch.tensor([0.5, 2.0, -3.0])[: len(falls)].double(), maps)


def pixels(url: str) -> np.ndarray:
    head, data = url.split(",", 1)
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def middle_of(image: np.ndarray, row: int, column: int) -> np.ndarray:
    """The colour in the middle of a cell."""
    height, width = image.shape[:2]
    return image[(2 * row + 1) * height // (2 * CELLS), (2 * column + 1) * width // (2 * CELLS)]


@pytest.mark.parametrize(("side", "grey"), [(8, 0), (32, 120), (224, 255), (400, 120)])
def test_what_speaks_for_a_class_is_yellow_and_what_speaks_against_it_violet(side: int, grey: int) -> None:
    maps = made({(0, 6): 2.0, (7, 1): -2.0}, side=side, grey=grey)
    image = pixels(view.map_view(maps, "wolf", 2.0).url)
    assert image.shape[0] == image.shape[1] >= view.SIDE
    yellow, violet, plain = middle_of(image, 0, 6), middle_of(image, 7, 1), middle_of(image, 4, 4)
    assert yellow[0] > yellow[2] + 100 and yellow[1] > yellow[2] + 80
    assert violet[2] > violet[1] + 80 and violet[0] > violet[1] + 30
    assert np.ptp(plain) < 12  # still grey


def test_both_maps_share_a_scale_and_weak_effects_stay_pale() -> None:
    maps = made({(1, 1): 3.0}, {(1, 1): -0.6}, {(1, 1): 0.1})
    assert view.common_scale(maps, ("wolf", "dog")) == 3.0
    assert view.common_scale(maps, ("dog", "cat")) == 0.6
    assert view.common_scale(maps, ("cat", "cat")) == pytest.approx(math.log(1.5))
    pale, deep = (middle_of(pixels(view.map_view(maps, name, 3.0).url), 1, 1) for name in ("dog", "wolf"))
    assert np.ptp(pale) < np.ptp(deep) / 2


def test_groups_stand_in_the_order_of_their_probabilities() -> None:
    ranked = view.ranked_groups(made({}, {}, {}))
    assert [name for name, _ in ranked] == ["dog", "wolf", "cat"]
    assert ranked[0][1] == pytest.approx(1 / (1 + math.exp(-2)))


@pytest.mark.parametrize(
    ("place", "words"),
    [((0, 0), "upper left"), ((0, 7), "upper right"), ((4, 4), "centre"), ((7, 4), "bottom"), ((3, 0), "left")],
)
def test_the_sentence_names_the_place_and_what_covering_it_does(place: tuple[int, int], words: str) -> None:
    half, gone = made({place: math.log(2)}), made({place: 50.0})
    assert (
        view.map_view(half, "wolf", 1.0).sentence
        == f"Most for it: {words}. Covered there, the odds of wolf fall to 50 %."
    )
    assert view.map_view(gone, "wolf", 1.0).sentence.endswith("fall to < 0.1 %.")
    against = view.map_view(made({place: -math.log(3)}), "wolf", 1.0).sentence
    assert against == f"Most against it: {words}. Covered there, the odds of wolf rise 3.0-fold."


def test_both_sentences_and_none() -> None:
    both = view.map_view(made({(0, 0): math.log(4), (7, 7): -math.log(23)}), "wolf", 4.0).sentence
    assert both == (
        "Most for it: upper left. Covered there, the odds of wolf fall to 25 %. "
        "Most against it: lower right. Covered there, they rise 23-fold."
    )
    flat = view.map_view(made({}), "wolf", 1.0)
    assert flat.sentence == "Wherever one place is covered, the odds of wolf change by less than 5 %."
    assert np.ptp(pixels(flat.url)) <= 2


def test_the_html_shows_names_as_they_are_and_the_legend_says_what_the_colours_mean() -> None:
    maps = made({(0, 0): 1.0})
    named = OcclusionMaps(("<b>",), maps.picture, maps.log_odds, maps.falls)
    html = view.map_html(view.map_view(named, "<b>", 1.0))
    assert "<b>" not in html and html.count("&lt;b&gt;") >= 2
    assert 'alt="Map for' in html
    legend = view.legend_html(math.log(4))
    assert "the odds rise 4.0-fold" in legend and "the odds fall to 25\u00a0%" in legend
