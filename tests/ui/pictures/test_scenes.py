"""Creatures with their true probabilities, whatever order or size their teacher learned them in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kdcore.datasets.creatures import SPECIES, TRAITS
from kdcore.teachers.load import load_teacher
from pages.ui.pictures.scenes import creature_scene

MIDDLE = {trait.name: 0.5 for trait in TRAITS}


def test_the_true_probabilities_stand_at_the_same_classes_as_the_teachers() -> None:
    teacher = load_teacher("creatures")
    wanted = creature_scene(teacher, MIDDLE)
    found = creature_scene(teacher.in_order(SPECIES[::-1]), MIDDLE)
    assert tuple(found.class_names) == SPECIES
    assert np.allclose(found.logits, wanted.logits)
    assert wanted.posterior is not None
    assert found.posterior is not None
    assert np.allclose(found.posterior, wanted.posterior)


def test_a_teacher_of_other_classes_that_says_it_learned_the_creatures_gets_no_true_probabilities() -> None:
    teacher = load_teacher("creatures")
    other = replace(teacher, card=replace(teacher.card, class_names=("fern", *SPECIES[1:])))
    assert creature_scene(other, MIDDLE).posterior is None
