"""Model cards as text for people at a terminal, in plain ASCII. Facts that a card lacks are left out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from kdcore.cli.text import count, difference, estimate, interval, percent, table
from kdcore.teachers import card_facts
from kdcore.teachers.card import ModelCard
from kdcore.teachers.card_facts import Figure
from kdcore.teachers.ensemble_names import is_ensemble

_MEASURE = " teachers measure "  # in the command of a card whose network was not trained here
WIDTH = 100  # characters of a line of prose


def cards_table(cards: Sequence[ModelCard], damaged: Sequence[str] = ()) -> str:
    """Return a table of the teachers, one of the students, and a line for each damaged card (by its name)."""
    parts = []
    for title, chosen in (
        ("teachers", [card for card in cards if card.role == "teacher"]),
        ("students (means over their seeds)", [card for card in cards if card.role != "teacher"]),
    ):
        if chosen:
            parts += [title, _cards_table(chosen), ""]
    parts += [f"{name} is damaged and left out; train or fetch it again." for name in damaged]
    parts.append("kdcore teachers show NAME prints a card in words.")
    return "\n".join(parts)


def _cards_table(cards: Sequence[ModelCard]) -> str:
    heads = ("name", "dataset", "classes", "network", "parameters", "test accuracy", "by superclass", "ECE")
    rows = []
    for card in cards:
        figures = (
            _accuracy(card),
            *(_figure_text(card_facts.figure(card, name)) for name in ("superclass_accuracy", "ece")),
        )
        rows.append((card.name, card.dataset, len(card.class_names), card.model, count(card.num_params), *figures))
    return table(heads, rows)


def added_cards_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table of cards (as JSON objects) that were just trained or added, one line per card."""
    heads = ("name", "dataset", "network", "test accuracy", "classes", "parameters")
    lines = []
    for card in rows:
        accuracy = estimate(card["figures"].get("accuracy")) or percent(card["accuracy"])
        sizes = (len(card["class_names"]), count(card["num_params"]))
        lines.append((card["name"], card["dataset"], card["model"], accuracy, *sizes))
    return table(heads, lines)


def one_card_text(card: ModelCard, cards: Sequence[ModelCard]) -> str:
    """Return one card with all its facts.

    Args:
        cards: all cards on this machine; the baseline of a distilled student is looked for among them.
    """
    _channels, height, width = card.image_shape
    averaged = is_ensemble(card.name)
    facts = [
        ("role", card.role),
        ("network", f"{card.model}, {count(card.num_params)} parameters, {count(card.macs)} MACs, {_size(card)}"),
        ("learned", f"{card.dataset}: {len(card.class_names)} classes in pictures of {width}x{height}"),
        ("classes", ", ".join(card.class_names[:12]) + (", ..." if len(card.class_names) > 12 else "")),
        *_figures(card, cards),
        ("calibration", "" if averaged else _calibration_text(card)),
        ("pixels", _normalisation_text(card)),
        ("recipe", _recipe(card.recipe)),
        ("measured by" if _MEASURE in card.command else "rebuilt by", card.command),
        ("date", card.date),
        ("sha256", card.sha256),
        ("pictures", f"sha256 {card.dataset_sha256}"),
        ("known weaknesses", card.notes),
    ]
    lines = [card.name]
    for name, words in facts:
        if words:
            lines.append(textwrap.fill(words, WIDTH, initial_indent=f"{name:<22}", subsequent_indent=22 * " "))
    if rows := card_facts.by_superclass(card):
        shares = [(row.name, percent(row.accuracy), interval(row.ci95), row.n) for row in rows]
        lines += ["", table(("superclass", "right", "95 % interval", "n"), shares)]
    return "\n".join(lines)


def _calibration_text(card: ModelCard) -> str:
    if card.calibration == 1.0:
        return "logits as they are; no factor was fitted"
    return f"logits times {card.calibration:.3g}, fitted on validation"


def _normalisation_text(card: ModelCard) -> str:
    if card.normalisation is None:
        return ""
    mean, std = (", ".join(f"{one:g}" for one in each) for each in (card.normalisation.mean, card.normalisation.std))
    return f"mean {mean} and standard deviation {std} of the channels, for values of 0 to 1"


def _figures(card: ModelCard, cards: Sequence[ModelCard]) -> list[tuple[str, str]]:
    rows = [("accuracy on test", _accuracy_of_sample(card))]
    for name, words in (
        ("superclass_accuracy", "by superclass"),
        ("large_class_accuracy", "large classes"),
        ("small_class_accuracy", "small classes"),
        ("ece", "ECE"),
        ("agreement", "agrees with teacher"),
    ):
        rows.append((words, _figure_text(card_facts.figure(card, name))))
    nll = card_facts.figure(card, "nll")
    rows.append(("NLL", f"{nll.mean:.3f} nats" if nll else ""))
    gain = card_facts.gain(card, cards)
    if gain is not None:
        seeds = ", ".join(f"{100 * value:+.1f}" for value in gain.per_seed)
        gain_text = f"{difference(gain.mean, gain.ci95)} points"
        rows.append(("minus its baseline", f"{gain_text}; seed by seed {seeds}" if seeds else gain_text))
    none = card_facts.none_of_these(card)
    if none is not None:
        parts = []
        if none.false_alarms:
            parts.append(f"false alarms {_figure_text(none.false_alarms)}")
        if none.found:
            parts.append("finds " + ", ".join(f"{percent(share)} of {what}" for what, share in none.found))
        rows.append(("none of these", "; ".join(parts)))
    wolf = card_facts.mean_soft_labels(card).get("wolf")
    if wolf is not None:
        n = f" (mean of {wolf.n} test pictures)" if wolf.n else ""
        shares = ", ".join(f"{name} {percent(share)}" for name, share in wolf.shares[:5])
        rows.append((f"sees in a {wolf.superclass}", shares + n))
    return rows


def _accuracy_of_sample(card: ModelCard) -> str:
    """Return the test accuracy with what it was measured on: the number of seeds, or else of test pictures."""
    accuracy, size = _accuracy(card), card_facts.count(card, "test_size")
    if not accuracy:
        return ""
    if len(card.seeds) > 1:
        return f"{accuracy}, {len(card.seeds)} seeds"
    return f"{accuracy}, n = {size}" if size else accuracy


def _accuracy(card: ModelCard) -> str:
    """Return the test accuracy measured by this engine, else the published one, else ""."""
    measured = _figure_text(card_facts.figure(card, "accuracy"))
    published = card_facts.figure(card, "published_accuracy")
    return measured or (f"{percent(published.mean)} (published)" if published else "")


def _figure_text(figure: Figure | None) -> str:
    return "" if figure is None else f"{percent(figure.mean)}{interval(figure.ci95, ' ')}"


def _size(card: ModelCard) -> str:
    return f"{count(card.size_bytes)}B"


def _recipe(recipe: dict[str, Any]) -> str:
    """Format the settings in use as `name value`, joined by commas; nested settings follow in brackets."""
    parts = []
    for name, value in recipe.items():
        if isinstance(value, dict):
            parts.append(f"{name} ({_recipe(value)})")
        elif value not in (None, "", 0, False) or name == "seed":
            shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
            parts.append(f"{name} {shown:g}" if isinstance(shown, float) else f"{name} {shown}")
    return ", ".join(parts)
