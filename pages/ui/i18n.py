"""The words of the app through gettext: `_("Soft labels")` is the sentence in the visitor's language.

English is written in the code. Another language is a folder `assets/locale/<language>/LC_MESSAGES/lab.mo`
and is offered as soon as it exists; nothing else changes.
"""

from __future__ import annotations

import gettext
from functools import lru_cache

from kdcore.paths import assets
from pages.ui import state

DOMAIN = "lab"
SOURCE_LANGUAGE = "en"


def _(message: str) -> str:
    """`message` in the visitor's language, or as it is."""
    return _catalogue(language()).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """The right one of two forms for `count`; the caller fills the number in."""
    return _catalogue(language()).ngettext(one, many, count)


def language() -> str:
    """The language that the visitor is spoken to in."""
    return state.language(languages())


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The languages on offer, English first."""
    found = {path.parent.parent.name for path in (assets() / "locale").glob(f"*/LC_MESSAGES/{DOMAIN}.mo")}
    return (SOURCE_LANGUAGE, *sorted(found - {SOURCE_LANGUAGE}))


@lru_cache(maxsize=16)
def _catalogue(name: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, assets() / "locale", languages=[name], fallback=True)
