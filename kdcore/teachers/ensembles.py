"""Ensembles: several teachers with the same classes act as one teacher, whose answer is the average of theirs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.errors import ConfigError, UnknownName
from kdcore.machine.tensor_files import canonical_json
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.inference import predict_logits
from kdcore.pictures.views import zoom_middle
from kdcore.teachers.card import ModelCard, list_teachers, same_classes
from kdcore.teachers.ensemble_names import MAX_MEMBERS, EnsembleName, parse_name
from kdcore.teachers.measured import with_saved_figures
from kdcore.teachers.teacher import Teacher


def average(logits: Tensor, temperature: float | None = 1.0) -> Tensor:
    """Average the logits of an ensemble's members: [..., M, K] -> float32 [..., K].

    With a temperature T the members' probabilities are averaged: p = mean over members of softmax(z / T). The result is
    T * log p, so that softmax at T gives p again; it is computed in logarithms, so that nothing underflows. With None
    the logits themselves are averaged. These are the arithmetic and the geometric mean of the members' probabilities,
    the two ways in which Hinton, Vinyals and Dean (2015) make soft labels from an ensemble.
    """
    logits = logits.float()
    if temperature is None:
        return logits.mean(-2)
    log_probs = (logits / temperature).log_softmax(-1)
    return temperature * (log_probs.logsumexp(-2) - math.log(logits.shape[-2]))


class AveragedNetworks(nn.Module):
    """A network that resizes each picture to the size of every member and averages their calibrated logits.

    Attributes:
        zooms: for each member, the share of the picture's side that it is shown. The pictures are prepared for the
            member that sees the largest part of a picture; the others see only the middle of them.
    """

    def __init__(self, members: Sequence[Teacher], temperature: float | None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(member.network for member in members)
        self.calibrations = [member.card.calibration for member in members]
        self.sizes = [member.card.image_shape[1:] for member in members]
        widest = max(_visible_share(member.card) for member in members)
        self.zooms = [_visible_share(member.card) / widest for member in members]
        self.temperature = temperature

    def logits_of_members(self, pictures: Tensor) -> Tensor:
        """The calibrated logits of every member: float [B, C, H, W] -> float32 [B, M, K]."""
        logits = []
        for network, calibration, size, zoom in zip(
            self.networks, self.calibrations, self.sizes, self.zooms, strict=True
        ):
            shown = zoom_middle(pictures, zoom)
            if shown.shape[-2:] != size:
                shown = F.interpolate(shown, size=size, mode="bilinear", antialias=True, align_corners=False)
            logits.append(network(shown).float() * calibration)
        return torch.stack(logits, 1)

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, K]
        return average(self.logits_of_members(pictures), self.temperature)


class _MemberLogits(nn.Module):
    """A network that returns the logits of every member instead of their average."""

    def __init__(self, networks: AveragedNetworks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, M, K]
        return self.networks.logits_of_members(pictures)


def member_logits(ensemble: Teacher, images: Tensor) -> Tensor:
    """The calibrated logits of every member of an ensemble: uint8 [N, C, H, W] -> float32 [N, M, K] on the CPU.

    The members come in the order of `ensemble.members`.
    """
    networks = ensemble.network.network
    assert isinstance(networks, AveragedNetworks)
    return predict_logits(_MemberLogits(networks).train(False), images, ensemble.device)


def ensemble_of_loaded(name: str, members: Sequence[Teacher]) -> Teacher:
    """Build the ensemble called `name` from teachers that are loaded already.

    Args:
        members: the teachers in the order of the ensemble's normal name, which is sorted.

    Raises:
        ConfigError: the name is not legal, or the members do not fit together.
    """
    spec = parse_name(name)
    card = with_saved_figures(combine_cards(spec, [member.card for member in members]))
    members = [one if one.card.class_names == card.class_names else one.in_order(card.class_names) for one in members]
    network = FrozenNetwork(AveragedNetworks(members, spec.temperature))
    return Teacher(card, network, members[0].device, tuple(members))


def ensemble_card(name: str, cards: Iterable[ModelCard] | None = None) -> ModelCard:
    """The card of the ensemble called `name`, made without loading any weights.

    Args:
        cards: the cards among which the members are looked up; None for all teachers of this machine.

    Raises:
        ConfigError: the name is not legal, or its members do not fit together.
        UnknownName: a member is not on this machine.
    """
    spec = parse_name(name)
    cards = list_teachers() if cards is None else cards
    teachers = {card.name: card for card in cards if card.role == "teacher"}
    for member in spec.members:
        if member not in teachers:
            raise UnknownName("teacher", member, teachers)
    return with_saved_figures(combine_cards(spec, [teachers[member] for member in spec.members]))


def combine_cards(spec: EnsembleName, cards: Sequence[ModelCard]) -> ModelCard:
    """Make the card of an ensemble from those of its members.

    Parameters, operations and bytes are summed. Accuracy and other figures are left empty, because those of the members
    say nothing about their average.

    Raises:
        ConfigError: the members have different classes, or some take grey pictures and others colour.
    """
    first = cards[0]
    for card in cards[1:]:
        if not same_classes(card.class_names, first.class_names):
            raise ConfigError(
                f"{first.name} and {card.name} have different labels ({_first_classes(first)}; "
                f"{_first_classes(card)}), and an ensemble needs the same; choose teachers of one dataset."
            )
        if card.image_shape[0] != first.image_shape[0]:
            grey, colour = sorted((first, card), key=lambda card: card.image_shape[0])
            raise ConfigError(
                f"{grey.name} takes grey pictures and {colour.name} colour pictures, and an ensemble needs one kind; "
                "choose teachers that take the same."
            )
    largest = max(cards, key=lambda card: card.image_shape[1])
    widest = max(_visible_share(card) for card in cards)
    return replace(
        first,
        name=str(spec),
        dataset="+".join(dict.fromkeys(card.dataset for card in cards)),
        dataset_sha256="+".join(dict.fromkeys(card.dataset_sha256 for card in cards)),
        model=" + ".join(card.model for card in cards),
        image_shape=largest.image_shape,
        calibration=1.0,
        accuracy=None,
        figures={},
        num_params=sum(card.num_params for card in cards),
        macs=sum(card.macs for card in cards),
        size_bytes=sum(card.size_bytes for card in cards),
        sha256=_ensemble_sha256(spec, cards),
        recipe={"members": list(spec.members), "average": spec.rule},
        command=f"kdcore teachers measure {spec}",
        seeds=(),
        date=max(card.date for card in cards),
        notes="",
        crop=1.0,
        resize=None if widest == 1.0 else round(largest.image_shape[1] / widest),
        interpolation=largest.interpolation,
        none_below=None,
    )


def possible_ensembles(cards: Sequence[ModelCard]) -> list[str]:
    """The names of all pairs of these teachers that can be averaged, and of one larger ensemble.

    The larger one averages all teachers that fit the first of `cards`, if these are 3 to `MAX_MEMBERS`.
    """
    names: list[str] = []
    for pair in combinations(sorted(cards, key=lambda card: card.name), 2):
        if fit_together(*pair):
            names.append(str(EnsembleName(tuple(card.name for card in pair))))
    fitting = [card for card in cards if fit_together(cards[0], card)] if cards else []
    if 2 < len(fitting) <= MAX_MEMBERS:
        names.append(str(EnsembleName(tuple(sorted(card.name for card in fitting)))))
    return names


def fit_together(first: ModelCard, second: ModelCard) -> bool:
    """Whether two teachers can be averaged: they have the same classes in any order, and both take grey or both colour
    pictures."""
    return same_classes(first.class_names, second.class_names) and first.image_shape[0] == second.image_shape[0]


def _visible_share(card: ModelCard) -> float:
    """The share (0 to 1) of the side of a picture's middle square that a network sees; below 1 if edges are cut off."""
    return 1.0 if card.resize is None else min(1.0, card.image_shape[1] / card.resize)


def _ensemble_sha256(spec: EnsembleName, cards: Sequence[ModelCard]) -> str:
    """SHA-256 of all that the ensemble's logits depend on, by which its figures are kept."""
    members = [[card.logits_key(), card.class_names] for card in cards]
    return hashlib.sha256(canonical_json([members, spec.rule]).encode()).hexdigest()


def _first_classes(card: ModelCard) -> str:
    shown = ", ".join(card.class_names[:3])
    return f"{shown} ..." if len(card.class_names) > 3 else shown
