"""Numbers, names and times as the pages write them; the functions here only return texts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kdcore.settings.controls import CONTROLS
from pages.ui.kit import look
from pages.ui.session.i18n import _

_MARKDOWN_SIGNS = re.compile(r"[\\`*_\[\]<>$~]")
BAND_SEEDS = 3  # fewest seeds for an interval band; with two (Student's t = 12.7) it would cover the chart


def format_accuracy(share: float) -> str:
    """Format a share (0 to 1) of pictures: `73.2 %`; one below 0, as a calibration error may be, is shown as 0."""
    return f"{100 * max(share, 0.0):.1f} %"


def format_interval(bounds: Sequence[float] | None) -> str:
    """Format an interval of shares (0 to 1): `71.0 to 75.3 %`; a dash when there is none. Ends below 0 become 0."""
    low, high = (100 * max(bound, 0.0) for bound in bounds or (0.0, 0.0))
    return _("{low:.1f} to {high:.1f} %").format(low=low, high=high) if bounds else "–"


def format_points(difference: float) -> str:
    """Format a difference of two shares in percentage points: `8.1`."""
    return f"{100 * difference:.1f}"


def format_signed(difference: float) -> str:
    """Format a difference of two shares in percentage points with its sign, a true minus sign: `+1.2`, `−0.9`."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def format_ms(milliseconds: float) -> str:
    """Format milliseconds with two significant digits: `0.53 ms`, `12 ms`, `120 ms`."""
    if milliseconds <= 0:
        return "0 ms"
    digits = 1 - math.floor(math.log10(milliseconds))
    rounded = round(milliseconds, digits)
    digits = 1 - math.floor(math.log10(rounded))  # rounding can add a digit: 9.96 becomes 10
    return f"{rounded:.{max(0, digits)}f} ms"


def format_count(number: float) -> str:
    """Format a count: `9,842`, `1.2 million`, `1.2 billion`."""
    for size, word in ((1e9, _("{n} billion")), (1e6, _("{n} million"))):
        if number >= size:
            return word.format(n=f"{number / size:.1f}")
    return f"{number:,.0f}"


def format_size(num_bytes: float) -> str:
    """Format a file size, from bytes: `39 kB`, `12.3 MB`."""
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"


def format_duration(seconds: float) -> str:
    """Format a duration, from seconds: `42 s`, `3 min 5 s`, `1 h 12 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{s} s").format(s=whole)
    if whole < 3600:
        return _("{m} min {s} s").format(m=whole // 60, s=whole % 60)
    return _("{h} h {m} min").format(h=whole // 3600, m=whole % 3600 // 60)


def format_when(seconds: float) -> str:
    """Format a moment (seconds since 1970) in this machine's time zone: `2026-11-21 14:05`."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def join_names(names: Sequence[str], limit: int = 12) -> str:
    """Join names by commas, and count those after the first `limit`: `wolf, dog and 105 more`."""
    shown = ", ".join(names[:limit])
    more = len(names) - limit
    return _("{names} and {n} more").format(names=shown, n=more) if more > 0 else shown


def short_names(names: Sequence[str], limit: int = 28) -> list[str]:
    """Return names of at most `limit` letters for charts and tables; shortened ones that became equal get a number."""
    shortened: list[str] = []
    for name in names:
        short, number = name if len(name) <= limit else f"{name[: limit - 1]}…", 1
        while len(name) > limit and short in (*shortened, *names):
            number += 1
            short = f"{name[: limit - 6]}… ({number})"
        shortened.append(short)
    return shortened


def join_with_and(names: Sequence[str]) -> str:
    """Join all names for a sentence: `wolf, dog and fox`."""
    return _("{names} and {last}").format(names=", ".join(names[:-1]), last=names[-1]) if names[1:] else names[0]


def arm_name(arm: str) -> str:
    """Return an arm's name for use within a sentence; a control has its title, in lower case."""
    if arm in CONTROLS:
        title = _(CONTROLS[arm].title)
        return title[:1].lower() + title[1:]
    names = {
        "teacher": _("teacher"),
        "baseline": _("baseline"),
        "distilled": _("distilled"),
        "posterior": _("taught by the posterior"),
    }
    return names.get(arm, arm)


@dataclass(frozen=True)
class Readout:
    """One arm's number above a chart, which serves as the legend too.

    Attributes:
        name: of the arm or of the quantity, as shown.
        value: formatted.
        detail: the interval, formatted; "" for none.
    """

    arm: str
    name: str
    value: str
    detail: str


def capitalised(words: str) -> str:
    """Return words with a capital first letter; the others stay as they are."""
    return words[:1].upper() + words[1:]


def no_break_percent(words: str) -> str:
    """Put a no-break space before every "%", so that no line starts with a percent sign."""
    return words.replace(" %", "\u00a0%")


def as_markdown(words: str) -> str:
    """Escape a sentence with names in it for Streamlit, which would read signs such as `$` and `*` as Markdown."""
    return _MARKDOWN_SIGNS.sub(r"\\\g<0>", words)


def rough_time(seconds: float) -> str:
    """Format an estimated time, from seconds: `a second or less`, `42 s`, `12 min`, `1 h 10 min`."""
    if seconds < 1.5:
        return _("a second or less")
    if seconds < 60:
        return format_duration(seconds)
    minutes = round(seconds / 60) if seconds < 3570 else 10 * round(seconds / 600)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return _("{m} min").format(m=minutes)
    return _("{h} h {m} min").format(h=hours, m=rest) if rest else _("{h} h").format(h=hours)


def probabilities_caption(class_names: Sequence[str], shares: Sequence[float]) -> str:
    """Describe a chart of probabilities in words: the five largest, the largest first."""
    order = sorted(range(len(shares)), key=lambda index: -shares[index])[:5]
    return ", ".join(f"{class_names[index]} {look.percent(shares[index])}" for index in order)
