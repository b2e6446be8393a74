"""The cards of the gallery show the engine's answers, and every pixel of the picture unchanged."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import special, stats

from kdcore.teachers.answers import PictureAnswers
from pages.ui.compare import gallery

NAMES = ("wolf", "dog", "fox", "cat", "lynx", "<b>bear</b>")
TRUTH = 4


def answers(n: int = 3) -> PictureAnswers:
    """Return answers to the same picture n times: distilled is right, baseline and teacher are wrong, and the teacher
    gives the true class the lowest probability."""
    logits = {
        "teacher": torch.tensor([4.0, 3.0, 2.0, 1.0, -1.0, 0.5]).half().repeat(n, 1),
        "distilled": torch.tensor([0.0, 0.0, 0.0, 0.0, 2.0, 0.0]).half().repeat(n, 1),
        "baseline": torch.tensor([0.0, 2.0, 0.0, 0.0, 0.0, 0.0]).half().repeat(n, 1),
    }
    picture = torch.arange(3 * 4 * 4, dtype=torch.uint8).view(3, 4, 4)
    chosen = {arm: value.argmax(-1) for arm, value in logits.items()}
    return PictureAnswers(
        NAMES, NAMES, torch.full((n,), TRUTH), chosen, logits, dict.fromkeys(range(n), picture), "0" * 64
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_card_holds_the_truth_the_answers_and_the_teachers_soft_labels(temperature: float) -> None:
    (card,) = gallery.picture_cards(answers(), "distilled", 1, temperature)
    assert card.truth == "lynx"
    assert [(arm, name, right) for arm, name, _share, right in card.answers] == [
        ("teacher", "wolf", False), ("distilled", "lynx", True), ("baseline", "dog", False),
    ]  # fmt: skip
    assert card.answers[1][2] == pytest.approx(special.softmax([0, 0, 0, 0, 2, 0])[4])  # at T = 1 whatever is chosen
    wanted = special.softmax(np.array([4.0, 3.0, 2.0, 1.0, -1.0, 0.5]) / temperature)
    assert card.names == ("wolf", "dog", "fox", "lynx"), "the likeliest in class order, and the true class among them"
    assert card.shares == pytest.approx(tuple(wanted[[0, 1, 2, 4]]))


def test_the_picture_is_the_one_that_was_asked_about() -> None:
    found = answers()
    (card,) = gallery.picture_cards(found, "distilled", 1, 1.0)
    image = Image.open(io.BytesIO(base64.b64decode(card.png.split(",", 1)[1])))
    assert np.array_equal(np.asarray(image), found.pictures[0].permute(1, 2, 0).numpy())


def test_counts_and_their_test() -> None:
    found = answers(6)
    assert [(group.key, group.count) for group in gallery.difference_groups(found)] == [
        ("distilled", 6), ("baseline", 0), ("dissent", 6),
    ]  # fmt: skip
    chance = stats.binomtest(6, 6).pvalue
    assert gallery.counts_sentence(found) == (
        "Of 6 test pictures, only the distilled student has 6 right, only the baseline 0. If both were equally good, "
        f"chance would do this, or more, in {100 * chance:.1f} % of cases (exact McNemar test)."
    )
    assert "less than once in 1,000 times" in gallery.counts_sentence(answers(20))


def test_only_as_many_cards_as_asked_for_and_kept() -> None:
    found = answers(5)
    assert [card.index for card in gallery.picture_cards(found, "distilled", 2, 1.0)] == [0, 1]
    assert len(gallery.picture_cards(found, "distilled", 12, 1.0)) == 5
    assert gallery.picture_cards(found, "baseline", 12, 1.0) == []


def test_cards_escape_what_others_wrote() -> None:
    (card,) = gallery.picture_cards(answers(), "distilled", 1, 1.0)
    names = (*card.names[:3], NAMES[5])
    html = gallery.cards_html(
        [gallery.PictureCard(card.index, card.png, NAMES[5], card.answers, names, card.shares)] * 2
    )
    assert "<b>bear" not in html and "&lt;b&gt;bear" in html
    assert html.count("<figure") == 2
    assert re.findall(r'<li class="kd-(\w+)">', html)[:3] == ["wrong", "right", "wrong"]
    assert html.count('role="img" aria-label="Soft labels of the teacher: ') == 2
