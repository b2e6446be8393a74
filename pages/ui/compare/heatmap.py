"""A confusion matrix as an HTML table with shaded cells. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pages.ui.compare.heat_table import DEEPEST_SHADE, heat_cell, heat_table_html
from pages.ui.kit import look
from pages.ui.kit.formats import arm_name, format_accuracy, format_count, format_signed
from pages.ui.session.i18n import _

MOST_CLASSES = 20  # of more classes, show the superclasses, else the classes that are confused most
MOST_CONFUSED = 12  # classes shown when there are too many and no superclasses
MAX_COLUMNS_BESIDE_TEXT = 13  # with more columns the text is below the table instead of beside it
MANY_CLASSES = 10  # with more columns than this the cells are narrow
SMALLEST_WRITTEN = 0.005  # a smaller share would be written as 0; its cell is left empty
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
        grouping: "" when all classes are shown, "superclasses" when superclasses are, or "confused" when only the
            classes that are confused most are.
    """

    arm: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]
    counts: tuple[int, ...]
    grouping: str


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
    rows, columns, grouping = _grouping(confusion, class_names, superclasses)
    grouped = {name: _grouped_counts(counts, rows, columns) for name, counts in confusion.items()}
    if arm == DIFFERENCE:
        pairs = zip(_shares(grouped["distilled"]), _shares(grouped["baseline"]), strict=True)
        shares = tuple(tuple(a - b for a, b in zip(distilled, baseline, strict=True)) for distilled, baseline in pairs)
    else:
        shares = _shares(grouped[arm])
    counts = tuple(sum(row) for row in grouped["distilled" if arm == DIFFERENCE else arm])
    return Heatmap(arm, tuple(rows), tuple(columns), shares, counts, grouping)


Groups = dict[str, list[int]]  # name -> indices of the classes that are counted together


def _grouping(
    confusion: Mapping[str, Counts], names: Sequence[str], superclasses: Sequence[str]
) -> tuple[Groups, Groups, str]:
    """Return the groups of classes for rows and columns, and the `grouping` of `Heatmap`.

    They are the same for all arms, so that their tables can be compared.
    """
    if len(names) <= MOST_CLASSES:
        single = {name: [index] for index, name in enumerate(names)}
        return single, single, ""
    by_superclass: Groups = {}
    for index, name in enumerate(superclasses):
        by_superclass.setdefault(name, []).append(index)
    if 2 <= len(by_superclass) <= MOST_CLASSES:
        return by_superclass, by_superclass, "superclasses"
    wrong = [0] * len(names)
    for counts in confusion.values():
        for true, row in enumerate(counts):
            for answer, count in enumerate(row):
                if true != answer:
                    wrong[true] += count
                    wrong[answer] += count
    confused = sorted(sorted(range(len(names)), key=lambda index: -wrong[index])[:MOST_CONFUSED])
    rows = {names[index]: [index] for index in confused}
    others = [index for index in range(len(names)) if index not in confused]
    return rows, {**rows, _("others"): others}, "confused"


def _grouped_counts(counts: Counts, rows: Groups, columns: Groups) -> list[list[int]]:
    return [
        [sum(counts[true][answer] for true in trues for answer in answers) for answers in columns.values()]
        for trues in rows.values()
    ]


def _shares(counts: Counts) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(count / max(1, sum(row)) for count in row) for row in counts)


def heatmap_html(matrix: Heatmap, caption: str) -> str:
    """Return the HTML table. The larger a cell's share, the darker it is.

    In a difference, the cell has the colour of the student that gives this answer more often.
    """
    largest = max((abs(share) for row in matrix.shares for share in row), default=0.0)
    darkest = largest if matrix.arm == DIFFERENCE else 1.0
    cells = [
        [
            _cell(matrix.arm, share, darkest, f"{name} → {answer}")
            for answer, share in zip(matrix.columns, row, strict=True)
        ]
        for name, row in zip(matrix.rows, matrix.shares, strict=True)
    ]
    return heat_table_html(matrix.rows, matrix.columns, cells, caption, narrow=len(matrix.columns) > MANY_CLASSES)


def _cell(arm: str, share: float, darkest: float, classes: str) -> str:
    """Return one cell as HTML; a share of `darkest` has the deepest shade, none is larger."""
    text = f"{100 * share:.0f}" if abs(share) >= SMALLEST_WRITTEN else ""
    exact = look.percent(share)
    if arm == DIFFERENCE:
        arm = "distilled" if share > 0 else "baseline"
        text = f"{100 * share:+.0f}".replace("-", "−") if abs(share) >= SMALLEST_WRITTEN else ""
        exact = f"{format_signed(share)} " + _("points")
    shade = DEEPEST_SHADE * abs(share) / darkest if darkest else 0.0
    return heat_cell(look.ARM_COLOURS[arm], shade, f"{classes}: {exact}", text)


def caption(matrix: Heatmap) -> str:
    """Describe the table in words: the most frequent confusion of two classes.

    For a difference, it is the confusion that is reduced most from baseline to distilled.
    """
    cells = [
        (share, true, answer)
        for true, row in zip(matrix.rows, matrix.shares, strict=True)
        for answer, share in zip(matrix.columns, row, strict=True)
        if true != answer
    ]
    if not cells:
        return ""
    if matrix.arm == DIFFERENCE:
        share, true, answer = min(cells, key=lambda cell: cell[0])
        if share >= 0:
            return _("No mix-up is rarer with the distilled student.")
        text = _("Most gained: {true} taken for {answer} is rarer by {points} points.")
        return text.format(true=true, answer=answer, points=format_signed(-share).lstrip("+"))
    share, true, answer = max(cells, key=lambda cell: cell[0])
    text = _("Most frequent mix-up, {arm}: {true} taken for {answer}, {share} of the time.")
    return text.format(arm=arm_name(matrix.arm), true=true, answer=answer, share=format_accuracy(share))


def how_to_read(matrix: Heatmap, classes: int) -> str:
    """Say what rows, columns and colours mean, and how the classes were reduced.

    Args:
        classes: number of classes of the dataset.
    """
    parts = [_("Rows: what it really is. Columns: what is answered. Numbers: percent of the row's pictures.")]
    if matrix.arm == DIFFERENCE:
        parts = [
            _("Rows: what it really is. Columns: what is answered. Numbers: percentage points of the row."),
            _("Green: the distilled student answers so more often; orange: the baseline does. Green belongs on the "
              "diagonal."),
        ]  # fmt: skip
    if matrix.grouping == "superclasses":
        text = _("{n} classes are too many to read, so these are their kinds; a mix-up inside one is not seen.")
        parts.append(text.format(n=format_count(classes)))
    elif matrix.grouping == "confused":
        text = _("Of {n} classes, these {m} are mixed up most; all others are in the last column.")
        parts.append(text.format(n=format_count(classes), m=len(matrix.rows)))
    return " ".join(parts)
