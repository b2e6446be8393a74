"""Occlusion maps as pictures and sentences: which places speak for a class, and which against it.

The functions here only return texts or HTML; they draw nothing themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pages.ui.kit import look
from pages.ui.kit.formats import no_break_percent
from pages.ui.kit.images import data_url
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.occlusion import OcclusionMaps

# Yellow and violet are told apart with every common colour-vision deficiency, and no arm has one of them.
FOR, AGAINST = (255, 196, 0), (123, 31, 214)
DEEPEST = 0.8  # opacity of the colour at the end of the scale; the picture stays visible below it
# The picture is drawn in the greys DARKEST + CONTRAST * grey, so that the colours show on black and on white too.
DARKEST, CONTRAST = 60, 0.6
SIDE = 336  # side of a drawn map, in pixels, at least
SMALLEST_SCALE = math.log(1.5)  # in nats; smaller effects than this never have the deepest colour
NO_EFFECT = math.log(1.05)  # in nats; what changes the odds by less than 5 % is not worth a sentence
LARGEST_FACTOR = 1000  # larger factors are not written out


@dataclass(frozen=True)
class MapView:
    """The map of one class, or kind.

    Attributes:
        url: the picture in grey, with the colours over it, as a data URL.
        alt: the text alternative.
        sentence: what the strongest places do.
    """

    name: str
    url: str
    alt: str
    sentence: str


def ranked_groups(maps: OcclusionMaps) -> list[tuple[str, float]]:
    """Return each group's name and its probability at T = 1, the most probable first."""
    shares = maps.log_odds.sigmoid().tolist()
    return sorted(zip(maps.groups, shares, strict=True), key=lambda pair: -pair[1])


def common_scale(maps: OcclusionMaps, names: Sequence[str]) -> float:
    """Return the end of the colour scale that the maps of these groups share, in nats."""
    falls = [np.abs(_falls(maps, name)).max() for name in names]
    return max(SMALLEST_SCALE, *(float(fall) for fall in falls))


def map_view(maps: OcclusionMaps, name: str, scale: float) -> MapView:
    """Return the map of one group.

    Args:
        name: one of `maps.groups`.
        scale: the end of the colour scale, in nats; see `common_scale`.
    """
    falls = _falls(maps, name)
    alt = _(
        "Map for {name}: the picture in grey, yellow where covering it lowers the odds of {name}, violet where it "
        "raises them."
    )
    picture = Image.fromarray(_overlay(maps.picture.numpy(), falls, scale))
    return MapView(name, data_url(picture, "WEBP", quality=88, method=2), alt.format(name=name), _sentence(name, falls))


def _falls(maps: OcclusionMaps, name: str) -> NDArray[np.float64]:
    falls: NDArray[np.float64] = maps.falls[maps.groups.index(name)].numpy()
    return falls


def _overlay(picture: NDArray[np.uint8], falls: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    """Return a picture [C, H, W] in grey with the colours of its map over it: uint8 [h, w, 3]."""
    image = Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)).convert("L")
    width, height = (size * math.ceil(SIDE / min(image.size)) for size in image.size)
    enlarging = Image.Resampling.NEAREST if min(image.size) < SIDE // 4 else Image.Resampling.BICUBIC
    grey = DARKEST + CONTRAST * np.asarray(image.resize((width, height), enlarging), np.float64)[..., None]
    smooth = Image.fromarray(falls.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    strength = np.clip(np.asarray(smooth, np.float64)[..., None] / scale, -1, 1)
    colour = np.where(strength > 0, np.array(FOR), np.array(AGAINST))
    opacity = DEEPEST * np.abs(strength)
    return np.rint(grey * (1 - opacity) + colour * opacity).astype(np.uint8)


def _sentence(name: str, falls: NDArray[np.float64]) -> str:
    """Say what covering the strongest places does to the odds of a group."""
    parts = []
    if falls.max() >= NO_EFFECT:
        text = _("Most for it: {place}. Covered there, the odds of {name} fall to {factor}.")
        parts.append(text.format(place=_place(falls), name=name, factor=_fraction(float(falls.max()))))
    if falls.min() <= -NO_EFFECT:
        text = _("Most against it: {place}. Covered there, they rise {factor}-fold.")
        if not parts:
            text = _("Most against it: {place}. Covered there, the odds of {name} rise {factor}-fold.")
        parts.append(text.format(place=_place(-falls), name=name, factor=_factor(float(-falls.min()))))
    if not parts:
        return _("Wherever one place is covered, the odds of {name} change by less than 5 %.").format(name=name)
    return " ".join(parts)


def _place(strengths: NDArray[np.float64]) -> str:
    """Return in words in which ninth of the picture the strongest place lies."""
    rows, columns = strengths.shape
    row, column = divmod(int(strengths.argmax()), columns)
    third = 3 * ((2 * row + 1) * 3 // (2 * rows)) + (2 * column + 1) * 3 // (2 * columns)
    names = (
        _("upper left"), _("top"), _("upper right"),
        _("left"), _("centre"), _("right"),
        _("lower left"), _("bottom"), _("lower right"),
    )  # fmt: skip
    return names[third]


def _factor(nats: float) -> str:
    """Write a factor of the odds, from its logarithm: `1.4`, `23`, `over 1,000`."""
    factor = math.exp(min(nats, 2 * math.log(LARGEST_FACTOR)))
    if factor > LARGEST_FACTOR:
        return _("over {factor:,}").format(factor=LARGEST_FACTOR)
    return f"{factor:.1f}" if factor < 10 else f"{factor:.0f}"


def _fraction(nats: float) -> str:
    """Write the share of the odds that is left after they fell by so many nats: `27 %`, `< 0.1 %`."""
    share = math.exp(-nats)
    if share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def map_html(view: MapView) -> str:
    """Return one map with its sentence as HTML."""
    return (
        f'<figure class="kd-look"><img src="{view.url}" alt="{escape(view.alt)}">'
        f"<figcaption>{escape(no_break_percent(view.sentence))}</figcaption></figure>"
    )


def legend_html(scale: float) -> str:
    """Return the colour scale of the maps as HTML.

    Args:
        scale: its end, in nats.
    """
    against = _("speaks against: covered, the odds rise {factor}-fold").format(factor=_factor(scale))
    speaks_for = _("speaks for: covered, the odds fall to {share}").format(share=_fraction(scale))
    ends = [f"rgba({', '.join(map(str, colour))}, {DEEPEST})" for colour in (AGAINST, FOR)]
    bar = f"linear-gradient(90deg, {ends[0]}, transparent, {ends[1]})"
    return (
        f'<div class="kd-look-legend"><span>{escape(against)}</span>'
        f'<i style="background: {bar}, #8a8a8a"></i><span>{escape(no_break_percent(speaks_for))}</span></div>'
    )


def style() -> str:
    """Return the style sheet of the maps as a `<style>` element."""
    return look.style_html(Path(__file__).with_name("occlusion.css"))


def limits_text() -> str:
    """Say how the maps are made, with the source, and what they cannot show."""
    return _(
        "One square after another is covered with the picture's mean colour, and the teacher answers each time; the "
        "colours show how the odds of the class against all others change, the mean over all squares that cover a "
        "place (Zeiler and Fergus 2014, section 4.2). Such a map shows where, not why. It misses what is seen in "
        "several places at once, and the teacher never learned pictures with squares in them. That a map looks "
        "plausible proves nothing about the network (Adebayo et al. 2018, “Sanity Checks for Saliency Maps”)."
    )
