"""A gallery of test pictures on which the networks differ, one card per picture. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from kdcore.metrics.paired import mcnemar
from kdcore.metrics.soft_labels import soften
from kdcore.teachers.answers import PICTURE_GROUPS, STUDENT_ARMS, PictureAnswers, pictures_of_group
from pages.ui.kit import bars, images, look
from pages.ui.kit.formats import arm_name, format_count, probabilities_caption
from pages.ui.kit.tables import arm_mark
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from torch import Tensor

MAX_BARS = 4  # soft labels of the teacher that are shown on a card
ARMS = ("teacher", *STUDENT_ARMS)


@dataclass(frozen=True)
class PictureCard:
    """One test picture.

    Attributes:
        index: of the picture in the test split.
        png: data URL of the picture, not enlarged.
        truth: name of its true class.
        answers: for each arm: the arm, the class that it chose, that class's probability at T = 1, and whether it is
            right.
        names, shares: the largest soft labels of the teacher, in class order; the true class is always among them.
    """

    index: int
    png: str
    truth: str
    answers: tuple[tuple[str, str, float, bool], ...]
    names: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class DifferenceGroup:
    """A way in which the networks differ, such as "only distilled right", and how many test pictures show it."""

    key: str
    title: str
    count: int


def difference_groups(answers: PictureAnswers) -> tuple[DifferenceGroup, ...]:
    """Return the three groups with the number of their pictures."""
    names = {
        "distilled": _("Only distilled right"),
        "baseline": _("Only baseline right"),
        "dissent": _("Both against the teacher"),
    }
    return tuple(DifferenceGroup(key, names[key], len(pictures_of_group(answers, key))) for key in PICTURE_GROUPS)


def counts_sentence(answers: PictureAnswers) -> str:
    """Say how often only one of the students is right, and whether that can be chance (exact McNemar test)."""
    distilled, baseline = (len(pictures_of_group(answers, arm)) for arm in STUDENT_ARMS)
    text = _("Of {n} test pictures, only the distilled student has {one} right, only the baseline {other}.")
    counts = text.format(n=format_count(len(answers)), one=format_count(distilled), other=format_count(baseline))
    if distilled + baseline == 0:
        return counts
    chance = mcnemar(distilled, baseline)
    if chance < 0.001:
        test = _("If both were equally good, chance would do this less than once in 1,000 times (exact McNemar test).")
    else:
        test = _("If both were equally good, chance would do this, or more, in {p} of cases (exact McNemar test).")
    return f"{counts} " + test.format(p=look.percent(chance))


def picture_cards(answers: PictureAnswers, group: str, count: int, temperature: float) -> list[PictureCard]:
    """Return cards of the first `count` pictures of a group; fewer if the answers hold fewer pictures.

    Args:
        group: key of a group.
        temperature: of the teacher's soft labels on the card.
    """
    chosen = [index for index in pictures_of_group(answers, group)[:count].tolist() if index in answers.pictures]
    return [_card(answers, index, temperature) for index in chosen]


def _card(answers: PictureAnswers, index: int, temperature: float) -> PictureCard:
    truth, names = int(answers.hard_labels[index]), answers.class_names
    by_arm = []
    for arm in ARMS:
        chosen = int(answers.chosen[arm][index])
        share = float(soften(answers.logits[arm][index])[chosen])
        by_arm.append((arm, names[chosen], share, chosen == truth))
    soft_labels = soften(answers.logits["teacher"][index], temperature).tolist()
    shown = bars.largest_with(soft_labels, truth, MAX_BARS)
    return PictureCard(
        index,
        _png(answers.pictures[index]),
        names[truth],
        tuple(by_arm),
        tuple(names[label] for label in shown),
        tuple(soft_labels[label] for label in shown),
    )


def _png(picture: Tensor) -> str:
    """Return a picture, uint8 [C, H, W], as a data URL. The style sheet enlarges it, without smoothing."""
    return images.data_url(images.picture_of(picture), "PNG")


def cards_html(cards: Sequence[PictureCard]) -> str:
    """Return the cards as an HTML grid that adapts to the screen."""
    return f'<div class="kd-cards">{"".join(_card_html(card) for card in cards)}</div>'


def _card_html(card: PictureCard) -> str:
    answers = "".join(
        f'<li class="{"kd-right" if right else "kd-wrong"}">{arm_mark(arm)}<span>{escape(arm_name(arm))}</span>'
        f"<b>{escape(name)}</b><small>{escape(look.percent(share))}</small></li>"
        for arm, name, share, right in card.answers
    )
    alt = _("Test picture {n}: a {name}").format(n=card.index, name=card.truth)
    words = _("Soft labels of the teacher: {shares}").format(shares=probabilities_caption(card.names, card.shares))
    return (
        f'<figure class="kd-card"><img src="{card.png}" alt="{escape(alt)}">'
        f"<figcaption>{escape(_('really a {name}').format(name=card.truth))}</figcaption>"
        f"<ul>{answers}</ul>{bars.bars('teacher', card.names, card.shares, words)}</figure>"
    )
