"""A table with shaded cells as HTML: confusions or similarities of classes. Pure, no streamlit.

It is a table and not a chart, so that screen readers can read it, it takes the page's theme and font, and it can be
scrolled on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pages.ui.kit.formats import short_names

DEEPEST_SHADE = 70.0  # percent of the colour in the darkest cell; the text in it must stay readable


def heat_table_html(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]], caption: str, narrow: bool
) -> str:
    """Return the table as HTML; the names, of which long ones are shortened, and the caption are escaped.

    Args:
        rows, columns: names of the classes.
        cells: [row][column], from `heat_cell`.
        narrow: whether there are so many columns that their cells must be narrow.
    """
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in short_names(columns))
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(row)}</tr>'
        for name, row in zip(short_names(rows), cells, strict=True)
    )
    return (
        f'<div class="kd-heat-box" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="kd-heat{" kd-many" if narrow else ""}"><caption>{escape(caption)}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def heat_cell(colour: str, shade: float, title: str, text: str) -> str:
    """Return one cell as HTML; the title is escaped.

    Args:
        shade: percent of the colour in the cell, at most `DEEPEST_SHADE`.
        title: the exact value in words, shown when the pointer rests on the cell.
        text: what is written in the cell.
    """
    background = f"color-mix(in srgb, {colour} {shade:.1f}%, transparent)"
    return f'<td style="background:{background}" title="{escape(title)}">{text}</td>'
