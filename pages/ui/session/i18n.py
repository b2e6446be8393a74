"""Translation of the app's texts with gettext: `_("Soft labels")` returns the text in the visitor's language.

The code contains the English texts. To add another language, put its compiled catalogue at
`assets/locale/<language>/LC_MESSAGES/lab.mo`: the app offers the language from its next start, with no change to the
code.
"""

from __future__ import annotations

import gettext
from functools import lru_cache

from kdcore.machine.paths import assets
from pages.ui.session import state

DOMAIN = "lab"
SOURCE_LANGUAGE = "en"


def _(message: str) -> str:
    """Return `message` in the visitor's language, or unchanged where it has no translation."""
    return _catalogue(language()).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """Return the singular or plural form for `count`, translated; the caller fills in the number."""
    return _catalogue(language()).ngettext(one, many, count)


def language() -> str:
    """Return the code of the visitor's language, such as "en"."""
    return state.language(languages())


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """Return the codes of all available languages, English first."""
    found = {path.parent.parent.name for path in (assets() / "locale").glob(f"*/LC_MESSAGES/{DOMAIN}.mo")}
    return (SOURCE_LANGUAGE, *sorted(found - {SOURCE_LANGUAGE}))


@lru_cache(maxsize=16)
def _catalogue(name: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, assets() / "locale", languages=[name], fallback=True)
