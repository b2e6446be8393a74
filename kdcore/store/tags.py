"""Tags: short words that people put on runs to find them again."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from kdcore.errors import ConfigError

MAX_TAGS = 8
MAX_LETTERS = 24
_LEGAL = ("L", "M", "N")  # Unicode categories: letters, marks such as the vowel signs of many scripts, numbers


def clean_tags(words: Iterable[str]) -> tuple[str, ...]:
    """Return tags in the form in which they are stored: each as `clean_tag` returns it, without duplicates (which may
    differ in upper and lower case), in the order given.

    Raises:
        ConfigError: a text is not a legal tag, or there are more than `MAX_TAGS`.
    """
    tags: dict[str, str] = {}
    for word in words:
        tag = clean_tag(word)
        tags.setdefault(tag.casefold(), tag)
    if len(tags) > MAX_TAGS:
        raise ConfigError(f"A run carries at most {MAX_TAGS} tags, not {len(tags)}; remove one before you add another.")
    return tuple(tags.values())


def clean_tag(word: str) -> str:
    """Return a tag in the Unicode form NFC, with single spaces inside and none at its ends.

    Raises:
        ConfigError: the tag has no letter or digit, is longer than `MAX_LETTERS`, or contains something else than
            letters, digits, spaces, "-" and "_".
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
