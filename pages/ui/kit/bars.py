"""Bars of probabilities, as HTML; the function here only returns it.

They are redrawn in place; a Plotly chart is rebuilt whenever its data changes, which makes it flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pages.ui.kit import look


def bars(arm: str, class_names: Sequence[str], shares: Sequence[float], words: str = "", others: bool = False) -> str:
    """Return HTML that draws probabilities as horizontal bars, in the order given, with the largest one emphasised.

    Args:
        shares: the probability of each row, from 0 to 1.
        words: the text alternative, for screen readers.
        others: whether the last row sums up the classes that are not shown; such a row is never emphasised.
    """
    named = shares[:-1] if others else shares
    winner = max(range(len(named)), key=lambda index: named[index])
    colour = look.arm_colour(arm)
    rows = "".join(
        f'<div class="kd-bar{" kd-won" if index == winner else ""}"><b>{escape(name)}</b>'
        f'<div><i style="width:{100 * share:.2f}%;background:{colour}"></i></div>'
        f"<span>{escape(look.percent(share))}</span></div>"
        for index, (name, share) in enumerate(zip(class_names, shares, strict=True))
    )
    return f'<div class="kd-bars" role="img" aria-label="{escape(words)}">{rows}</div>'


def largest_with(soft_labels: Sequence[float], truth: int, count: int) -> list[int]:
    """Return the indices of the `count` most probable classes in class order.

    The true class, with index `truth`, is always among them; where needed it takes the place of the last.
    """
    ranked = sorted(range(len(soft_labels)), key=lambda index: -soft_labels[index])[:count]
    return sorted(ranked if truth in ranked else [*ranked[:-1], truth])
