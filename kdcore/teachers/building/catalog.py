"""Which dataset and which network belong to a teacher's name, whether or not the teacher was trained yet."""

from __future__ import annotations

from kdcore.datasets import dataset_info
from kdcore.networks.registry import count_params, model_without_weights
from kdcore.teachers.building.recipes import teacher_recipe
from kdcore.teachers.card import (
    CONTROL_ENDINGS,
    UNKNOWN_DATASET,
    list_cards,
    list_teachers,
    was_trained_here,
)
from kdcore.teachers.ensemble_names import is_ensemble, members_of


def dataset_of(name: str) -> str | None:
    """The dataset that the teacher called `name` learned, or will learn when it is trained here.

    The datasets of an ensemble's members are joined by "+", each once. None if there is neither a card nor a recipe.
    """
    by_card = {card.name: card.dataset for card in list_teachers()}
    datasets: list[str] = []
    for member in members_of(name):
        recipe = teacher_recipe(member)
        dataset = by_card.get(member) or (recipe.dataset if recipe is not None else None)
        if dataset is None:
            return None
        datasets.append(dataset)
    return "+".join(dict.fromkeys(datasets))


def model_of(name: str) -> str | None:
    """The network, as a name in the model registry, of the teacher called `name`, which need not be trained yet.

    None for an ensemble, and for a name that has neither a card nor a recipe.
    """
    by_card = {card.name: card.model for card in list_teachers()}
    recipe = None if is_ensemble(name) else teacher_recipe(name)
    return by_card.get(name) or (recipe.model if recipe is not None else None)


def params_of(name: str) -> int | None:
    """The number of parameters of the teacher called `name`, which need not be trained yet.

    The parameters of an ensemble's members are added up. None if there is neither a card nor a recipe.
    """
    by_card = {card.name: card.num_params for card in list_teachers()}
    total = 0
    for member in members_of(name):
        if member in by_card:
            total += by_card[member]
        elif (recipe := teacher_recipe(member)) is not None:
            info = dataset_info(recipe.dataset)
            total += count_params(model_without_weights(recipe.model, info.image_shape, info.num_classes))
        else:
            return None
    return total


def is_teacher_name(name: str) -> bool:
    """Whether a new dataset may not be called `name`, because its own teacher would then have the name of another.

    These are the names of published teachers, of the teachers of controls, and of all networks on this machine except
    for the dataset's own teacher, which stays when a dataset is removed. `UNKNOWN_DATASET` is the dataset of others.
    """
    from kdcore.teachers.published import PUBLISHED  # loads torchvision, which takes a second

    if name.endswith(CONTROL_ENDINGS) or name in PUBLISHED or name == UNKNOWN_DATASET:
        return True
    card = next((card for card in list_cards() if card.name == name), None)
    return card is not None and not (was_trained_here(card) and card.dataset == name)
