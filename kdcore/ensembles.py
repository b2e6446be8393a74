"""Ensembles: several teachers with the same labels, averaged, are one teacher."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.checkpoints import canonical_json
from kdcore.ensemble_names import MOST, EnsembleName, parse_name
from kdcore.errors import ConfigError, UnknownName
from kdcore.inference import predict_logits
from kdcore.measured import with_figures
from kdcore.model_cards import ModelCard, list_teachers
from kdcore.teachers import FrozenNetwork, Teacher, load_teacher
from kdcore.views import zoom_middle


def average(logits: Tensor, temperature: float | None = 1.0) -> Tensor:
    """The logits of an ensemble from those of its members: [..., M, K] -> float32 [..., K].

    In probability: p = mean over members of softmax(z / T), and the answer is T * log p, so that softmax at T gives p
    again; a probability that would underflow keeps its logarithm. With a temperature of None it is the mean of the
    logits. These are the arithmetic and the geometric mean of the members' probabilities, the two ways in which Hinton,
    Vinyals and Dean (2015) make soft labels from an ensemble.
    """
    logits = logits.float()
    if temperature is None:
        return logits.mean(-2)
    log_probs = (logits / temperature).log_softmax(-1)
    return temperature * (log_probs.logsumexp(-2) - math.log(logits.shape[-2]))


class AveragedNetworks(nn.Module):
    """Members that look at the same pictures, each at its own size, and whose calibrated logits are averaged."""

    def __init__(self, members: Sequence[Teacher], temperature: float | None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(member.network for member in members)
        self.calibrations = [member.card.calibration for member in members]
        self.sizes = [member.card.image_shape[1:] for member in members]
        widest = max(_view(member.card) for member in members)
        self.zooms = [_view(member.card) / widest for member in members]
        self.temperature = temperature

    def each(self, pictures: Tensor) -> Tensor:
        """What every member says: float [B, C, H, W] -> float32 [B, M, K]."""
        answers = []
        for network, calibration, size, zoom in zip(
            self.networks, self.calibrations, self.sizes, self.zooms, strict=True
        ):
            seen = zoom_middle(pictures, zoom)
            if seen.shape[-2:] != size:
                seen = F.interpolate(seen, size=size, mode="bilinear", antialias=True, align_corners=False)
            answers.append(network(seen).float() * calibration)
        return torch.stack(answers, 1)

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, K]
        return average(self.each(pictures), self.temperature)


class _Each(nn.Module):
    """Every member's logits instead of their average."""

    def __init__(self, networks: AveragedNetworks) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, pictures: Tensor) -> Tensor:  # float [B, C, H, W] -> [B, M, K]
        return self.networks.each(pictures)


def member_logits(ensemble: Teacher, images: Tensor) -> Tensor:
    """Calibrated logits of every member: uint8 [N, C, H, W] -> float32 [N, M, K] on the CPU, members in card order."""
    networks = ensemble.network.network
    assert isinstance(networks, AveragedNetworks)
    return predict_logits(_Each(networks).train(False), images, ensemble.device)


def load_ensemble(name: str, device: str = "cpu") -> Teacher:
    """The ensemble called `name`, its members loaded and frozen.

    Raises:
        ConfigError: the name is not legal, or its members do not fit together.
        UnknownName: a member is not on this machine.
        ModelFileError: a member's file is missing or damaged.
    """
    card = ensemble_card(name)
    return assemble(card.name, [load_teacher(member, device) for member in parse_name(card.name).members])


def assemble(name: str, members: Sequence[Teacher]) -> Teacher:
    """The ensemble called `name` of teachers that are loaded already, in the order of its normal name.

    Raises:
        ConfigError: they do not fit together.
    """
    spec = parse_name(name)
    card = with_figures(unite(spec, [member.card for member in members]))
    network = FrozenNetwork(AveragedNetworks(members, spec.temperature))
    return Teacher(card, network, members[0].device, tuple(members))


def ensemble_card(name: str, cards: Iterable[ModelCard] | None = None) -> ModelCard:
    """The card of the ensemble called `name`, without loading a weight.

    Args:
        cards: of the teachers of this machine, unless they are looked up here.

    Raises:
        ConfigError: the name is not legal, or its members do not fit together.
        UnknownName: a member is not on this machine.
    """
    spec = parse_name(name)
    known = {card.name: card for card in (list_teachers() if cards is None else cards) if card.role == "teacher"}
    for member in spec.members:
        if member not in known:
            raise UnknownName("teacher", member, known)
    card = unite(spec, [known[member] for member in spec.members])
    return with_figures(card)


def unite(spec: EnsembleName, cards: Sequence[ModelCard]) -> ModelCard:
    """One card of many: what the members share, sums of what they cost; what is not measured is not known.

    Raises:
        ConfigError: other labels, or grey pictures beside colour.
    """
    first = cards[0]
    for card in cards[1:]:
        if card.class_names != first.class_names:
            raise ConfigError(
                f"{first.name} and {card.name} know other labels ({_some(first)}; {_some(card)}), and an ensemble "
                "needs the same; choose teachers of one dataset."
            )
        if card.image_shape[0] != first.image_shape[0]:
            grey, colour = sorted((first, card), key=lambda one: one.image_shape[0])
            raise ConfigError(f"{grey.name} sees grey and {colour.name} colour, and an ensemble is of one kind.")
    largest = max(cards, key=lambda card: card.image_shape[1])
    widest = max(_view(card) for card in cards)
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
        sha256=_hash(spec, cards),
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
    """Every pair of these teachers that can be averaged, and all of them where there are more than two that can."""
    names: list[str] = []
    for pair in combinations(sorted(cards, key=lambda card: card.name), 2):
        if fit_together(*pair):
            names.append(str(EnsembleName(tuple(card.name for card in pair))))
    alike = [card for card in cards if fit_together(cards[0], card)] if cards else []
    if 2 < len(alike) <= MOST:
        names.append(str(EnsembleName(tuple(sorted(card.name for card in alike)))))
    return names


def fit_together(one: ModelCard, other: ModelCard) -> bool:
    """Whether two teachers can be averaged: the same labels, and both grey or both colour."""
    return one.class_names == other.class_names and one.image_shape[0] == other.image_shape[0]


def _view(card: ModelCard) -> float:
    """The share of the middle square's side that a network is shown: less than 1 where an edge is cut off."""
    return 1.0 if card.resize is None else min(1.0, card.image_shape[1] / card.resize)


def _hash(spec: EnsembleName, cards: Sequence[ModelCard]) -> str:
    """Of everything that decides the answers, for the teacher-logit cache and for checkpoints."""
    members = [[card.sha256, card.calibration, card.crop, card.resize, card.image_shape] for card in cards]
    return hashlib.sha256(canonical_json([members, spec.rule]).encode()).hexdigest()


def _some(card: ModelCard) -> str:
    shown = ", ".join(card.class_names[:3])
    return f"{shown} ..." if len(card.class_names) > 3 else shown
