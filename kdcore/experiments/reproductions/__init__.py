"""The published experiments that this engine repeats: `kdcore reproduce NAME`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kdcore.errors import UnknownName
from kdcore.events import Event
from kdcore.experiments.reproductions import hinton2015

REPRODUCTIONS: dict[str, Callable[..., Iterator[Event]]] = {hinton2015.NAME: hinton2015.reproduce}


def find_reproduction(name: str) -> Callable[..., Iterator[Event]]:
    """Return the function that runs the reproduction called `name`, such as `hinton2015.reproduce`.

    Raises:
        UnknownName: there is no such reproduction.
    """
    if name not in REPRODUCTIONS:
        raise UnknownName("reproduction", name, REPRODUCTIONS)
    return REPRODUCTIONS[name]
