"""What a network's answers cost: time, arithmetic, and money at the visitor's price. Pure, no streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdcore.reports.arm_style import arms_in_order
from pages.ui.kit.formats import arm_name, capitalised, format_count, format_ms
from pages.ui.kit.tables import Cell, Row, Table
from pages.ui.session.i18n import _, ngettext

PICTURES = 1000  # costs are given for this many


@dataclass(frozen=True)
class Cost:
    """The cost of `PICTURES` pictures.

    Attributes:
        batch_size: the one with the least time per picture.
        seconds: at this batch size.
        macs: multiply-accumulate operations.
    """

    batch_size: int
    seconds: float
    macs: float

    def money(self, price_of_an_hour: float) -> float:
        """Return the cost in the currency of the price."""
        return self.seconds / 3600 * price_of_an_hour


def cost_of(row: Mapping[str, Any], latency: Sequence[Mapping[str, Any]]) -> Cost:
    """Return the cost of one arm.

    Args:
        row: the arm's figures; "macs" are for one picture.
        latency: one measurement per batch size; the p50 (milliseconds) counts.
    """
    best = min(latency, key=lambda one: one["p50"] / one["batch_size"])
    seconds = best["p50"] / 1000 / best["batch_size"] * PICTURES
    return Cost(best["batch_size"], seconds, PICTURES * row["macs"])


def costs_table(
    arms: Mapping[str, Any], latency: Mapping[str, Sequence[Mapping[str, Any]]], price: float | None
) -> Table:
    """Return the table of what `PICTURES` pictures cost with each arm.

    Args:
        arms: figures by arm.
        latency: measurements by arm, one per batch size.
        price: what an hour of this machine costs, in any currency, as the visitor entered it; with None the table has
            no row of money.
    """
    ordered = arms_in_order(arms)
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
    """Format an amount of money with two significant digits and no exponent: `0.00021`, `1.3`; from 10 on, rounded to a
    whole number."""
    if amount <= 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f}"


def cost_note(latency: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Say how the cost was computed, and what it leaves out."""
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
    """Describe the chart of latencies in words: the time per picture alone, and in the largest batch."""
    text = _("{name}: {one} for 1 picture, {many} for {n}, that is {each} each")
    parts = []
    for arm, times in arms_in_order(latency).items():
        first, last = times[0], times[-1]
        each = format_ms(last["p50"] / last["batch_size"])
        words = text.format(
            name=arm_name(arm), one=format_ms(first["p50"]), many=format_ms(last["p50"]),
            n=last["batch_size"], each=each,
        )  # fmt: skip
        parts.append(words)
    return capitalised("; ".join(parts) + ".")
