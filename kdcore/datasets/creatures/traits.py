"""The traits of creatures: their names, the Gaussian distribution of each species over them, and the exact posterior.

A species is a Gaussian with its own mean and a diagonal covariance that all species share; the species are equally
likely. Sampled traits are not clipped: a trait may lie outside the range that can be drawn; the picture then shows the
nearest end of the range, while the posterior is computed from the true value. So p(species | traits) is exact, and it
is the softmax of a function linear in the traits (linear discriminant analysis, Fisher 1936). The spreads are wide on
purpose: individuals of neighbouring species look alike, wolf and dog most of all, so that even the Bayes classifier,
which is the best possible one, makes mistakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.errors import ConfigError, UnknownName


@dataclass(frozen=True)
class Trait:
    """One measure of a head.

    Attributes:
        name: key in code and in page addresses.
        title: name shown to a visitor.
        low, high: the range that is drawn, in `unit`; values beyond it look like the nearest end.
        description: what changes in the picture as the value grows.
        unit: "" for a share from 0 (none) to 1 (full); "%" for a length in percent of half the picture's side; "°".
        spread: standard deviation within a species, the same for all species.
        means: mean of each species, in the order of `SPECIES`.
    """

    name: str
    title: str
    low: float
    high: float
    description: str
    unit: str
    spread: float
    means: tuple[float, ...]


SPECIES: tuple[str, ...] = ("wolf", "dog", "fox", "cat", "lynx", "bear", "rabbit", "mouse")
SUPERCLASSES: tuple[str, ...] = ("canine", "canine", "canine", "feline", "feline", "bear", "gnawer", "gnawer")

# means:                                          wolf  dog   fox   cat   lynx  bear  rabbit mouse
_ROWS: tuple[tuple[str, str, float, float, str, str, float, tuple[float, ...]], ...] = (
    ("ear_height", "Ear height", 14, 112, "Longer ears.", "%", 19,
     (46, 45, 53, 42, 43, 30, 74, 38)),
    ("ear_width", "Ear width", 7, 36, "Broader ears.", "%", 5.8,
     (18, 18, 20, 21, 18, 19, 15, 27)),
    ("ear_spread", "Ear angle", -12, 66, "Ears lean further to the sides.", "°", 16,
     (13, 19, 18, 24, 20, 34, 7, 38)),
    ("ear_droop", "Floppy ears", -0.4, 1.4, "From upright ears at 0 to hanging ears at 1.", "", 0.75,
     (0, 0.9, 0, 0, 0, 0, 0.1, 0)),
    ("ear_point", "Pointed ears", -0.4, 1.5,
     "From round ears through pointed ones to dark tips and tufts; eyes slant and cheeks grow fur.", "", 0.45,
     (0.66, 0.46, 0.84, 0.6, 1.05, 0.05, 0.32, 0.05)),
    ("head_width", "Cheek width", 40, 76, "A wider head.", "%", 6.5,
     (57, 57, 57, 60, 61, 62, 54, 51)),
    ("jaw_width", "Jaw width", 16, 70, "A heavier jaw instead of a pointed chin.", "%", 12.5,
     (43, 48, 29, 49, 50, 58, 48, 37)),
    ("snout_length", "Snout length", 0, 52, "A longer snout with the nose further down.", "%", 11,
     (29, 27, 29, 9, 13, 25, 12, 20)),
    ("muzzle_width", "Muzzle width", 6, 40, "A broader muzzle.", "%", 8,
     (20, 25, 14, 17, 20, 25, 16, 13)),
    ("eye_size", "Eye size", 3, 17, "Bigger eyes.", "%", 3.0,
     (6.8, 7.8, 6.8, 11.5, 9.5, 6, 9, 8)),
    ("eye_spacing", "Eye spacing", 12, 40, "Eyes further apart.", "%", 4.2,
     (23, 23, 23, 25, 25, 21.5, 29, 24)),
    ("fur_warmth", "Fur warmth", -0.4, 1.5, "From grey through brown to bright orange fur.", "", 0.5,
     (0.02, 0.55, 1, 0.25, 0.42, 0.45, 0.2, 0.02)),
    ("fur_lightness", "Fur lightness", 0.14, 0.93, "From dark to light fur.", "", 0.17,
     (0.48, 0.5, 0.55, 0.54, 0.63, 0.33, 0.79, 0.6)),
    ("face_mask", "Light face", -0.3, 1.5, "A larger and paler mask over cheeks and brows.", "", 0.48,
     (0.78, 0.5, 0.98, 0.55, 0.75, 0.05, 0.35, 0.15)),
    ("stripes", "Stripes", -0.4, 1.4, "Stripes on forehead and cheeks; pupils narrow to slits.", "", 0.5,
     (0, -0.1, -0.1, 0.85, 0.5, -0.1, -0.1, -0.1)),
)  # fmt: skip

TRAITS: tuple[Trait, ...] = tuple(Trait(*row) for row in _ROWS)


def trait_means() -> Tensor:
    """Return the mean traits of each species, float64 [K, D]."""
    return torch.tensor([trait.means for trait in TRAITS], dtype=torch.float64).T.contiguous()


def trait_spreads() -> Tensor:
    """Return the standard deviation of each trait within a species, float64 [D]."""
    return torch.tensor([trait.spread for trait in TRAITS], dtype=torch.float64)


def sample_traits(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw `n` creatures of random species.

    Returns:
        traits float32 [n, D] and hard_labels int64 [n]; the same seed gives the same creatures.

    Raises:
        ConfigError: `n` is negative.
    """
    if n < 0:
        raise ConfigError(f"The number of creatures must be 0 or more, not {n}.")
    generator = torch.Generator().manual_seed(seed)
    hard_labels = torch.randint(len(SPECIES), (n,), generator=generator)
    # Drawn in double precision: PyTorch's single-precision normals depend on the processor's vector unit.
    noise = torch.randn(n, len(TRAITS), generator=generator, dtype=torch.float64)
    traits = trait_means()[hard_labels] + noise * trait_spreads()
    return traits.float(), hard_labels


