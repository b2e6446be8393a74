"""`creatures`: heads of eight animals drawn from traits, with the exact posterior of every picture."""

from __future__ import annotations

from kdcore.datasets.base import Dataset, Split, hash_splits
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

# Seeds of the fixed splits; fresh pictures should use others.
_SPLITS = {"train": (10_000, 1_000_001), "validation": (2_000, 1_000_002), "test": (5_000, 1_000_003)}


def draw_pictures(n: int, seed: int) -> Split:
    """`n` fresh pictures of 32 x 32 pixels with nuisance, their species and their posterior.

    The same seed gives the same pictures. Seeds 1,000,001 to 1,000,003 are those of the fixed splits.
    """
    traits, hard_labels = sample_traits(n, seed)
    # Another stream than that of the traits, or nuisance would repeat their random numbers.
    images = render(traits, sample_nuisance(n, seed + 500_000_000))
    return Split(images, hard_labels, posterior(traits).float())


def load() -> Dataset:
    """The fixed splits: 10,000 pictures to train on, 2,000 for validation, 5,000 for test."""
    train, validation, test = (draw_pictures(n, seed) for n, seed in _SPLITS.values())
    return Dataset(
        name="creatures",
        class_names=SPECIES,
        superclasses=SUPERCLASSES,
        train=train,
        validation=validation,
        test=test,
        sha256=hash_splits(train, validation, test),
    )
