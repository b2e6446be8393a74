"""Which class is taken for which: a confusion matrix as a table whose cells are shaded. Pure, no streamlit.

A table and not a chart: a screen reader reads it, it follows the page's theme and type, and a phone scrolls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pages.ui import look
from pages.ui.i18n import _
from pages.ui.viewmodels import arm_name, format_accuracy, format_count, format_signed

MOST_CLASSES = 20  # of more, their superclasses, else those that are mixed up most
MOST_CONFUSED = 12
BESIDE = 13  # columns up to which there is room for words beside the table
DIFFERENCE = "difference"  # distilled minus baseline

Counts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Heatmap:
    """Shares of each row's answers.

    Attributes:
        arm: whose answers; DIFFERENCE for distilled minus baseline.
        rows, columns: true classes, and answers; the columns may have one more, for all others.
        shares: by row; they sum to 1, those of a difference to 0.
        counts: answers behind each row, over all seeds.
        fold: "" when all classes are shown, else "superclasses" or "confused".
    """

    arm: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]
    counts: tuple[int, ...]
    fold: str


def heatmap(
    arm: str, confusion: Mapping[str, Counts], class_names: Sequence[str], superclasses: Sequence[str]
) -> Heatmap:
    """One arm's confusion, or the difference of the two students'.

    Args:
        arm: a key of `confusion`, or DIFFERENCE.
        confusion: by arm, counts [K][K], row = true class, column = answer.
    """
    rows, columns, fold = _grouping(confusion, class_names, superclasses)
    folded = {name: _folded(counts, rows, columns) for name, counts in confusion.items()}
    if arm == DIFFERENCE:
        pairs = zip(_shares(folded["distilled"]), _shares(folded["baseline"]), strict=True)
        shares = tuple(tuple(a - b for a, b in zip(one, other, strict=True)) for one, other in pairs)
        counts = tuple(sum(row) for row in folded["distilled"])
    else:
        shares, counts = _shares(folded[arm]), tuple(sum(row) for row in folded[arm])
    return Heatmap(arm, tuple(rows), tuple(columns), shares, counts, fold)


Groups = dict[str, list[int]]  # name -> indices of classes


def _grouping(
    confusion: Mapping[str, Counts], names: Sequence[str], superclasses: Sequence[str]
) -> tuple[Groups, Groups, str]:
    """What the rows and the columns hold: the same for all arms, so that they compare."""
    if len(names) <= MOST_CLASSES:
        each = {name: [index] for index, name in enumerate(names)}
        return each, each, ""
    above: Groups = {}
    for index, name in enumerate(superclasses):
        above.setdefault(name, []).append(index)
    if 2 <= len(above) <= MOST_CLASSES:
        return above, above, "superclasses"
    wrong = [0] * len(names)
    for counts in confusion.values():
        for true, row in enumerate(counts):
            for answer, count in enumerate(row):
                if true != answer:
                    wrong[true] += count
                    wrong[answer] += count
    most = sorted(sorted(range(len(names)), key=lambda index: -wrong[index])[:MOST_CONFUSED])
    rows = {names[index]: [index] for index in most}
    return rows, {**rows, _("others"): [index for index in range(len(names)) if index not in most]}, "confused"


def _folded(counts: Counts, rows: Groups, columns: Groups) -> list[list[int]]:
    return [
        [sum(counts[true][answer] for true in trues for answer in answers) for answers in columns.values()]
        for trues in rows.values()
    ]


def _shares(counts: Counts) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(count / max(1, sum(row)) for count in row) for row in counts)


def heatmap_html(map_: Heatmap, caption: str) -> str:
    """The table; a cell's shade is its share, of a difference its size in the colour of the arm that has more."""
    signed = map_.arm == DIFFERENCE
    most = max((abs(share) for row in map_.shares for share in row), default=0.0) if signed else 1.0
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in map_.columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(
            _cell(map_, share, most, f"{name} → {answer}")
            for answer, share in zip(map_.columns, map_.shares[row], strict=True)
        )
        + "</tr>"
        for row, name in enumerate(map_.rows)
    )
    many = " kd-many" if len(map_.columns) > 10 else ""
    return (
        f'<div class="kd-heat-box" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="kd-heat{many}"><caption>{escape(caption)}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(map_: Heatmap, share: float, most: float, what: str) -> str:
    signed = map_.arm == DIFFERENCE
    arm = ("distilled" if share > 0 else "baseline") if signed else map_.arm
    shade = 70 * abs(share) / most if most else 0.0
    written = f"{100 * share:+.0f}".replace("-", "−") if signed else f"{100 * share:.0f}"
    if abs(share) < 0.005:
        written = ""
    exact = f"{format_signed(share)} " + _("points") if signed else look.percent(share)
    return (
        f'<td style="background:color-mix(in srgb, {look.ARM_COLOURS[arm]} {shade:.1f}%, transparent)" '
        f'title="{escape(what)}: {escape(exact)}">{written}</td>'
    )


def caption(map_: Heatmap) -> str:
    """What to read from it, in words."""
    cells = [
        (share, true, answer)
        for true, row in zip(map_.rows, map_.shares, strict=True)
        for answer, share in zip(map_.columns, row, strict=True)
        if true != answer
    ]
    if not cells:
        return ""
    if map_.arm == DIFFERENCE:
        share, true, answer = min(cells, key=lambda cell: cell[0])
        if share >= 0:
            return _("No mix-up is rarer with the distilled student.")
        text = _("Most gained: {true} taken for {answer} is rarer by {points} points.")
        return text.format(true=true, answer=answer, points=format_signed(-share).lstrip("+"))
    share, true, answer = max(cells, key=lambda cell: cell[0])
    text = _("Most frequent mix-up, {arm}: {true} taken for {answer}, {share} of the time.")
    return text.format(arm=arm_name(map_.arm), true=true, answer=answer, share=format_accuracy(share))


def how_to_read(map_: Heatmap, classes: int) -> str:
    """What a row, a column and a colour are, and which classes are left out."""
    parts = [_("Rows: what it really is. Columns: what is answered. Numbers: percent of the row's pictures.")]
    if map_.arm == DIFFERENCE:
        parts = [
            _("Rows: what it really is. Columns: what is answered. Numbers: percentage points of the row."),
            _("Green: the distilled student answers so more often; orange: the baseline does. Green belongs on the "
              "diagonal."),
        ]  # fmt: skip
    if map_.fold == "superclasses":
        text = _("{n} classes are too many to read, so these are their superclasses; a mix-up inside one is not seen.")
        parts.append(text.format(n=format_count(classes)))
    elif map_.fold == "confused":
        text = _("Of {n} classes, these {m} are mixed up most; all others are in the last column.")
        parts.append(text.format(n=format_count(classes), m=len(map_.rows)))
    return " ".join(parts)
