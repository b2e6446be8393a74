"""Class names that every page, table and terminal can show: printable, not long, and different from each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_NAME_CHARS = 200  # as in model cards


def printable(text: str) -> str:
    """Return `text` in NFC with a replacement character for whatever cannot be printed or encoded as UTF-8.

    Python reads bytes of a file name that are no UTF-8 as lone surrogates, which cannot be written to a file.
    """
    normal = unicodedata.normalize("NFC", text)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in normal)


def usable_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return one legal class name for each of `names`, in the same order; a name that is legal stays as it is.

    White space of any kind becomes one space, signs that cannot be seen, such as those for the direction of writing,
    are left out, and what else cannot be printed is replaced. Long names are shortened, an empty name becomes its
    number ("class 3"), and of names that are equal the later ones get a number: "crane", "crane (2)".
    """
    usable: list[str] = []
    wanted = [_short(_visible(name) or f"class {place}") for place, name in enumerate(names)]
    for name in wanted:
        candidate, number = name, 1
        while candidate in usable or (number > 1 and candidate in wanted):
            number += 1
            candidate = f"{_short(name, MAX_NAME_CHARS - 8)} ({number})"
        usable.append(candidate)
    return tuple(usable)


def _visible(name: str) -> str:
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return printable(" ".join(seen.split()))


def _short(name: str, limit: int = MAX_NAME_CHARS) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"
