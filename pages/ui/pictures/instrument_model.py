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

MAX_UNDIVIDED_ROWS = 12  # up to this number, all classes, or all kinds, are shown at first
RULED_OUT = -1e9  # stands for the logit -inf, which JSON cannot express: its probability is 0 at every temperature
ROWS_AT_FIRST = 10  # classes shown at first where there are more
KINDS_AT_FIRST = 9  # kinds shown at first where there are more; "everything else" is the tenth row
# A picture of one of these kinds is compared with all of them: they are shown also where other kinds are likelier. Most
# of the noise of a teacher of 1,000 classes lies in large kinds of things, and a row of it would tell nobody anything.
RELATIVES = ("wolf", "dog", "wild dog", "fox", "cat", "big cat", "bear")
LEAST_SHARE = 0.02  # share at T = 1 from which another kind is shown beside the relatives
ROWS_INSIDE = 5  # classes shown of a kind that is opened


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
        superclasses: the superclass of each class; None where there are none. Where there are too many classes to show
            them all, the superclasses, which pages call kinds, are shown first.
        morph: the slider over the frames; None for a single picture.
        frame: index of the frame shown first.
        caption: text below the picture.
        lead: the sentences shown with the lights on and off.
        temperature_range: ends of the temperature slider.

    Raises:
        ValueError: shapes do not agree, or a logit is not a number or +inf; the chart would be wrong.
    """
    _check(class_names, logits, posterior, superclasses)
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
        **_rows_at_first(len(class_names), superclasses or ()),
        "temperature_range": list(temperature_range),
        "colours": {"teacher": look.TEACHER, "truth": look.POSTERIOR, "glow": look.GLOW},
        "texts": _texts(teacher_view),
    }


def _rows_at_first(num_classes: int, superclasses: Sequence[str]) -> dict[str, Any]:
    """Return which rows are shown before the visitor asks for others, as a dictionary that can be written as JSON."""
    num_kinds = len(set(superclasses))
    relatives = [name for name in RELATIVES if name in superclasses]
    return {
        "kinds_first": num_classes > MAX_UNDIVIDED_ROWS,
        "top": num_classes if num_classes <= MAX_UNDIVIDED_ROWS else ROWS_AT_FIRST,
        "top_kinds": num_kinds if num_kinds <= MAX_UNDIVIDED_ROWS else KINDS_AT_FIRST,
        "top_inside": ROWS_INSIDE,
        "relatives": relatives if len(relatives) > 1 else [],
        "least_share": LEAST_SHARE,
    }


def _check(
    class_names: Sequence[str],
    logits: NDArray[np.floating[Any]],
    posterior: NDArray[np.floating[Any]] | None,
    superclasses: Sequence[str] | None,
) -> None:
    if logits.ndim != 2 or logits.shape[1] != len(class_names):
        raise ValueError(f"logits {logits.shape} do not fit {len(class_names)} classes")
    if posterior is not None and posterior.shape != logits.shape:
        raise ValueError(f"posterior {posterior.shape} does not fit logits {logits.shape}")
    if superclasses is not None and len(superclasses) != len(class_names):
        raise ValueError(f"{len(superclasses)} superclasses do not fit logits of {len(class_names)} classes")
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
        "scope": _("What the bars show"),
        "kinds": _("{count} kinds"),
        "classes": _("{count} classes"),
        "everything_else": _("everything else"),
        "rules": _("Sum first or soften first?"),
        "rule_sum": _(
            "Sum first, then soften: each kind's classes are summed at T = 1, and the temperature softens the kinds. "
            "These are the answers on this page."
        ),
        "rule_soften": _(
            "Soften first, then sum: every class is softened by itself. As T rises, each kind drifts to its number of "
            "classes, whatever the picture shows: {name} to {share}, with {count} of {total} classes."
        ),
        "rules_agree": _("At T = 1 the two are equal. Drag the temperature."),
        "all": _("Show all {count}"),
        "fewer": _("Show fewer"),
        "others": _("{count} others"),
        "sees": _("What the teacher sees: {size} pixels").format(size=size),
        "between": _("between {one} and {other}"),
        "drawn": _("Drawn animal head: {animal}"),
        "spoken": _("{name} {percent} percent"),
        "spoken_hidden": _("Lights off, {name} is hidden."),
    }
