"""The pieces that every page is put together from: style sheet, paragraphs, charts and one-sentence errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from kdcore.errors import KdError
from pages.ui.frame import cached
from pages.ui.kit import chart_style, formats, look
from pages.ui.session import browser, state
from pages.ui.session.i18n import _, language

if TYPE_CHECKING:
    import plotly.graph_objects as go

LARGE_TYPE = 20  # pixels of text on charts in presenter mode, readable from the back row
LIGHT_TEXT = "#d9d5ca"  # colour of text on charts in the dark theme


def style() -> None:
    """Add the style sheet that every page uses."""
    st.html(look.style_html(Path(__file__).with_name("page.css")))


def paragraph(text: str, css_class: str) -> str:
    """Return an HTML paragraph of plain text, which is escaped.

    Args:
        css_class: one of those in `page.css`.
    """
    return f'<p class="{css_class}">{escape(formats.no_break_percent(text))}</p>'


def chart_text_style() -> chart_style.TextStyle:
    """Return the text style for charts in the current theme and mode; Plotly does not take it from the page's CSS."""
    size = LARGE_TYPE if state.widget_value("present") else chart_style.TEXT_STYLE.size
    return chart_style.TextStyle(size, LIGHT_TEXT) if browser.is_dark() else chart_style.TextStyle(size)


def draw_chart(build: Callable[..., go.Figure], *arguments: object, key: str, alt: str) -> None:
    """Draw the chart that `build` makes of `arguments` and of the text style of the current theme and mode.

    Args:
        build: a pure function; it is called once for arguments that look the same (`repr`), in each language.
        key: the same on every rerun, so that the chart is updated in place.
        alt: the text alternative, for screen readers.
    """
    figure = cached.figure(build, (*arguments, chart_text_style()), language())
    st.plotly_chart(figure, config=chart_style.CONFIG, key=key, alt=alt)


@contextlib.contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Show an error of the engine as one sentence on the page, not as a traceback; the rest of the block is skipped."""
    try:
        yield
    except TeacherMissing as notice:  # not a fault: the first run trains the teacher
        st.info(str(notice), icon=":material/school:")
    except KdError as error:
        st.error(str(error))


class TeacherMissing(KdError):
    """The teacher that the example needs is not on this machine; the first run will train it."""

    def __init__(self, teacher: str) -> None:
        super().__init__(
            _(
                "The teacher {name} is not on this machine yet: the first run trains it, once. After that, this "
                "place shows a picture with what each student is told about it."
            ).format(name=teacher)
        )
