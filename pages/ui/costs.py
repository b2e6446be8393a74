"""What answers cost in time, in arithmetic, and in the visitor's own money. Pure, no streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pages.ui.i18n import _, ngettext
from pages.ui.tables import Cell, Row, Table
from pages.ui.viewmodels import arm_name, format_count, format_ms, in_order

PICTURES = 1000


@dataclass(frozen=True)
class Cost:
    """A thousand pictures: seconds at the batch size that is fastest a picture, and multiply-accumulates."""

    batch_size: int
    seconds: float
    macs: float

    def money(self, price_of_an_hour: float) -> float:
        """In the unit of the price."""
        return self.seconds / 3600 * price_of_an_hour


def cost_of(row: Mapping[str, Any], latency: Sequence[Mapping[str, Any]]) -> Cost:
    """One arm's cost, from p50 at every batch size that was measured."""
    best = min(latency, key=lambda one: one["p50"] / one["batch_size"])
    seconds = best["p50"] / 1000 / best["batch_size"] * PICTURES
    return Cost(best["batch_size"], seconds, PICTURES * row["macs"])


def costs_table(
    arms: Mapping[str, Any], latency: Mapping[str, Sequence[Mapping[str, Any]]], price: float | None
) -> Table:
    """A thousand pictures for each arm.

    Args:
        price: what an hour of this machine costs, in any currency, by the visitor's own word; None for no money.
    """
    ordered = in_order(arms)
    costs = {arm: cost_of(row, latency[arm]) for arm, row in ordered.items()}
    at_batch = _("in batches of {n}")
    rows = [
        Row(
            _("Time"), _("of this machine"),
            tuple(Cell(_seconds(cost.seconds), at_batch.format(n=cost.batch_size)) for cost in costs.values()),
        ),
        Row(_("MACs"), _("multiplications"), tuple(Cell(format_count(cost.macs)) for cost in costs.values())),
    ]  # fmt: skip
    if price is not None:
        million = _("a million: {money}")
        cells = (
            Cell(format_money(cost.money(price)), million.format(money=format_money(1000 * cost.money(price))))
            for cost in costs.values()
        )
        rows.append(Row(_("Cost"), _("at your price"), tuple(cells)))
    return Table(tuple(ordered), tuple(rows))


def _seconds(seconds: float) -> str:
    return format_ms(1000 * seconds) if seconds < 1 else _("{s} s").format(s=f"{seconds:.2g}")


def format_money(amount: float) -> str:
    """Two significant digits without an exponent: `0.00021`, `1.3`; from 100 on, whole."""
    if amount <= 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f}"


def cost_note(latency: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """How it was counted, and what it leaves out."""
    threads = next(iter(latency.values()))[0]["threads"]
    text = ngettext(
        "Counted from the middle times at the batch size that is fastest for each, on {n} thread. A machine that "
        "runs several side by side pays less; loading and preparing pictures comes on top.",
        "Counted from the middle times at the batch size that is fastest for each, on {n} threads. A machine that "
        "runs several side by side pays less; loading and preparing pictures comes on top.",
        threads,
    )
    return text.format(n=threads)


def latency_caption(latency: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The curve of times in words: what a larger batch saves."""
    text = _("{name}: {one} for 1 picture, {many} for {n}, that is {each} each")
    parts = []
    for arm, times in in_order(latency).items():
        first, last = times[0], times[-1]
        each = format_ms(last["p50"] / last["batch_size"])
        said = text.format(
            name=arm_name(arm), one=format_ms(first["p50"]), many=format_ms(last["p50"]),
            n=last["batch_size"], each=each,
        )  # fmt: skip
        parts.append(said)
    whole = "; ".join(parts) + "."
    return whole[:1].upper() + whole[1:]
