"""Tags: short words that people put on runs to find them again."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from kdcore.errors import ConfigError

MAX_TAGS = 8
MAX_LETTERS = 24
_LEGAL = ("L", "M", "N")  # letters, the marks that belong to them in many scripts, digits


def clean_tags(words: Iterable[str]) -> tuple[str, ...]:
    """The words as a run keeps them: spaces tidied, each once (whatever its capitals), in the order given.

    Raises:
        ConfigError: a word that is not legal, or too many of them.
    """
    tags: dict[str, str] = {}
    for word in words:
        tag = clean_tag(word)
        tags.setdefault(tag.casefold(), tag)
    if len(tags) > MAX_TAGS:
        raise ConfigError(f"A run carries at most {MAX_TAGS} tags, not {len(tags)}; remove one before you add another.")
    return tuple(tags.values())


def clean_tag(word: str) -> str:
    """One word, composed (NFC), with single spaces and none at its ends.

    Raises:
        ConfigError: it is empty, too long, or holds something else than letters, digits, spaces, "-" and "_".
    """
    tag = unicodedata.normalize("NFC", " ".join(word.split()))
    legal = "".join(letter for letter in tag if letter in " -_" or unicodedata.category(letter)[0] in _LEGAL)
    if legal != tag or len(tag) > MAX_LETTERS or not any(letter.isalnum() for letter in tag):
        what = f'"{legal[:MAX_LETTERS]}…"' if legal != tag or len(tag) > MAX_LETTERS else f'"{tag}"'
        raise ConfigError(
            f"{what if tag else 'An empty word'} is no tag; write 1 to {MAX_LETTERS} letters, digits, spaces, "
            '"-" or "_", at least one of them a letter or a digit.'
        )
    return tag
