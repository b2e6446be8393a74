"""The style that all Plotly charts share: type sizes, grid, error bars and colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "responsive": True}
GRID = "rgba(128,132,145,0.22)"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # of lines that a colour does not tell apart


@dataclass(frozen=True)
class TextStyle:
    """The text style of a chart: size in pixels, and a colour that is readable on the page's background."""

    size: int = 15
    colour: str = "#40444e"

    @property
    def font(self) -> dict[str, Any]:
        """The style as a `font` argument of Plotly."""
        return {"size": self.size, "color": self.colour}


TEXT_STYLE = TextStyle()


def error_bar(accuracy: Mapping[str, Any], colour: str) -> dict[str, Any]:
    """Return a 95 % interval (0 to 1, drawn in percent) as an error bar of Plotly; an invisible one without interval.

    Args:
        accuracy: with "mean" and "ci95", as in a run's result.
    """
    interval = accuracy.get("ci95")
    if not interval:
        return {"visible": False}
    low, high = interval
    return {
        "type": "data", "array": [100 * (high - accuracy["mean"])], "arrayminus": [100 * (accuracy["mean"] - low)],
        "color": colour, "thickness": 2.5, "width": 7,
    }  # fmt: skip


def style_figure(
    figure: go.Figure,
    text: TextStyle,
    revision: str,
    xaxis: Mapping[str, Any],
    yaxis: Mapping[str, Any],
    legend: bool = False,
    top: int = 12,
    **layout: Any,
) -> None:
    """Give a figure the style that all charts share, with what is its own: text, grid, margins, legend, hover labels.

    Everything is set at once, because Plotly checks the whole layout at every update of a part of it.

    Args:
        revision: while it stays the same, Plotly keeps what the visitor did to the chart, such as hiding a curve.
        xaxis, yaxis: properties of this figure's axes, as Plotly names them; they go before the shared ones.
        legend: whether a legend is shown above the chart.
        top: margin above a chart without legend, in pixels.
        layout: further properties of this figure's layout, which go before the shared ones; those of a part of it are
            named with an underscore, such as `legend_itemwidth`.
    """
    axis = {
        "title": {"font": text.font}, "tickfont": text.font, "zeroline": False, "fixedrange": True, "automargin": True,
    }  # fmt: skip
    figure.layout = {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": text.font,
        "margin": {"l": 8, "r": 12, "t": 44 if legend else top, "b": 8}, "showlegend": legend,
        "hovermode": "x unified", "hoverlabel": {"font": {"size": text.size}}, "uirevision": revision,
        "dragmode": False, "height": 400,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": text.font},
        "xaxis": {**axis, "showgrid": False, **_titled(xaxis, text)},
        "yaxis": {**axis, "gridcolor": GRID, **_titled(yaxis, text)},
        "shapes": figure.layout.shapes, "annotations": figure.layout.annotations,  # which the chart holds already
        **layout,
    }  # fmt: skip


def _titled(axis: Mapping[str, Any], text: TextStyle) -> dict[str, Any]:
    """Return the properties of an axis with its title, a plain text, in the given style."""
    return {**axis, "title": {"text": axis["title"], "font": text.font}} if "title" in axis else dict(axis)


def plain_text(name: str) -> str:
    """Escape a name for Plotly, which would read signs such as <b> in it as formatting."""
    return escape(name, quote=False)


def wrap_name(name: str) -> str:
    """Break a name into lines of at most 16 characters, so that on a phone the labels leave room for the chart.

    The lines are escaped for Plotly.
    """
    return "<br>".join(plain_text(line) for line in wrap(name, 16))


def with_opacity(colour: str, opacity: float) -> str:
    """Return a colour such as `#0072B2` with an opacity (0 to 1), for CSS and Plotly."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
