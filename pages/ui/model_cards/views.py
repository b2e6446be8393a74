"""The parts of the Model cards page: entries of the list, figures, bars and wrong answers. Pure, no streamlit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kdcore.teachers import card_facts
from pages.ui.kit import bars, formats, look, tables
from pages.ui.kit.formats import no_break_percent, probabilities_caption
from pages.ui.kit.images import size_words, strip_url
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.card_facts import Figure, MeanSoftLabel, SuperclassAccuracy
    from kdcore.teachers.mistakes import Mistake, MistakeSummary

MODEL_KEY = "model"  # URL parameter: name of the card that is shown
# Datasets whose pictures may be shown; the pictures of the others belong to their makers.
DATASETS_WITH_PICTURES = ("creatures", "digits")
ROLES = ("teacher", "distilled", "baseline")
SIGNS = {"teacher": ":blue[●]", "distilled": ":green[◆]", "baseline": ":orange[■]"}
MAX_BARS = 4  # soft labels that are shown of a wrong answer
MAX_SUPERCLASSES = 8  # superclasses that are shown of a mean soft label
HASH_LENGTH = 12  # characters of a hash that are shown at first; enough to tell the files apart


def card_url(name: str) -> str:
    """Return the URL of a card, relative to the app."""
    return f"models?{urlencode({MODEL_KEY: name})}"


def in_order(cards: Iterable[ModelCard]) -> tuple[ModelCard, ...]:
    """Sort cards by dataset, and within a dataset its teachers before its students."""
    from kdcore.datasets import DATASETS  # loads torch, which takes seconds

    datasets = list(DATASETS)

    def sort_key(card: ModelCard) -> tuple[int, str, int, str]:
        dataset = datasets.index(card.dataset) if card.dataset in datasets else len(datasets)
        role = ROLES.index(card.role) if card.role in ROLES else len(ROLES)
        # Keep the two students of one run together: sort by the part of the name that they share.
        pair = card.name.removesuffix(f"-{card.role}") if role else ""
        return (dataset, card.dataset, 1 if role else 0, f"{pair}/{role}/{card.name}")

    return tuple(sorted(cards, key=sort_key))


def row_caption(card: ModelCard) -> str:
    """Return the caption of a card in the list, as Markdown: its role and its accuracy."""
    accuracy = _accuracy_text(card)
    return f"{SIGNS.get(card.role, '')} {formats.arm_name(card.role)}{' · ' + accuracy if accuracy else ''}"


def _accuracy_text(card: ModelCard) -> str:
    figure = card_facts.figure(card, "accuracy") or card_facts.figure(card, "published_accuracy")
    return formats.format_accuracy(figure.mean) if figure is not None else ""


def readouts(card: ModelCard, gain: Figure | None) -> list[formats.Readout]:
    """Return the figures of a card for the top of the page, the most important first.

    Args:
        gain: a distilled student's accuracy minus its baseline's, if known.
    """
    names = {
        "accuracy": _("accuracy"),
        "superclass_accuracy": _("right by kind"),
        "agreement": _("agrees with its teacher"),
        "ece": _("calibration error (ECE)"),
    }
    figures = [(words, card_facts.figure(card, name)) for name, words in names.items()]
    if figures[0][1] is None:
        figures[0] = (_("accuracy, as published"), card_facts.figure(card, "published_accuracy"))
    shown = [_readout(card.role, words, figure) for words, figure in figures if figure is not None]
    if gain is not None:
        interval = ""
        if gain.ci95:
            low, high = (formats.format_signed(bound) for bound in gain.ci95)
            interval = f"{low} {_('to')} {high}"
        points = formats.format_signed(gain.mean)
        shown.insert(1, formats.Readout(card.role, _("points above its baseline"), points, interval))
    nll = card_facts.figure(card, "nll")
    if nll is not None:
        shown.append(formats.Readout(card.role, _("nats (NLL)"), f"{nll.mean:.2f}", _nats_interval(nll.ci95)))
    return shown


def _readout(role: str, words: str, figure: Figure) -> formats.Readout:
    return formats.Readout(role, words, formats.format_accuracy(figure.mean), _interval_text(figure.ci95))


def _interval_text(ci95: tuple[float, float] | None) -> str:
    return formats.format_interval(ci95) if ci95 else ""


def _nats_interval(ci95: tuple[float, float] | None) -> str:
    return _("{low:.2f} to {high:.2f}").format(low=ci95[0], high=ci95[1]) if ci95 else ""


def readouts_html(shown: Sequence[formats.Readout]) -> str:
    """Return the figures as HTML, without the markers of arms, since all are of one network."""
    return tables.readouts_html([replace(one, value=no_break_percent(one.value)) for one in shown], marked=False)


def facts_html(card: ModelCard) -> str:
    """Return facts of a card, such as network, size and date, as HTML; a click on the short hash shows all of it."""
    facts = [
        (_("Dataset"), card.dataset),
        (_("Classes"), formats.format_count(len(card.class_names))),
        (_("Pixels"), size_words(card.image_shape)),
        (_("Network"), card.model),
        (_("Parameters"), formats.format_count(card.num_params)),
        (_("MACs"), formats.format_count(card.macs)),
        (_("Size"), formats.format_size(card.size_bytes)),
        (_("Date"), card.date),
    ]
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value)
    full_hash = escape(card.sha256)
    short = f'<summary title="{full_hash}"><code>{escape(card.sha256[:HASH_LENGTH])}…</code></summary>'
    code = f'<details class="kd-whole">{short}<code>{full_hash}</code></details>'
    return f'<dl class="kd-facts">{rows}<div><dt>{escape(_("Hash (SHA-256)"))}</dt><dd>{code}</dd></div></dl>'


def settings_html(recipe: Mapping[str, Any]) -> str:
    """Return every setting of a recipe as HTML; a nested setting is labelled "outer name: inner name"."""
    return tables.facts_html([(name, value) for name, value in _flat(recipe) if value not in ("", "None")])


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in recipe.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{label}: ")
        elif isinstance(value, list | tuple):
            rows.append((label, ", ".join(map(str, value))))
        else:
            rows.append((label, f"{value:g}" if isinstance(value, float) else str(value)))
    return rows


def shares_html(shares: Sequence[SuperclassAccuracy], role: str, caption: str) -> str:
    """Return a table of bars as HTML, one per kind of picture, with the accuracy and its 95 % interval.

    The interval is drawn as a line across the end of the bar.

    Args:
        shares: accuracies by kind of picture; an n of 0 means that the number of pictures is unknown, and is not shown.
        role: of the network, which decides the colour.
    """
    colour = look.arm_colour(role)
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}{_count_html(one.n)}</th>'
        f'<td class="kd-share-bar"><div><i style="width:{100 * one.accuracy:.2f}%;background:{colour}"></i>'
        f"{_whisker(one.ci95)}</div></td>"
        f"<td>{escape(no_break_percent(formats.format_accuracy(one.accuracy)))}"
        f"<small>{escape(no_break_percent(_interval_text(one.ci95)))}</small></td></tr>"
        for one in shares
    )
    return f'<table class="kd-shares"><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>'


def _count_html(n: int) -> str:
    return f"<small>n\u00a0=\u00a0{n:,}</small>" if n else ""


def _whisker(ci95: tuple[float, float] | None) -> str:
    if ci95 is None:
        return ""
    low, high = (min(1.0, max(0.0, bound)) for bound in ci95)
    return f'<em style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></em>'


def by_size(card: ModelCard) -> tuple[SuperclassAccuracy, ...]:
    """Return the accuracy on classes with many and with few training pictures; empty where the card lacks it."""
    names = {"large_class_accuracy": _("large classes"), "small_class_accuracy": _("small classes")}
    figures = [(words, card_facts.figure(card, name)) for name, words in names.items()]
    return tuple(
        card_facts.SuperclassAccuracy(words, figure.mean, 0, figure.ci95)
        for words, figure in figures
        if figure is not None
    )


def mean_soft_label_html(mean: MeanSoftLabel, role: str) -> str:
    """Return a mean soft label as bars, the largest first; the superclasses after `MAX_SUPERCLASSES` share one bar."""
    shown = mean.shares[:MAX_SUPERCLASSES]
    names, values = [name for name, _p in shown], [p for _name, p in shown]
    others = len(mean.shares) - len(shown)
    if others:
        names.append(_("{count} others").format(count=others))
        values.append(max(0.0, 1.0 - sum(values)))
    return bars.bars(role, names, values, probabilities_caption(names, values), others=others > 0)


def by_class(mistakes: MistakeSummary) -> tuple[SuperclassAccuracy, ...]:
    """Return the accuracy on every class that has test pictures, the best first."""
    rows = zip(mistakes.class_names, mistakes.by_class, strict=True)
    shares = [card_facts.SuperclassAccuracy(name, one.accuracy, one.n, one.ci95) for name, one in rows if one.n]
    return tuple(sorted(shares, key=lambda share: (-share.accuracy, share.name)))


def mistakes_html(mistakes: MistakeSummary, role: str) -> str:
    """Return wrong answers as HTML, one card each.

    A card has the picture as the network saw it, its true class, the answer and the soft labels.
    """
    shown = "".join(_mistake_html(mistake, mistakes.class_names, role) for mistake in mistakes.most_confident)
    return f'<div class="kd-cards">{shown}</div>'


def _mistake_html(mistake: Mistake, names: Sequence[str], role: str) -> str:
    shown = bars.largest_with(mistake.soft_labels, mistake.hard_label, MAX_BARS)
    labels, shares = [names[index] for index in shown], [mistake.soft_labels[index] for index in shown]
    alt = _("Test picture {n}: a {name}").format(n=mistake.index, name=names[mistake.hard_label])
    answer = _("taken for {name}").format(name=names[mistake.chosen])
    truth = ""
    if mistake.posterior is not None:
        best = max(range(len(names)), key=mistake.posterior.__getitem__)
        words = _("By its traits: {name} {share}").format(name=names[best], share=look.percent(mistake.posterior[best]))
        truth = f'<p class="kd-truth">{escape(no_break_percent(words))}</p>'
    return (
        f'<figure class="kd-card"><img src="{strip_url(mistake.picture[None])}" alt="{escape(alt)}">'
        f"<figcaption>{escape(_('really a {name}').format(name=names[mistake.hard_label]))}"
        f"<small>{escape(answer)}</small></figcaption>"
        f"{bars.bars(role, labels, shares, probabilities_caption(labels, shares))}{truth}</figure>"
    )


def download(card: ModelCard) -> bytes:
    """Return the card as a JSON file, as it is stored beside the weights."""
    return (json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n").encode()
