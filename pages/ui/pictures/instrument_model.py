"""Builds the data of the instrument component, a dictionary that can be written as JSON, from logits and pictures.

The functions here draw nothing themselves and need no PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pages.ui.kit import look
from pages.ui.kit.images import Sheet
from pages.ui.session.i18n import _
from pages.ui.session.state import TEMPERATURE_RANGE

MAX_UNDIVIDED_ROWS = 12  # up to this number, all classes are shown at first
RULED_OUT = -1e9  # stands for the logit -inf, which JSON cannot express: its probability is 0 at every temperature
ROWS_AT_FIRST = 10  # classes shown at first where there are more


@dataclass(frozen=True)
class Morph:
    """The slider of a morph, and the frames with a name on it.

    Attributes:
        label: name of the slider.
        stops: (name, frame index) of the named frames, in ascending order.
    """

    label: str
    stops: tuple[tuple[str, int], ...]

    def data(self) -> dict[str, Any]:
        """Return the slider as a dictionary that can be written as JSON."""
        return {"label": self.label, "stops": [{"name": name, "frame": frame} for name, frame in self.stops]}


def instrument_data(
    *,
    class_names: Sequence[str],
    logits: NDArray[np.floating[Any]],  # [F, K], calibrated
    picture: Sheet,
    teacher_view: Sheet | None = None,
    posterior: NDArray[np.floating[Any]] | None = None,  # [F, K]
    superclasses: Sequence[str] | None = None,
    morph: Morph | None = None,
    frame: int = 0,
    caption: str = "",
    lead: tuple[str, str] | None = None,
    temperature_range: tuple[float, float] = TEMPERATURE_RANGE,
) -> dict[str, Any]:
    """Return everything that the component draws, its texts included, because the component has no texts of its own.

    Args:
        class_names: names of the K classes.
        logits: calibrated logits [F, K] of each frame; -inf for a class that the teacher rules out.
        picture: the frames as the visitor sees them.
        teacher_view: the frames as the teacher sees them; None where they are not shown.
        posterior: the true probabilities [F, K]; None where they are unknown.
        superclasses: the superclass of each class; None where there are none.
        morph: the slider over the frames; None for a single picture.
        frame: index of the frame shown first.
        caption: text below the picture.
        lead: the sentences shown with the lights on and off.
        temperature_range: ends of the temperature slider.

    Raises:
        ValueError: shapes do not agree, or a logit is not a number or +inf; the chart would be wrong.
    """
    _check(class_names, logits, posterior)
    return {
        "class_names": list(class_names),
        "logits": [[round(max(float(z), RULED_OUT), 6) for z in row] for row in logits],
        "posterior": None if posterior is None else [[float(f"{p:.8g}") for p in row] for row in posterior],
        "superclasses": None if superclasses is None else list(superclasses),
        "picture": vars(picture).copy(),
        "sees": None if teacher_view is None else vars(teacher_view).copy(),
        "morph": None if morph is None else morph.data(),
        "frame": frame,
        "caption": caption,
        "lead": None if lead is None else {"on": lead[0], "off": lead[1]},
        "top": len(class_names) if len(class_names) <= MAX_UNDIVIDED_ROWS else ROWS_AT_FIRST,
        "temperature_range": list(temperature_range),
        "colours": {"teacher": look.TEACHER, "truth": look.POSTERIOR, "glow": look.GLOW},
        "texts": _texts(teacher_view),
    }


def _check(
    class_names: Sequence[str], logits: NDArray[np.floating[Any]], posterior: NDArray[np.floating[Any]] | None
) -> None:
    if logits.ndim != 2 or logits.shape[1] != len(class_names):
        raise ValueError(f"logits {logits.shape} do not fit {len(class_names)} classes")
    if posterior is not None and posterior.shape != logits.shape:
        raise ValueError(f"posterior {posterior.shape} does not fit logits {logits.shape}")
    if not np.isfinite(logits.max(1)).all():  # the largest logit of a frame is NaN if any of them is
        raise ValueError("a logit is not a number or +inf")


def _texts(teacher_view: Sheet | None) -> dict[str, str]:
    """Return all texts that the component shows or speaks, by the key by which its script looks them up."""
    size = f"{teacher_view.width} × {teacher_view.height}" if teacher_view else ""
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
