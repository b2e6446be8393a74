"""Whole sentences about a model card. Pure, no streamlit.

Older cards and cards of published networks lack some figures and settings; what a card lacks is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdcore.teachers import card_facts
from pages.ui.kit import formats
from pages.ui.session.i18n import _, ngettext

if TYPE_CHECKING:
    from kdcore.teachers.card import ModelCard
    from kdcore.teachers.card_facts import Figure
    from kdcore.teachers.mistakes import Mistake, MistakeSummary

MAX_NAMED = 3  # kinds of picture, or confusions, that are named


def lead(card: ModelCard) -> str:
    """Say how the network learned, and which classes and pictures it knows."""
    channels, height, width = card.image_shape
    knows = _("It tells {n} classes apart ({names}) in {kind} pictures of {width} × {height} pixels.").format(
        n=formats.format_count(len(card.class_names)),
        names=formats.join_names(card.class_names, 8),
        kind=_("grey") if channels == 1 else _("colour"),
        width=width,
        height=height,
    )
    if card.role == "distilled":
        who = _("A student that learned the dataset {dataset} from the soft labels of the teacher {teacher}.")
    elif card.role == "baseline":
        who = _("A student that learned the dataset {dataset} without a teacher, from the hard labels alone.")
    else:
        who = _("A teacher that learned the dataset {dataset}.")
    return f"{who.format(dataset=card.dataset, teacher=card.recipe.get('teacher', '?'))} {knows}"


def figures_note(card: ModelCard, gain: Figure | None) -> str:
    """Say what the figures were measured on and what their intervals cover.

    Args:
        gain: a distilled student's accuracy minus its baseline's, if known.
    """
    size, seeds = card_facts.count(card, "test_size"), len(card.seeds)
    parts = []
    if card_facts.figure(card, "accuracy") is None:
        parts.append(_("Its accuracy was not measured on this machine."))
    elif seeds > 1:
        text = _("Means over {n} seeds, with 95 % intervals over seeds and test pictures; the file, and its answers "
                 "below, are the first seed's.")  # fmt: skip
        parts.append(text.format(n=seeds))
    elif size:
        text = _("Measured on {n} test pictures, which it had never seen; intervals are 95 %, over pictures.")
        parts.append(text.format(n=formats.format_count(size)))
    if gain is not None and gain.ci95 is None and gain.per_seed:
        text = _("Against its baseline, seed by seed: {points} points; the card holds no interval for their mean.")
        parts.append(text.format(points=", ".join(formats.format_signed(value) for value in gain.per_seed)))
    if (ceiling := card_facts.figure(card, "bayes_accuracy")) is not None:
        text = _("Even with the traits known, nobody can do better than {value}.")
        parts.append(text.format(value=formats.format_accuracy(ceiling.mean)))
    if (published := card_facts.figure(card, "published_accuracy")) is not None:
        text = _("Its publisher states {value} on the dataset's own validation pictures.")
        parts.append(text.format(value=formats.format_accuracy(published.mean)))
    return " ".join(parts)


def calibration(card: ModelCard) -> str:
    """Say by which factor the logits are multiplied for calibration, and why."""
    factor = card.calibration
    if factor == 1.0:
        return _("Its logits are shown as they are: no factor was fitted to make it surer or more modest.")
    text = (
        _("It had been too sure of itself: its logits are multiplied by {factor} before anybody sees them.")
        if factor < 1.0
        else _("It had been a little too modest: its logits are multiplied by {factor} before anybody sees them.")
    )
    fitted = _("The factor was fitted on validation pictures, so that of all its answers with a confidence of 80 % "
               "about 80 % are right.")  # fmt: skip
    return f"{text.format(factor=f'{factor:.3g}')} {fitted}"


def none_of_these(card: ModelCard) -> str:
    """Say how well the network recognises pictures of none of its classes; "" where that was not measured."""
    measured = card_facts.none_of_these(card)
    if measured is None:
        return ""
    parts = []
    if measured.false_alarms is not None:
        text = _("It can say that a picture is none of its classes. It says so wrongly of {share} of its "
                 "own test pictures.")  # fmt: skip
        parts.append(text.format(share=formats.format_accuracy(measured.false_alarms.mean)))
    if measured.found:
        parts.append(
            _("Of pictures of something else it notices: {shares}.").format(shares=_named_shares(measured.found))
        )
    if measured.false_alarms_elsewhere:
        text = _("Of its own kind of pictures from another dataset it wrongly refuses: {shares}.")
        parts.append(text.format(shares=_named_shares(measured.false_alarms_elsewhere)))
    return " ".join(parts)


def _named_shares(shares: Sequence[tuple[str, float]]) -> str:
    return "; ".join(
        _("{what} {share}").format(what=what, share=formats.format_accuracy(share)) for what, share in shares
    )


def weakest(shares: Sequence[card_facts.SuperclassAccuracy]) -> str:
    """Name the kinds of picture with the lowest accuracy, the worst first; "" when there is only one kind."""
    if len(shares) < 2:
        return ""
    chosen = sorted(shares, key=lambda share: share.accuracy)[: min(MAX_NAMED, len(shares) - 1)]
    named = [
        _("{name} {accuracy} (n\u00a0=\u00a0{n})").format(
            name=one.name, accuracy=formats.format_accuracy(one.accuracy), n=one.n
        )
        for one in chosen
    ]
    return _("Least often right: {names}.").format(names=", ".join(named))


def mistakes_sentence(mistakes: MistakeSummary) -> str:
    """Say how many test pictures the network gets wrong, and which classes it confuses most."""
    if not mistakes.wrong:
        return _("All {n} test pictures are answered rightly.").format(n=formats.format_count(mistakes.size))
    text = ngettext(
        "{wrong} of {n} test pictures is answered wrongly.",
        "{wrong} of {n} test pictures are answered wrongly.",
        mistakes.wrong,
    )
    sentence = text.format(wrong=formats.format_count(mistakes.wrong), n=formats.format_count(mistakes.size))
    if mistakes.wrong > 1:
        names = mistakes.class_names
        pairs = [
            _("{true} for {chosen} ({n})").format(true=names[one.hard_label], chosen=names[one.chosen], n=one.count)
            for one in mistakes.confusions[:MAX_NAMED]
        ]
        sentence += " " + _("Most often it takes {pairs}.").format(pairs=", ".join(pairs))
    return sentence


def surest_sentence(mistakes: MistakeSummary) -> str:
    """Introduce the mistakes that are shown; where the true posterior is known, say how often it agrees with them."""
    count = len(mistakes.most_confident)
    text = ngettext("Here is the mistake.", "Here are the {n} mistakes that it was surest of.", count)
    sentence = text.format(n=count)
    with_posterior = [mistake for mistake in mistakes.most_confident if mistake.posterior is not None]
    if not with_posterior:
        return sentence
    agreeing = len([mistake for mistake in with_posterior if posterior_agrees(mistake)])
    if agreeing:
        text = _("In {k} of them the true posterior, which knows the animal's traits, says the same as the network: "
                 "the animal itself looks like another kind.")  # fmt: skip
    else:
        text = _("In none of them does the true posterior, which knows the animal's traits, say the same: the network "
                 "could have known better.")  # fmt: skip
    return f"{sentence} {text.format(k=agreeing)}"


def posterior_agrees(mistake: Mistake) -> bool:
    """Return whether the true posterior, given the traits, has its maximum at the class that the network chose."""
    posterior = mistake.posterior or ()
    return bool(posterior) and max(range(len(posterior)), key=posterior.__getitem__) == mistake.chosen


def reliability_caption(mistakes: MistakeSummary) -> str:
    """Describe the reliability diagram of one network in words."""
    pictures = sum(one.n for one in mistakes.bins)
    sure = sum(one.n * one.confidence for one in mistakes.bins) / pictures
    right = sum(one.n * one.accuracy for one in mistakes.bins) / pictures
    text = _("On average it is {sure} sure, and right in {right}. Below the dotted line it is surer than it is right, "
             "above it too modest.")  # fmt: skip
    return text.format(sure=formats.format_accuracy(sure), right=formats.format_accuracy(right))


def recipe(card: ModelCard) -> str:
    """Say how the network was trained; "" for a recipe in an unknown form."""
    try:
        return _student_recipe(card) if "distill_weight" in card.recipe else _teacher_recipe(card)
    except (KeyError, TypeError, ValueError):  # an unknown form; the page still lists its settings
        return ""


def _student_recipe(card: ModelCard) -> str:
    config, schedule = card.recipe, card.recipe["recipe"]
    text = _("Each of {seeds} students saw {labels} labelled pictures for {epochs} epochs, in batches of {batch}: "
             "AdamW, a learning rate that rises to {rate:g} and falls again, weight decay {decay:g}.")  # fmt: skip
    words = text.format(
        seeds=len(config["seeds"]), labels=formats.format_count(config["labels"]), epochs=config["epochs"],
        batch=schedule["batch_size"], rate=schedule["learning_rate"], decay=schedule["weight_decay"],
    )  # fmt: skip
    if card.role == "distilled":
        text = _("The soft labels of {teacher} at T\u00a0=\u00a0{t:g} count for {soft}, the hard label for {hard}.")
        weight = config["distill_weight"]
        return f"{words} " + text.format(
            teacher=config["teacher"], t=config["temperature"], soft=_share(weight), hard=_share(1 - weight)
        )
    return f"{words} {_('Only the hard labels count; all else is the same as for the distilled student beside it.')}"


def _teacher_recipe(card: ModelCard) -> str:
    training, views = card.recipe, card.recipe["views"]
    if other := training.get("features_of"):
        return _(
            "Transfer learning: a new last layer on the features of {name}, fitted to hard labels with several "
            "strengths of weight decay, of which the best on validation was kept."
        ).format(name=other)
    text = _("Trained on hard labels for {epochs} epochs, in batches of {batch}: SGD with momentum, a learning rate "
             "that rises to {rate:g} and falls again, weight decay {decay:g}.")  # fmt: skip
    parts = [
        text.format(
            epochs=training["epochs"], batch=training["batch_size"], rate=training["learning_rate"],
            decay=training["weight_decay"],
        )
    ]  # fmt: skip
    if training.get("drawn"):
        text = _("Its {n} pictures were drawn for it, apart from the dataset's own.")
        parts.append(text.format(n=formats.format_count(training["drawn"])))
    if changes := _changes(views):
        parts.append(_("Every picture was changed anew each time: {changes}.").format(changes=", ".join(changes)))
    if training.get("small_epochs"):
        text = _("The first {n} epochs saw pictures of {size} pixels, which cost less.")
        parts.append(text.format(n=training["small_epochs"], size=training["small_size"]))
    if training.get("balance"):
        parts.append(_("Small classes were shown more often than they occur."))
    if outsiders := training.get("outsiders"):
        text = _("It was also shown pictures of none of its classes ({names} of {dataset}, and its own pictures "
                 "shuffled), to learn to refuse them.")  # fmt: skip
        parts.append(text.format(names=", ".join(outsiders["outside"]), dataset=outsiders["dataset"]))
    parts.append(_("No label smoothing, which would erase the dark knowledge."))
    if card.crop < 1.0:
        text = _("In use it looks at the middle {share} of a picture's side.")
        parts.append(text.format(share=_share(card.crop)))
    return " ".join(parts)


def _changes(views: Mapping[str, Any]) -> list[str]:
    words = {
        "shift": _("moved by up to {share}"),
        "light": _("lighter or darker by up to {share}"),
        "cutout": _("a square of {share} of its side hidden"),
        "stretch": _("stretched by up to {share}"),
        "colour": _("more or less colourful by up to {share}"),
    }
    changes = [_("mirrored or not")] if views.get("flip") else []
    if views.get("zoom", 1) < 1:
        changes.append(_("cut to no less than {share} of its side").format(share=_share(views["zoom"])))
    if views.get("turn"):
        changes.append(_("turned by up to {n:g}°").format(n=views["turn"]))
    changes += [text.format(share=_share(views[name])) for name, text in words.items() if views.get(name)]
    return changes


def _share(value: float) -> str:
    """Format a setting that is a share, without rounding it: `12.5 %`."""
    return f"{round(100 * value, 4):g} %"
