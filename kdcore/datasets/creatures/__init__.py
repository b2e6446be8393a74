"""`creatures`: heads of eight animal species drawn from traits, with the exact posterior of every picture."""

from __future__ import annotations

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.creatures.nuisance import Nuisance, neutral_nuisance, sample_nuisance
from kdcore.datasets.creatures.renderer import render
from kdcore.datasets.creatures.traits import (
    SPECIES,
    SUPERCLASSES,
    TRAITS,
    Trait,
    distances,
    morph,
    posterior,
    prototype,
    sample_traits,
)
from kdcore.machine.device import torch_threads

__all__ = [
    "SPECIES",
    "SUPERCLASSES",
    "TRAITS",
    "Nuisance",
    "Trait",
    "distances",
    "draw_pictures",
    "load",
    "morph",
    "neutral_nuisance",
    "posterior",
    "prototype",
    "render",
    "sample_nuisance",
    "sample_traits",
]

# Split -> (number of pictures, seed). Fresh pictures should be drawn with other seeds.
_SPLITS = {"train": (10_000, 1_000_001), "validation": (2_000, 1_000_002), "test": (5_000, 1_000_003)}


def draw_pictures(n: int, seed: int) -> Split:
    """Draw `n` random pictures, uint8 [n, 3, 32, 32], with nuisance, their species and their posterior.

    The same seed gives the same pictures. Seeds 1,000,001 to 1,000,003 are used by the fixed splits.

    Raises:
        ConfigError: `n` is negative.
    """
    traits, hard_labels = sample_traits(n, seed)
    # With the seed of the traits, the nuisance would be drawn from the same random numbers as the traits.
    nuisance = sample_nuisance(n, seed + 500_000_000)
    with torch_threads(1):  # two are a third faster on an idle machine, and ten times slower beside other processes
        images = render(traits, nuisance)
    return Split(images, hard_labels, posterior(traits).float())


def load() -> Dataset:
    """Return the dataset, rendered from fixed seeds: 10,000 pictures to train on, 2,000 to validate, 5,000 to test."""
    train, validation, test = (draw_pictures(n, seed) for n, seed in _SPLITS.values())
    return Dataset.from_splits("creatures", SPECIES, SUPERCLASSES, train, validation, test)
