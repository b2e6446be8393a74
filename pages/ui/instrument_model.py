"""Builds the data of the instrument component, a dictionary that can be written as JSON, from logits and pictures.

The functions here draw nothing themselves and need no PyTorch.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pages.ui import look
from pages.ui.i18n import _

TOP = 10  # rows shown at first where there are more than 12 classes; up to 12 classes are all shown


@dataclass(frozen=True)
class Sheet:
    """One image that contains frames of the same size, arranged row by row.

    Attributes:
        url: the image as a data URL.
        frames: number of frames.
        columns: number of frames in a row.
        width, height: size of one frame, in pixels.
        alt: the text alternative.
    """

    url: str
    frames: int
    columns: int
    width: int
    height: int
    alt: str = ""


@dataclass(frozen=True)
class Morph:
    """The slider of a morph, and the frames with a name on it.

    Attributes:
        label: name of the slider.
        stops: (name, frame index) of the named frames, in ascending order.
    """

    label: str
    stops: tuple[tuple[str, int], ...]


def sheet(pictures: NDArray[np.uint8], alt: str = "", *, lossless: bool = False) -> Sheet:
    """Arrange pictures [N, H, W, 3] (or [N, H, W]) on one sheet and encode it.

    Args:
        lossless: True encodes PNG, for pictures as a network sees them; otherwise WebP at quality 88, a tenth of the
            size, which is good enough for the visitor's eye.
    """
    count, height, width = pictures.shape[:3]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    board = np.zeros((rows * height, columns * width, *pictures.shape[3:]), np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        board[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    image = Image.fromarray(board)
    url = data_url(image, "PNG") if lossless else data_url(image, "WEBP", quality=88, method=2)
    return Sheet(url, count, columns, width, height, alt)


def picture_sheet(picture: Image.Image, alt: str) -> Sheet:
    """Return a sheet with one picture of any shape, reduced to at most 640 pixels a side; no network sees it."""
    small = picture.convert("RGB")
    small.thumbnail((640, 640))
    return Sheet(data_url(small, "WEBP", quality=88, method=2), 1, 1, small.width, small.height, alt)


def data_url(image: Image.Image, kind: str, **options: int) -> str:
    """Return the image as a data URL, so that the page needs no further request for it.

    Args:
        kind: format of the image, such as "PNG".
        options: options of Pillow's encoder.
    """
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def instrument_data(
    *,
    class_names: Sequence[str],
    logits: NDArray[np.floating[Any]],  # [F, K], calibrated
    picture: Sheet,
    sees: Sheet | None = None,
    posterior: NDArray[np.floating[Any]] | None = None,  # [F, K]
    superclasses: Sequence[str] | None = None,
    morph: Morph | None = None,
    frame: int = 0,
    caption: str = "",
    lead: tuple[str, str] | None = None,
    temperature_range: tuple[float, float] = (0.2, 20.0),
) -> dict[str, Any]:
    """Return everything that the component draws, its texts included, because the component has no texts of its own.

    Args:
        class_names: names of the K classes.
        logits: calibrated logits [F, K] of each frame.
        picture: the frames as the visitor sees them.
        sees: the frames as the teacher sees them; None where they are not shown.
        posterior: the true probabilities [F, K]; None where they are unknown.
        superclasses: the superclass of each class; None where there are none.
        morph: the slider over the frames; None for a single picture.
        frame: index of the frame shown first.
        caption: text below the picture.
        lead: the sentences shown with the lights on and off.
        temperature_range: ends of the temperature slider.

    Raises:
        ValueError: shapes do not agree, or a logit is not finite; the chart would be wrong.
    """
    if logits.ndim != 2 or logits.shape[1] != len(class_names):
        raise ValueError(f"logits {logits.shape} do not fit {len(class_names)} classes")
    if posterior is not None and posterior.shape != logits.shape:
        raise ValueError(f"posterior {posterior.shape} does not fit logits {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("a logit is not finite")
    return {
        "class_names": list(class_names),
        "logits": [[round(float(z), 6) for z in row] for row in logits],
        "posterior": None if posterior is None else [[float(f"{p:.8g}") for p in row] for row in posterior],
        "superclasses": None if superclasses is None else list(superclasses),
        "picture": vars(picture).copy(),
        "sees": None if sees is None else vars(sees).copy(),
        "morph": None
        if morph is None
        else {"label": morph.label, "stops": [{"name": name, "frame": at} for name, at in morph.stops]},
        "frame": frame,
        "caption": caption,
        "lead": None if lead is None else {"on": lead[0], "off": lead[1]},
        "top": len(class_names) if len(class_names) <= 12 else TOP,
        "temperature_range": list(temperature_range),
        "colours": {"teacher": look.TEACHER, "truth": look.POSTERIOR, "glow": look.GLOW},
        "texts": _texts(sees),
    }


def _texts(sees: Sheet | None) -> dict[str, str]:
    size = f"{sees.width} × {sees.height}" if sees else ""
    return {
        "hard_label": _("hard label"),
        "lights_off": _("Lights off"),
        "lights_on": _("Lights on"),
        "hidden": _("hidden"),
        "temperature": _("Temperature"),
        "entropy": _("entropy, nats"),
        "dark": _("of the probability is dark"),
        "kl": _("nats from the truth"),
        "truth": _("true probability"),
        "sort": _("Sort"),
        "log": _("Log scale"),
        "superclasses": _("Superclasses"),
        "superclass_note": _(
            "Sums of the class probabilities at this temperature. As it rises, each sum drifts towards its share of "
            "the classes (the number in brackets)."
        ),
        "all": _("Show all {count}"),
        "fewer": _("Show top {count}"),
        "others": _("{count} others"),
        "sees": _("What the teacher sees: {size} pixels").format(size=size),
        "between": _("between {one} and {other}"),
        "drawn": _("Drawn animal head: {animal}"),
        "spoken": _("{name} {percent} percent"),
        "spoken_hidden": _("Lights off, {name} is hidden."),
    }
