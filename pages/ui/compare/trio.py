"""View-models of the three networks on the Compare page: their figures and their answers. Pure, no streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pages.ui.compare.tradeoff_chart import TradeoffPoint
from pages.ui.kit.formats import arm_name, capitalised, format_accuracy, format_ms, format_signed, short_names
from pages.ui.kit.settings_words import agreement_note, config_sentence, own_point_text
from pages.ui.session.i18n import _, ngettext

KINDS_DATASET = "animal-kinds"  # of the bundled networks that answer a visitor's photo
COMPARED_ARMS = ("teacher", "distilled", "baseline")
MAX_CLASSES = 10  # bars per network; of more classes, those that some network finds likely


@dataclass(frozen=True)
class Trio:
    """The teacher, distilled and baseline networks of one run, or bundled ones.

    Attributes:
        arms: figures by arm, as in a run's result.
        run_id: the run that trained the students; None for bundled networks.
        models: by arm, the name under which the network is loaded.
        dataset: name of the dataset.
        dataset_sha256: hash of the pictures that the figures were measured on.
        source: a sentence for the page that says where the networks come from.
        class_names: [K], as they are shown: long ones are shortened.
        superclasses: name of the superclass of each class, [K]; the class names where no superclasses are known.
        temperature: of the soft labels that distilled learned from.
        agreement: what the figure "agreement" means, in a few words.
        by_class: distilled minus baseline for each class over all seeds, [K]; None where the result lacks it.
    """

    arms: Mapping[str, Mapping[str, Any]]
    run_id: str | None
    models: Mapping[str, str]
    dataset: str
    dataset_sha256: str
    source: str
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...]
    temperature: float
    agreement: str
    by_class: Sequence[Mapping[str, Any]] | None = None

    @property
    def is_by_kind(self) -> bool:
        """Whether these are the bundled networks whose teacher knows many more classes, of which these are kinds."""
        return self.run_id is None and self.dataset == KINDS_DATASET

    @property
    def key(self) -> str:
        """A key under which measurements of these networks are kept."""
        return self.run_id or self.models["distilled"]


def has_all_networks(result: Mapping[str, Any]) -> bool:
    """Return whether a run has all three networks: none is kept of an arm of which a student diverged."""
    accuracies = (result["arms"].get(arm, {}).get("accuracy") or {} for arm in COMPARED_ARMS)
    return all(accuracy.get("mean") is not None for accuracy in accuracies)


def trio_of_run(run_id: str, result: Mapping[str, Any], source: str, cards: Mapping[str, Any]) -> Trio:
    """Return the networks of a finished run.

    Args:
        source: the words before the run's settings in the sentence that says where the networks come from.
        cards: model cards by name. The superclasses are taken from the teacher's card, if it is among them.
    """
    arms = {arm: result["arms"][arm] for arm in COMPARED_ARMS}
    models = {"teacher": result["config"]["teacher"], "distilled": "distilled", "baseline": "baseline"}
    text = f"{source}: {config_sentence(result['config'])}."
    if point := own_point_text(result["config"]):
        text += " " + _("Shown are its networks at {point}.").format(point=point)
    names = tuple(result["class_names"])
    card = cards.get(models["teacher"])
    superclasses = card.superclasses if card is not None and card.class_names == names else names
    config, by_class = result["config"], result.get("per_class_difference")
    return Trio(
        arms, run_id, models, config["dataset"], result["dataset_sha256"], text, tuple(short_names(names)),
        superclasses, config["temperature"], agreement_note(config), by_class,
    )  # fmt: skip


def bundled_trios(cards: Mapping[str, Any]) -> dict[str, Trio]:
    """Return every pair of bundled students with their teacher, by the common part of the students' names.

    The pair "creatures" comes first; the others follow in alphabetical order.

    Args:
        cards: model cards by name.
    """
    trios = {}
    for distilled in (card for name, card in cards.items() if name.endswith("-distilled")):
        name = distilled.name.removesuffix("-distilled")
        models = {
            "teacher": distilled.recipe.get("teacher"),
            "distilled": distilled.name,
            "baseline": f"{name}-baseline",
        }
        if all(model in cards for model in models.values()):
            trios[name] = _bundled_trio(models, cards)
    return dict(sorted(trios.items(), key=lambda item: (item[0] != "creatures", item[0])))


def _bundled_trio(models: Mapping[str, str], cards: Mapping[str, Any]) -> Trio:
    card = cards[models["distilled"]]
    text = _("The bundled networks for {name}; the students' figures are over {n} seeds.")
    source = text.format(name=card.dataset, n=len(card.seeds))
    arms = {arm: _figures(cards[name]) for arm, name in models.items()}
    # The teacher's own card lacks its figures on these pictures where it learned others.
    arms["teacher"] |= card.figures.get("teacher", {})
    if (difference := card.figures.get("paired_difference")) is not None:
        source += " " + _difference_sentence(difference)
    return Trio(
        arms, None, models, card.dataset, card.dataset_sha256, source, card.class_names, card.superclasses,
        card.recipe["temperature"], agreement_note(card.recipe),
    )  # fmt: skip


def _difference_sentence(difference: Mapping[str, Any]) -> str:
    low, high = map(format_signed, difference["ci95"])
    text = _("Accuracy, distilled minus baseline on the same test pictures: {mean} points ({low} to {high}).")
    return text.format(mean=format_signed(difference["mean"]), low=low, high=high)


def _figures(card: Any) -> dict[str, Any]:
    figures = {name: card.figures[name] for name in ("accuracy", "ece", "agreement") if name in card.figures}
    return {**figures, "num_params": card.num_params, "macs": card.macs, "size_bytes": card.size_bytes}


def at_batch_sizes(
    latency: Mapping[str, Sequence[Mapping[str, Any]]] | None, sizes: Sequence[int]
) -> dict[str, list[Mapping[str, Any]]] | None:
    """Return the measurements at these batch sizes, smallest first; None if one of them is missing."""
    if latency is None:
        return None
    ordered = {arm: sorted(times, key=lambda time: time["batch_size"]) for arm, times in latency.items()}
    chosen = {arm: [time for time in times if time["batch_size"] in sizes] for arm, times in ordered.items()}
    return chosen if all(len(times) == len(sizes) for times in chosen.values()) else None


def tradeoff_points(trio: Trio, latency: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[TradeoffPoint]:
    """Return accuracy and milliseconds for one picture, for each arm."""
    points = []
    for arm, row in trio.arms.items():
        time = next(time for time in latency[arm] if time["batch_size"] == 1)
        points.append(TradeoffPoint(arm, time["p50"], time["p95"], row["accuracy"]))
    return points


def tradeoff_caption(points: Sequence[TradeoffPoint]) -> str:
    """Describe the chart of accuracy against time in words."""
    text = _("{name}: {accuracy} right in {ms} a picture")
    parts = [
        text.format(name=arm_name(point.arm), accuracy=format_accuracy(point.accuracy["mean"]), ms=format_ms(point.p50))
        for point in points
    ]
    return capitalised("; ".join(parts) + ".")


def measured_note(latency: Mapping[str, Sequence[Mapping[str, Any]]], repetitions: int) -> str:
    """Say on which device and how the times were measured.

    Args:
        latency: measurements by arm.
        repetitions: how often each was timed, unless its measurement says that it was fewer times.
    """
    first = next(iter(latency.values()))[0]
    text = ngettext(
        "Times measured just now on {device}, {threads} thread: {n} repetitions after a warm-up, the networks "
        "taking turns, no run training beside them. p50 is the middle one, p95 the slowest but for one in twenty.",
        "Times measured just now on {device}, {threads} threads: {n} repetitions after a warm-up, the networks "
        "taking turns, no run training beside them. p50 is the middle one, p95 the slowest but for one in twenty.",
        first["threads"],
    )
    note = text.format(device=first["device"], threads=first["threads"], n=repetitions)
    fewest = min(time.get("repetitions", repetitions) for times in latency.values() for time in times)
    if fewest < repetitions:
        note += " " + _("A slow network was timed fewer times, {n} at least.").format(n=fewest)
    return note


@dataclass(frozen=True)
class Answer:
    """One network's answer to one picture.

    Attributes:
        class_names: [K], as they are shown: long ones are shortened.
        soft_labels: probabilities, [K].
        latency_ms: milliseconds for the picture.
        none_of_these: whether the picture probably shows none of the classes; None where the network cannot tell.
    """

    arm: str
    class_names: tuple[str, ...]
    soft_labels: tuple[float, ...]
    latency_ms: float
    none_of_these: bool | None = None

    @property
    def chosen(self) -> str:
        """The name of the class with the largest probability."""
        return self.class_names[max(range(len(self.soft_labels)), key=lambda index: self.soft_labels[index])]

    def restricted_to(self, classes: Sequence[int]) -> tuple[list[str], list[float]]:
        """Return the names and the probabilities of some classes, given by index."""
        return [self.class_names[index] for index in classes], [self.soft_labels[index] for index in classes]

    @property
    def confidence(self) -> float:
        """The probability of the chosen class."""
        return max(self.soft_labels)


def answer_of(arm: str, predicted: Sequence[Mapping[str, Any]], kinds: Sequence[str] = ()) -> Answer:
    """Return one answer from several calls of `kdcore.predict` on the same picture; its time is their median.

    Args:
        kinds: if given, the rows of the answer are these kinds, in this order, and at last everything else.
    """
    first = predicted[0]
    latency_ms = median(prediction["latency_ms"] for prediction in predicted)
    names, shares = tuple(first["class_names"]), tuple(first["soft_labels"])
    if kinds:
        of_kinds = [first["superclasses"][kind] for kind in kinds]
        names, shares = (*kinds, _("everything else")), (*of_kinds, max(0.0, 1.0 - sum(of_kinds)))
    return Answer(arm, tuple(short_names(names)), shares, latency_ms, first.get("none_of_these"))


def shown_classes(answers: Sequence[Answer], count: int = MAX_CLASSES) -> list[int]:
    """Return the indices of the classes to draw bars for, in class order, the same for all networks.

    These are the class that each network chose and the likeliest others, `count` in all.
    """
    classes = range(len(answers[0].class_names))
    likeliest = sorted(classes, key=lambda index: -max(answer.soft_labels[index] for answer in answers))
    chosen = {max(classes, key=answer.soft_labels.__getitem__) for answer in answers}
    rest = [index for index in likeliest if index not in chosen]
    return sorted([*chosen, *rest[: max(0, count - len(chosen))]])