def posterior(traits: Tensor) -> Tensor:
    """Compute the exact p(species | traits) by Bayes' rule with equal priors, in log space.

    Args:
        traits: [N, D] (or [D] for one creature).

    Returns:
        float64 [N, K] (or [K]), rows sum to 1.
    """
    z = (traits.double().unsqueeze(-2) - trait_means()) / trait_spreads()  # [N, K, D]
    # The normalising constants are the same for all species (shared covariance, equal priors) and cancel.
    log_likelihood = -0.5 * z.square().sum(-1)  # [N, K]
    return torch.softmax(log_likelihood, dim=-1)


def prototype(species: str) -> Tensor:
    """Return the mean traits of a species, float32 [D].

    Raises:
        UnknownName: no species has this name.
    """
    if species not in SPECIES:
        raise UnknownName("species", species, SPECIES)
    return trait_means()[SPECIES.index(species)].float()


def morph(stops: tuple[str, ...], steps: int) -> Tensor:
    """Return `steps` creatures that change from the first species through the others to the last one.

    Their traits are evenly spaced on straight lines between the species' mean traits.

    Args:
        stops: names of the species, at least 2.
        steps: number of creatures, at least 2.

    Returns:
        float32 [steps, D].

    Raises:
        UnknownName: no species has one of the names.
        ConfigError: there are fewer than two stops or steps.
    """
    if len(stops) < 2 or steps < 2:
        raise ConfigError(f"A morph needs at least 2 stops and 2 steps, not {len(stops)} and {steps}.")
    prototypes = torch.stack([prototype(stop).double() for stop in stops])  # [S, D]
    place = torch.linspace(0, len(stops) - 1, steps, dtype=torch.float64)  # [steps]
    left = place.floor().long().clamp(max=len(stops) - 2)
    share = (place - left).unsqueeze(1)
    return (prototypes[left] * (1 - share) + prototypes[left + 1] * share).float()


def distances() -> dict[tuple[str, str], float]:
    """Return the Mahalanobis distance between the means of each pair of species.

    If there were only these two, the Bayes classifier would take one for the other with probability Φ(-distance / 2).
    """
    z = trait_means() / trait_spreads()
    pairs = [(i, j) for i in range(len(SPECIES)) for j in range(i + 1, len(SPECIES))]
    return {(SPECIES[i], SPECIES[j]): math.dist(z[i].tolist(), z[j].tolist()) for i, j in pairs}
