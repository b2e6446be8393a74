"""A confusion matrix as an HTML table with shaded cells. Pure, no streamlit.

It is a table and not a chart, so that screen readers can read it, it takes the page's theme and font, and it can be
scrolled on a phone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pages.ui.kit import look
from pages.ui.kit.formats import arm_name, format_accuracy, format_count, format_signed
from pages.ui.session.i18n import _

MOST_CLASSES = 20  # of more classes, show the superclasses, else the classes that are confused most
MOST_CONFUSED = 12  # classes shown when there are too many and no superclasses
MAX_COLUMNS_BESIDE_TEXT = 13  # with more columns the text is below the table instead of beside it
DIFFERENCE = "difference"  # instead of an arm: distilled minus baseline

Counts = Sequence[Sequence[int]]  # [K][K], row = true class, column = answer


@dataclass(frozen=True)
class Heatmap:
    """A confusion matrix as shares of each true class, or the difference of two.

    Attributes:
        arm: whose answers these are; DIFFERENCE for distilled minus baseline.
        rows: names of the true classes, or of groups of classes.
        columns: names of the answers; there may be one more than rows, for all other classes.
        shares: [row][column]; a row sums to 1, or to 0 for a difference.
        counts: number of answers in each row; in a difference, of distilled.
        fold: "" when all classes are shown, "superclasses" when superclasses are, or "confused" when only the classes
            that are confused most are.
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
    """Return one arm's confusion matrix, or the difference of the two students'.

    Args:
        arm: a key of `confusion`, or DIFFERENCE.
        confusion: by arm, counts [K][K], row = true class, column = answer.
        class_names: [K].
        superclasses: name of the superclass of each class, [K].
    """
    rows, columns, fold = _grouping(confusion, class_names, superclasses)
    folded = {name: _grouped_counts(counts, rows, columns) for name, counts in confusion.items()}
    if arm == DIFFERENCE:
        pairs = zip(_shares(folded["distilled"]), _shares(folded["baseline"]), strict=True)
        shares = tuple(tuple(a - b for a, b in zip(one, other, strict=True)) for one, other in pairs)
        counts = tuple(sum(row) for row in folded["distilled"])
    else:
        shares, counts = _shares(folded[arm]), tuple(sum(row) for row in folded[arm])
    return Heatmap(arm, tuple(rows), tuple(columns), shares, counts, fold)


Groups = dict[str, list[int]]  # name -> indices of the classes that are counted together


def _grouping(
    confusion: Mapping[str, Counts], names: Sequence[str], superclasses: Sequence[str]
) -> tuple[Groups, Groups, str]:
    """Return the groups of classes for rows and columns, and the `fold`.

    They are the same for all arms, so that their tables can be compared.
    """
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


def _grouped_counts(counts: Counts, rows: Groups, columns: Groups) -> list[list[int]]:
    return [
        [sum(counts[true][answer] for true in trues for answer in answers) for answers in columns.values()]
        for trues in rows.values()
    ]


def _shares(counts: Counts) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(count / max(1, sum(row)) for count in row) for row in counts)


def heatmap_html(map_: Heatmap, caption: str) -> str:
    """Return the HTML table. The larger a cell's share, the darker it is.

    In a difference, the cell has the colour of the student that gives this answer more often.
    """
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
    """Describe the table in words: the most frequent confusion of two classes.

    For a difference, it is the confusion that is reduced most from baseline to distilled.
    """
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
    """Say what rows, columns and colours mean, and how the classes were reduced.

    Args:
        classes: number of classes of the dataset.
    """
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
