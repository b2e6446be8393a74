"""The members of an ensemble and their average, class by class. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from pages.ui import look
from pages.ui.i18n import _
from pages.ui.sentences import held

COLUMNS = 5  # classes shown, at least those that any member chooses


@dataclass(frozen=True)
class Opinion:
    """What a member, or the average, says.

    Attributes:
        shares: probabilities of the classes shown, at the temperature shown.
        entropy: of all its soft labels, in nats.
        chosen: the class that it chooses.
    """

    name: str
    shares: tuple[float, ...]
    entropy: float
    chosen: str


@dataclass(frozen=True)
class Opinions:
    """Every member's soft labels beside those of their average.

    Attributes:
        class_names: those shown, in class order.
        others: how many are not shown.
    """

    class_names: tuple[str, ...]
    others: int
    members: tuple[Opinion, ...]
    average: Opinion


def opinions(
    class_names: Sequence[str],
    members: Sequence[tuple[str, NDArray[np.floating]]],
    average: NDArray[np.floating],
    temperature: float,
) -> Opinions:
    """The table of an ensemble's answer to one picture.

    Args:
        members: name and calibrated logits [K] of each.
        average: logits [K] of the ensemble.
    """
    import torch

    from kdcore.soft_labels import entropy, soften

    rows = torch.from_numpy(np.stack([*(logits for _name, logits in members), average]))
    soft_labels = soften(rows, temperature)
    chosen = rows.argmax(-1).tolist()
    likeliest = soft_labels[-1].argsort(descending=True).tolist()
    kept = list(dict.fromkeys([*chosen, *likeliest]))[: max(COLUMNS, len(set(chosen)))]
    shown = sorted(kept)
    names = (*(name for name, _logits in members), _("average"))
    shares, nats = soft_labels[:, shown].tolist(), entropy(soft_labels).tolist()
    found = [Opinion(name, tuple(shares[row]), nats[row], class_names[chosen[row]]) for row, name in enumerate(names)]
    shown_names = tuple(class_names[index] for index in shown)
    return Opinions(shown_names, len(class_names) - len(shown), tuple(found[:-1]), found[-1])


def sentence(table: Opinions) -> str:
    """Whether the members agree, and what their average makes of it."""
    average = table.average
    share = look.percent(average.shares[table.class_names.index(average.chosen)])
    choices = list(dict.fromkeys(one.chosen for one in table.members))
    if len(choices) == 1:
        both = len(table.members) == 2
        text = _("Both members choose {name}") if both else _("All members choose {name}")
        text += _("; their average gives it {share}.")
        return held(text.format(name=choices[0], share=share) + _softened(table))
    who = {name: listed([one.name for one in table.members if one.chosen == name]) for name in choices}
    parts = "; ".join(_("{class_name}: {members}").format(class_name=name, members=who[name]) for name in choices)
    text = _("The members disagree ({parts}). Their average chooses {name}, with {share}.")
    return held(text.format(parts=parts, name=average.chosen, share=share) + _softened(table))


def _softened(table: Opinions) -> str:
    """How sure the average is beside its members, where that differs."""
    mean = fmean(one.entropy for one in table.members)
    if table.average.entropy > mean + 0.005:
        text = _("Averaging softens: {average} nats of entropy, against {members} in the mean of the members.")
    elif table.average.entropy < mean - 0.005:
        text = _("The average is surer: {average} nats of entropy, against {members} in the mean of the members.")
    else:
        return ""
    return " " + text.format(average=f"{table.average.entropy:.2f}", members=f"{mean:.2f}")


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return _("{names} and {last}").format(names=", ".join(names[:-1]), last=names[-1]) if names[1:] else names[0]


def style() -> str:
    """The style sheet of the table."""
    return f"<style>{Path(__file__).with_name('members.css').read_text(encoding='utf-8')}</style>"


def html(table: Opinions) -> str:
    """A row a member and one for the average, a bar a class; every text is escaped."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.class_names)
    body = "".join(_row(one, table.class_names) for one in table.members)
    caption = escape(_("What each member says, and their average"))
    return (
        f'<table class="kd-members" style="--classes:{len(table.class_names)}"><caption>{caption}</caption>'
        f'<thead><tr><td></td>{heads}<th scope="col" class="kd-nats">{escape(_("entropy"))}</th></tr></thead>'
        f"<tbody>{body}</tbody><tfoot>{_row(table.average, table.class_names)}</tfoot></table>"
    )


def _row(one: Opinion, class_names: Sequence[str]) -> str:
    cells = "".join(
        f'<td{" class=kd-chosen" if name == one.chosen else ""}><div><i style="width:{100 * share:.2f}%"></i></div>'
        f"<span>{escape(held(look.percent(share)))}</span></td>"
        for name, share in zip(class_names, one.shares, strict=True)
    )
    return f'<tr><th scope="row">{escape(one.name)}</th>{cells}<td class="kd-nats">{one.entropy:.2f}</td></tr>'
