"""What the Model cards page shows of a card: the list, figures, shares as bars, and wrong answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kdcore import card_facts
from pages.ui import drawings, look, tables
from pages.ui import viewmodels as vm
from pages.ui.dataset_views import size_words, strip_url
from pages.ui.i18n import _
from pages.ui.sentences import answer_caption, held

if TYPE_CHECKING:
    from kdcore.card_facts import Figure, MeanSoftLabel, Share
    from kdcore.mistakes import Mistake, Reading
    from kdcore.model_cards import ModelCard

CHOSEN = "model"  # in the URL
SHOWN = ("creatures", "digits")  # whose pictures may be shown; those of other datasets are their makers'
ROLES = ("teacher", "distilled", "baseline")
SIGNS = {"teacher": ":blue[●]", "distilled": ":green[◆]", "baseline": ":orange[■]"}
MOST_BARS = 4  # soft labels of a mistake
MOST_SEEN = 8  # superclasses of a mean soft label
HASH = 12  # characters of a hash that tell it from any other here


def card_url(name: str) -> str:
    """The address of a card, relative to the app."""
    return f"models?{urlencode({CHOSEN: name})}"


def in_order(cards: Iterable[ModelCard]) -> tuple[ModelCard, ...]:
    """Dataset by dataset; in each its teachers, then its students."""
    from kdcore.datasets import DATASETS

    datasets = list(DATASETS)

    def place(card: ModelCard) -> tuple[int, str, int, str]:
        dataset = datasets.index(card.dataset) if card.dataset in datasets else len(datasets)
        role = ROLES.index(card.role) if card.role in ROLES else len(ROLES)
        # The arms of one run stand together, whatever the pairs are called.
        pair = card.name.removesuffix(f"-{card.role}") if role else ""
        return (dataset, card.dataset, 0 if not role else 1, f"{pair}/{role}/{card.name}")

    return tuple(sorted(cards, key=place))


def row_caption(card: ModelCard) -> str:
    """One card in the list, as Markdown: what it is, and how often it is right."""
    right = _right(card)
    return f"{SIGNS.get(card.role, '')} {vm.arm_name(card.role)}{' · ' + right if right else ''}"


def _right(card: ModelCard) -> str:
    figure = card_facts.figure(card, "accuracy") or card_facts.figure(card, "published_accuracy")
    return vm.format_accuracy(figure.mean) if figure is not None else ""


def readouts(card: ModelCard, gain: Figure | None) -> list[vm.Readout]:
    """The large numbers: what was measured, in the order of importance."""
    names = {
        "accuracy": _("accuracy"),
        "superclass_accuracy": _("right by superclass"),
        "agreement": _("agrees with its teacher"),
        "ece": _("calibration error (ECE)"),
    }
    found = [(words, card_facts.figure(card, name)) for name, words in names.items()]
    if found[0][1] is None:
        found[0] = (_("accuracy, as published"), card_facts.figure(card, "published_accuracy"))
    shown = [_readout(card.role, words, figure) for words, figure in found if figure is not None]
    if gain is not None:
        interval = f"{vm.format_signed(gain.ci95[0])} {_('to')} {vm.format_signed(gain.ci95[1])}" if gain.ci95 else ""
        points = vm.format_signed(gain.mean)
        shown.insert(1, vm.Readout(card.role, _("points above its baseline"), points, interval))
    nll = card_facts.figure(card, "nll")
    if nll is not None:
        shown.append(vm.Readout(card.role, _("nats (NLL)"), f"{nll.mean:.2f}", _nats(nll.ci95)))
    return shown


def _readout(role: str, words: str, figure: Figure) -> vm.Readout:
    return vm.Readout(role, words, vm.format_accuracy(figure.mean), _between(figure.ci95))


def _between(ci95: tuple[float, float] | None) -> str:
    return vm.format_interval(ci95) if ci95 else ""


def _nats(ci95: tuple[float, float] | None) -> str:
    return _("{low:.2f} to {high:.2f}").format(low=ci95[0], high=ci95[1]) if ci95 else ""


def readouts_html(found: Sequence[vm.Readout]) -> str:
    """As above a chart, without a marker: all are of one network."""
    return tables.readouts_html([replace(one, value=held(one.value)) for one in found], marked=False)


def facts_html(card: ModelCard) -> str:
    """Network, size, date and hash; a touch on the short hash shows the whole one."""
    facts = [
        (_("Dataset"), card.dataset),
        (_("Classes"), vm.format_count(len(card.class_names))),
        (_("Pixels"), size_words(card.image_shape)),
        (_("Network"), card.model),
        (_("Parameters"), vm.format_count(card.num_params)),
        (_("MACs"), vm.format_count(card.macs)),
        (_("Size"), vm.format_size(card.size_bytes)),
        (_("Date"), card.date),
    ]
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value)
    whole = escape(card.sha256)
    short = f'<summary title="{whole}"><code>{escape(card.sha256[:HASH])}…</code></summary>'
    code = f'<details class="kd-whole">{short}<code>{whole}</code></details>'
    return f'<dl class="kd-facts">{rows}<div><dt>{escape(_("Hash (SHA-256)"))}</dt><dd>{code}</dd></div></dl>'


def settings_html(recipe: Mapping[str, Any]) -> str:
    """Every setting of a recipe as it is; settings inside settings with both names."""
    return tables.facts_html([(name, value) for name, value in _flat(recipe) if value not in ("", "None")])


def _flat(recipe: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in recipe.items():
        label = f"{above}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{label}: ")
        elif isinstance(value, list | tuple):
            rows.append((label, ", ".join(map(str, value))))
        else:
            rows.append((label, f"{value:g}" if isinstance(value, float) else str(value)))
    return rows


def shares_html(shares: Sequence[Share], role: str, caption: str) -> str:
    """A bar a kind of picture with its number and its interval, which is a line across the end of the bar.

    An n of 0 is one that the card does not say.
    """
    colour = look.arm_colour(role)
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}{_of(one.n)}</th>'
        f'<td class="kd-share-bar"><div><i style="width:{100 * one.accuracy:.2f}%;background:{colour}"></i>'
        f"{_whisker(one.ci95)}</div></td>"
        f"<td>{escape(held(vm.format_accuracy(one.accuracy)))}<small>{escape(held(_between(one.ci95)))}</small></td></tr>"
        for one in shares
    )
    return f'<table class="kd-shares"><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>'


def _of(n: int) -> str:
    return f"<small>n\u00a0=\u00a0{n:,}</small>" if n else ""


def _whisker(ci95: tuple[float, float] | None) -> str:
    if ci95 is None:
        return ""
    low, high = (min(1.0, max(0.0, bound)) for bound in ci95)
    return f'<em style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></em>'


def by_size(card: ModelCard) -> tuple[Share, ...]:
    """How often classes with many and with few training pictures are right; empty where the card does not say."""
    names = {"large_class_accuracy": _("large classes"), "small_class_accuracy": _("small classes")}
    found = [(words, card_facts.figure(card, name)) for name, words in names.items()]
    return tuple(card_facts.Share(words, one.mean, 0, one.ci95) for words, one in found if one is not None)


def seen_html(mean: MeanSoftLabel, role: str) -> str:
    """A mean soft label as bars, the largest first; what is left is one row."""
    shown = mean.shares[:MOST_SEEN]
    names, values = [name for name, _p in shown], [p for _name, p in shown]
    left = len(mean.shares) - len(shown)
    if left:
        names.append(_("{count} others").format(count=left))
        values.append(max(0.0, 1.0 - sum(values)))
    return drawings.bars(role, names, values, answer_caption(names, values), others=bool(left))


def by_class(reading: Reading) -> tuple[Share, ...]:
    """Share right of every class, the best first."""
    rows = zip(reading.class_names, reading.by_class, strict=True)
    found = [card_facts.Share(name, one.accuracy, one.n, one.ci95) for name, one in rows if one.n]
    return tuple(sorted(found, key=lambda share: (-share.accuracy, share.name)))


def mistakes_html(reading: Reading, role: str) -> str:
    """A card a mistake: the picture as the network saw it, what it is, what was answered, and the soft labels."""
    return f'<div class="kd-cards">{"".join(_mistake(one, reading.class_names, role) for one in reading.surest)}</div>'


def _mistake(one: Mistake, names: Sequence[str], role: str) -> str:
    ranked = sorted(range(len(names)), key=lambda index: -one.soft_labels[index])[:MOST_BARS]
    shown = sorted(ranked if one.hard_label in ranked else [*ranked[:-1], one.hard_label])
    shares = [one.soft_labels[index] for index in shown]
    labels = [names[index] for index in shown]
    alt = _("Test picture {n}: a {name}").format(n=one.index, name=names[one.hard_label])
    told = _("taken for {name}").format(name=names[one.chosen])
    truth = ""
    if one.posterior is not None:
        best = max(range(len(names)), key=one.posterior.__getitem__)
        words = _("By its traits: {name} {share}").format(name=names[best], share=look.percent(one.posterior[best]))
        truth = f'<p class="kd-truth">{escape(held(words))}</p>'
    return (
        f'<figure class="kd-card"><img src="{strip_url(one.picture[None])}" alt="{escape(alt)}">'
        f"<figcaption>{escape(_('really a {name}').format(name=names[one.hard_label]))}"
        f"<small>{escape(told)}</small></figcaption>"
        f"{drawings.bars(role, labels, shares, answer_caption(labels, shares))}{truth}</figure>"
    )


def download(card: ModelCard) -> bytes:
    """The card as it stands beside its weights."""
    return (json.dumps(card.to_json(), indent=1, ensure_ascii=False) + "\n").encode()
