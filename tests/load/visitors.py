"""Many visitors at once, who change pages and think in between, and what they waited."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.load.visitor import PAGES, PageView, visit

Result = TypeVar("Result")
THOUGHT = 4.0  # seconds between the end of one page and the request for the next


async def stroll(
    url: str,
    number: int,
    seconds: float,
    thought: float = THOUGHT,
    query: Mapping[str, str] | None = None,
    pages: Sequence[str] = PAGES,
) -> list[PageView]:
    """Let one visitor change pages for some seconds, in a random order that depends on `number` only.

    The first page, which opens the session, comes within one `thought`, so that visitors do not arrive all at once.
    """
    order, end, seen = random.Random(number), time.monotonic() + seconds, []
    await asyncio.sleep(order.uniform(0, thought))
    try:
        async with visit(url, number, dict(query or {})) as visitor:
            here = ""
            while time.monotonic() < end and not (seen and seen[-1].errors):
                here = order.choice([page for page in pages if page != here])
                seen.append(await visitor.open(here))
                await asyncio.sleep(order.uniform(0.5, 1.5) * thought)
    except (OSError, TimeoutError) as error:
        seen.append(PageView("connection", 0.0, 0, (f"{type(error).__name__}: {error}",)))
    return seen


async def crowd(
    url: str,
    visitors: int,
    seconds: float,
    thought: float = THOUGHT,
    queries: Iterable[Mapping[str, str]] = ({},),
    pages: Sequence[str] = PAGES,
) -> list[PageView]:
    """Let so many visitors change pages at once for some seconds; `queries` are dealt out in turn."""
    dealt = list(queries)
    strolls = (stroll(url, n + 1, seconds, thought, dealt[n % len(dealt)], pages) for n in range(visitors))
    return [view for views in await asyncio.gather(*strolls) for view in views]


async def come_and_go(
    url: str, sessions: int, at_once: int = 8, first: int = 1, pages: Sequence[str] = PAGES
) -> list[PageView]:
    """Let so many visitors come, see one page each, and close the tab, at most `at_once` at the same time."""
    turn, seen = asyncio.Semaphore(at_once), []

    async def one(number: int) -> None:
        async with turn, visit(url, number) as visitor:
            seen.append(await visitor.open(pages[number % len(pages)]))

    await asyncio.gather(*(one(first + n) for n in range(sessions)))
    return seen


async def change_pages(
    url: str, changes: int, number: int = 1, query: Mapping[str, str] | None = None, pages: Sequence[str] = PAGES
) -> list[PageView]:
    """Let one visitor go through the pages in order without a pause, until so many pages were opened."""
    async with visit(url, number, dict(query or {})) as visitor:
        return [await visitor.open(pages[n % len(pages)]) for n in range(changes)]


def in_own_thread(waiting: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in another thread: a browser under test has its event loop in the main one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, waiting).result()


def figures(views: Iterable[PageView]) -> dict[str, Any]:
    """Summarise what visitors waited: p50 and p95 in seconds for each page and for all, and the errors counted."""
    seen = list(views)
    by_page = {page: [view for view in seen if view.page == page] for page in PAGES}
    errors = Counter(error for view in seen for error in view.errors)
    return {
        "pages": {page: _waited(found) for page, found in by_page.items() if found},
        "all": _waited(seen),
        "errors": dict(errors),
    }


def _waited(views: list[PageView]) -> dict[str, float]:
    seconds = sorted(view.seconds for view in views)
    return {
        "views": len(seconds),
        "p50": round(quantile(seconds, 0.5), 4),
        "p95": round(quantile(seconds, 0.95), 4),
        "kib": round(statistics.fmean(view.bytes for view in views) / 1024, 1) if views else 0.0,
    }


def quantile(ordered: list[float], share: float) -> float:
    """Return the smallest of the ordered values that at least `share` of them do not exceed; nan for no value."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else float("nan")
