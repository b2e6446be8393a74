"""The instrument's view-model: logits, pictures and words in, one JSON-able dictionary out. No widget, no torch."""

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

TOP = 10  # rows shown of many classes; up to 12 classes are all shown


@dataclass(frozen=True)
class Sheet:
    """Frames of one size on one sheet, row by row.

    Attributes:
        url: the sheet as a data URL.
        frames, columns: how many there are, and how many stand in a row.
        width, height: of one frame, in pixels.
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
    """A way from one named frame to the next: `stops` are (name, frame index), ascending."""

    label: str
    stops: tuple[tuple[str, int], ...]


def sheet(pictures: NDArray[np.uint8], alt: str = "", *, lossless: bool = False) -> Sheet:
    """Lay pictures [N, H, W, 3] (or [N, H, W]) out on one sheet and encode it.

    Lossless is for what a network sees; for the eye WebP at quality 88 is a tenth of the size.
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
    """One picture of any shape as a sheet of one frame, at most 640 pixels a side: it is for the eye only."""
    small = picture.convert("RGB")
    small.thumbnail((640, 640))
    return Sheet(data_url(small, "WEBP", quality=88, method=2), 1, 1, small.width, small.height, alt)


def data_url(image: Image.Image, kind: str, **options: int) -> str:
    """The image in a URL, so that the page needs no second request."""
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
    """Everything the component draws from, its words included: the component holds none of its own.

    Raises ValueError when shapes do not agree or a logit is not finite: such a chart would lie.
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
