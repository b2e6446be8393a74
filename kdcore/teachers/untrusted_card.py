"""Read a model card from an untrusted source: every value is checked, and missing ones get defaults where possible."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Collection
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kdcore.errors import ModelFileError
from kdcore.networks.library import MAX_CLASSES, MAX_SIDE_PIXELS
from kdcore.teachers.card import UNKNOWN_DATASET, ModelCard, Normalisation, composed

MAX_CARD_BYTES = 4 * 2**20
MAX_NAME_CHARS, MAX_TEXT_CHARS = 200, 4000
MAX_DEPTH = 8  # levels of nested objects and lists
INTERPOLATIONS = ("bilinear", "bicubic")
_TEXTS = {"name": "", "dataset": UNKNOWN_DATASET, "dataset_sha256": "", "model": None, "sha256": "", "notes": ""}

_SCALING = ("mean", "std")  # may stand in the card itself, as other tools write them, or in its normalisation
_KEYS = (*(field.name for field in fields(ModelCard)), *_SCALING)


class _CardError(Exception):
    """Something is wrong with a card; the message continues a sentence that begins with "The model card NAME"."""


def read_card(weights: Path) -> ModelCard:
    """Read and check the card beside a weights file; the result is the card of a teacher.

    Only `model`, `class_names` and `image_shape` must be there; other values that are missing get defaults. The result
    has 0 for `num_params`, `macs` and `size_bytes`, whatever the file says: the caller must count them itself.

    Raises:
        ModelFileError: the card is missing, too large, no JSON, or holds a value that is not legal.
    """
    path = weights.with_suffix(".json")
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise _CardError(f"is larger than {MAX_CARD_BYTES / 2**20:.0f} MB")
        # From bytes, so that a byte-order mark and UTF-16, which some editors and shells write, are recognised.
        data = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
        if not isinstance(data, dict):
            raise _CardError("is no JSON object")
        _check_value(data, 0)
        return _card(data, weights.name)
    except FileNotFoundError as error:
        raise ModelFileError(
            f"{weights.name} has no model card; put {path.name} beside it with at least "
            '{"model": "torchvision:resnet18", "class_names": [...], "image_shape": [3, 224, 224]}.'
        ) from error
    except _CardError as error:
        raise ModelFileError(f"The model card {path.name} {error}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"The model card {path.name} could not be read as JSON; save it again.") from error


def _card(data: dict[str, Any], weights_name: str) -> ModelCard:
    _check_keys(data, _KEYS)
    texts = {name: _text(data, name, default) for name, default in _TEXTS.items()}
    class_names = _names(data, "class_names")
    superclasses = _names(data, "superclasses") if data.get("superclasses") is not None else class_names
    distinct = {composed(name) for name in class_names}
    if not 2 <= len(class_names) <= MAX_CLASSES or len(distinct) < len(class_names):
        raise _CardError(f"must name 2 to {MAX_CLASSES} classes that differ from each other in class_names")
    if len(superclasses) != len(class_names):
        raise _CardError(f"has {len(superclasses)} superclasses for {len(class_names)} class_names; give one for each")
    shape = data.get("image_shape")
    if not isinstance(shape, list) or len(shape) != 3 or not all(type(size) is int for size in shape):
        raise _CardError("must give image_shape as three whole numbers, such as [3, 224, 224]")
    if shape[0] not in (1, 3) or not all(1 <= size <= MAX_SIDE_PIXELS for size in shape[1:]):
        raise _CardError(
            f"must give image_shape with 1 or 3 channels and at most {MAX_SIDE_PIXELS} pixels a side, not {shape}"
        )
    resize = data.get("resize")
    if resize is not None and (type(resize) is not int or not max(shape[1:]) <= resize <= 2 * MAX_SIDE_PIXELS):
        raise _CardError(f"must give resize as a whole number from {max(shape[1:])} to {2 * MAX_SIDE_PIXELS}, or null")
    interpolation = _text(data, "interpolation", INTERPOLATIONS[0])
    if interpolation not in INTERPOLATIONS:
        raise _CardError(f"must give interpolation as one of: {', '.join(INTERPOLATIONS)}")
    return ModelCard(
        **texts,
        role="teacher",
        class_names=class_names,
        superclasses=superclasses,
        image_shape=(shape[0], shape[1], shape[2]),
        calibration=_number(data, "calibration", 1.0, 1e-3, 1e3),
        accuracy=None if data.get("accuracy") is None else _number(data, "accuracy", 0.0, 0.0, 1.0),
        figures=_mapping(data, "figures"),
        num_params=0,
        macs=0,
        size_bytes=0,
        recipe=_mapping(data, "recipe"),
        command=f"kdcore teachers add {weights_name}",
        seeds=(),
        date=_text(data, "date", datetime.date.today().isoformat()),
        crop=_number(data, "crop", 1.0, 0.05, 1.0),
        resize=resize,
        interpolation=interpolation,
        normalisation=_normalisation(data, channels=shape[0]),
        none_below=None if data.get("none_below") is None else _number(data, "none_below", 0.0, -1e6, 1e6),
    )


def _text(data: dict[str, Any], name: str, default: str | None) -> str:
    value = data.get(name, default)
    max_chars = MAX_TEXT_CHARS if name == "notes" else MAX_NAME_CHARS
    if not isinstance(value, str) or len(value) > max_chars or not value.isprintable():
        raise _CardError(f"must give {name} as printable text of at most {max_chars} characters")
    return value


def _names(data: dict[str, Any], name: str) -> tuple[str, ...]:
    value = data.get(name)
    if not isinstance(value, list) or not all(
        isinstance(item, str) and 1 <= len(item) <= MAX_NAME_CHARS and item.isprintable() for item in value
    ):
        raise _CardError(f"must give {name} as a list of printable names of at most {MAX_NAME_CHARS} characters")
    return tuple(value)


def _number(data: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = data.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _CardError(f"must give {name} as a number from {low:g} to {high:g}")
    return float(value)


def _normalisation(data: dict[str, Any], channels: int) -> Normalisation | None:
    """The normalisation in a card: `mean` and `std`, or an object `normalisation` that holds these."""
    scaling = {name: data[name] for name in _SCALING if data.get(name) is not None}
    if data.get("normalisation") is not None:
        if scaling:
            raise _CardError("gives mean and std twice, in normalisation and beside it; leave one of them out")
        scaling = _mapping(data, "normalisation")
        _check_keys(scaling, _SCALING)
    if not scaling:
        return None
    if set(scaling) != set(_SCALING):
        raise _CardError("gives only one of mean and std; give both, or neither")
    mean, std = _numbers(scaling, "mean", channels, 0.0, 1.0), _numbers(scaling, "std", channels, 1e-3, 10.0)
    return Normalisation(mean, std)


def _numbers(data: dict[str, Any], name: str, count: int, low: float, high: float) -> tuple[float, ...]:
    value = data[name]
    legal = isinstance(value, list) and len(value) == count
    if not legal or not all(type(one) in (int, float) and low <= one <= high for one in value):
        raise _CardError(
            f"must give {name} as a list with one number from {low:g} to {high:g} for each of {count} channels, for "
            "pixel values of 0 to 1"
        )
    return tuple(float(one) for one in value)


def _check_keys(data: dict[str, Any], known: Collection[str]) -> None:
    """Refuse a key that no card has: it may be misspelt, or mean something that would be left undone.

    Raises:
        _CardError: there is one; the message names the known key that is nearest.
    """
    for key in data:
        if key not in known:
            shown = key[:40] if key.isprintable() else ascii(key[:40])
            nearest = get_close_matches(key[:200], known, 1, 0.0)[0]
            raise _CardError(
                f'has a key "{shown}", which no card has; remove it, or write "{nearest}" if you meant that'
            )


def _mapping(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise _CardError(f"must give {name} as an object")
    return value


def _check_value(value: object, depth: int) -> None:
    """Refuse what a page could not show: deep nesting, very long text, lone surrogates, numbers that are not finite.

    Raises:
        _CardError: one of these, except for a lone surrogate.
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    if depth > MAX_DEPTH:
        raise _CardError(f"is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        value.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
        if len(value) > MAX_TEXT_CHARS:
            raise _CardError(f"holds a text of more than {MAX_TEXT_CHARS} characters")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _CardError("holds a number that is not finite")
    elif isinstance(value, dict | list):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_value(part, depth + 1)


def _refuse_constant(constant: str) -> float:
    """Refuse NaN, Infinity and -Infinity, which Python's JSON parser would accept."""
    raise _CardError(f"holds {constant}, which is no finite number")
