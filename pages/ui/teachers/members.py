"""Table and sentence that compare the answers of an ensemble's members with their average.

The functions here only return data, texts or HTML; they draw nothing themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from pages.ui.kit import look
from pages.ui.kit.formats import join_with_and, no_break_percent
from pages.ui.session.i18n import _

MAX_CLASSES_SHOWN = 5  # more classes are shown only where the members choose more


@dataclass(frozen=True)
class MemberAnswer:
    """The answer of one member, or of the average, to one picture.

    Attributes:
        name: the member's name, or the translated word "average".
        shares: probabilities of the classes shown, at the temperature shown.
        entropy: entropy of the soft labels over all classes, in nats.
        chosen: name of the class with the highest probability.
    """

    name: str
    shares: tuple[float, ...]
    entropy: float
    chosen: str


@dataclass(frozen=True)
class MemberAnswers:
    """The answers of all members of an ensemble to one picture, and their average.

    Attributes:
        class_names: the classes shown, in the teacher's order.
        num_hidden: the number of classes that are not shown.
    """

    class_names: tuple[str, ...]
    num_hidden: int
    members: tuple[MemberAnswer, ...]
    average: MemberAnswer


def member_answers(
    class_names: Sequence[str],
    members: Sequence[tuple[str, NDArray[np.floating]]],
    average: NDArray[np.floating],
    temperature: float,
) -> MemberAnswers:
    """Compare the members of an ensemble with their average on one picture.

    Shown are the classes that a member or the average chooses, filled up to `MAX_CLASSES_SHOWN` with the
    likeliest of the average.

    Args:
        class_names: names of all K classes.
        members: name and calibrated logits [K] of each member.
        average: logits [K] of the ensemble.
        temperature: the temperature at which probabilities are shown.
    """
    # These load torch, which takes seconds.
    import torch

    from kdcore.metrics.soft_labels import entropy, soften

    rows = torch.from_numpy(np.stack([*(logits for _name, logits in members), average]))
    soft_labels = soften(rows, temperature)
    chosen = rows.argmax(-1).tolist()
    likeliest = soft_labels[-1].argsort(descending=True).tolist()
    shown = sorted(list(dict.fromkeys([*chosen, *likeliest]))[: max(MAX_CLASSES_SHOWN, len(set(chosen)))])
    names = (*(name for name, _logits in members), _("average"))
    shares, nats = soft_labels[:, shown].tolist(), entropy(soft_labels).tolist()
    answers = [
        MemberAnswer(name, tuple(shares[row]), nats[row], class_names[chosen[row]]) for row, name in enumerate(names)
    ]
    shown_names = tuple(class_names[index] for index in shown)
    return MemberAnswers(shown_names, len(class_names) - len(shown), tuple(answers[:-1]), answers[-1])


def sentence(table: MemberAnswers) -> str:
    """Return sentences on whether the members agree, which class their average chooses, and how sure the average is."""
    average = table.average
    share = look.percent(average.shares[table.class_names.index(average.chosen)])
    choices = list(dict.fromkeys(member.chosen for member in table.members))
    if len(choices) == 1:
        text = _("Both members choose {name}") if len(table.members) == 2 else _("All members choose {name}")
        text += _("; their average gives it {share}.")
        return no_break_percent(text.format(name=choices[0], share=share) + _entropy_sentence(table))
    voters = {
        name: join_with_and([member.name for member in table.members if member.chosen == name]) for name in choices
    }
    parts = "; ".join(_("{class_name}: {members}").format(class_name=name, members=voters[name]) for name in choices)
    text = _("The members disagree ({parts}). Their average chooses {name}, with {share}.")
    return no_break_percent(text.format(parts=parts, name=average.chosen, share=share) + _entropy_sentence(table))


def _entropy_sentence(table: MemberAnswers) -> str:
    """Return a sentence that compares the average's entropy with the members' mean.

    "" where the two differ by at most 0.005 nats.
    """
    mean = fmean(member.entropy for member in table.members)
    if table.average.entropy > mean + 0.005:
        text = _("Averaging softens: {average} nats of entropy, against a mean of {members} over the members.")
    elif table.average.entropy < mean - 0.005:
        text = _("The average is surer: {average} nats of entropy, against a mean of {members} over the members.")
    else:
        return ""
    return " " + text.format(average=f"{table.average.entropy:.2f}", members=f"{mean:.2f}")


def style() -> str:
    """Return the style sheet of the table as a `<style>` element."""
    return look.style_html(Path(__file__).with_name("members.css"))


def html(table: MemberAnswers) -> str:
    """Return an HTML table with a row for each member and one for the average, and a bar for each class shown.

    Every text is escaped.
    """
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.class_names)
    body = "".join(_row(member, table.class_names) for member in table.members)
    caption = escape(_("What each member says, and their average"))
    return (
        f'<table class="kd-members" style="--classes:{len(table.class_names)}"><caption>{caption}</caption>'
        f'<thead><tr><td></td>{heads}<th scope="col" class="kd-nats">{escape(_("entropy"))}</th></tr></thead>'
        f"<tbody>{body}</tbody><tfoot>{_row(table.average, table.class_names)}</tfoot></table>"
    )


def _row(answer: MemberAnswer, class_names: Sequence[str]) -> str:
    cells = "".join(
        f'<td{" class=kd-chosen" if name == answer.chosen else ""}><div><i style="width:{100 * share:.2f}%"></i></div>'
        f"<span>{escape(no_break_percent(look.percent(share)))}</span></td>"
        for name, share in zip(class_names, answer.shares, strict=True)
    )
    return f'<tr><th scope="row">{escape(answer.name)}</th>{cells}<td class="kd-nats">{answer.entropy:.2f}</td></tr>'
