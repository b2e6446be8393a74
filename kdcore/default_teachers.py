"""Train the teachers that a run needs and that are not on this machine yet; each is trained once and kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from kdcore.ensemble_names import is_ensemble, members_of
from kdcore.events import TeacherEpochEnded
from kdcore.model_cards import ModelCard, list_teachers
from kdcore.recipes import teacher_recipe

TIMED_SECONDS = 1.5  # how long steps are timed to estimate a whole training; the quickest step is used


def dataset_of(name: str) -> str | None:
    """The dataset that the teacher called `name` learned, or will learn when it is trained here.

    The datasets of an ensemble's members are joined by "+", each once. None if there is neither a card nor a recipe.
    """
    known = {card.name: card.dataset for card in list_teachers()}
    learned: list[str] = []
    for member in members_of(name):
        recipe = teacher_recipe(member)
        dataset = known.get(member) or (recipe.dataset if recipe is not None else None)
        if dataset is None:
            return None
        learned.append(dataset)
    return "+".join(dict.fromkeys(learned))


def model_of(name: str) -> str | None:
    """The network, as a name in the model registry, of the teacher called `name`, which need not be trained yet.

    None for an ensemble, and for a name that has neither a card nor a recipe.
    """
    known = {card.name: card.model for card in list_teachers()}
    recipe = None if is_ensemble(name) else teacher_recipe(name)
    return known.get(name) or (recipe.model if recipe is not None else None)


def params_of(name: str) -> int | None:
    """The number of parameters of the teacher called `name`, which need not be trained yet.

    The parameters of an ensemble's members are added up. None if there is neither a card nor a recipe.
    """
    from kdcore.datasets import dataset_info
    from kdcore.networks.registry import count_params, outline

    known, total = {card.name: card.num_params for card in list_teachers()}, 0
    for member in members_of(name):
        if member in known:
            total += known[member]
        elif (recipe := teacher_recipe(member)) is not None:
            info = dataset_info(recipe.dataset)
            total += count_params(outline(recipe.model, info.image_shape, info.num_classes))
        else:
            return None
    return total


def ready_teacher(
    name: str, device: str = "auto", should_stop: Callable[[], bool] = lambda: False
) -> Iterator[TeacherEpochEnded]:
    """Train the teacher called `name`, or each member of that ensemble, unless it is on this machine already.

    A name without a recipe is passed over. An interrupted training is continued. The training uses every core, because
    nothing else trains meanwhile.

    Args:
        should_stop: asked after every batch; True ends the training without a teacher.

    Yields:
        A `TeacherEpochEnded` when a training begins, with epoch 0, and after each epoch.

    Raises:
        KdError: its dataset is not on this machine, or the disk cannot be written.
    """
    if is_ensemble(name):
        for member in members_of(name):
            if not should_stop():
                yield from ready_teacher(member, device, should_stop)
        return
    recipe = teacher_recipe(name)
    if recipe is None or name in {card.name for card in list_teachers()}:
        return
    import torch

    from kdcore.teacher_build import build

    torch.set_num_threads(os.cpu_count() or 1)
    # Report the beginning at once, because the first epoch may take a minute.
    yield TeacherEpochEnded(name, 0, recipe.epochs, None, 0.0)
    for step in build(name, device=device, should_stop=should_stop):
        if not isinstance(step, ModelCard):
            accuracy = getattr(step, "validation_accuracy", None)
            yield TeacherEpochEnded(name, step.epoch, step.epochs, accuracy, step.seconds)


def teacher_seconds(name: str, device: str = "auto") -> float | None:
    """Estimate how long the training of the teacher called `name` takes on this machine, in seconds.

    A few training steps on blank pictures are timed and multiplied; of an ensemble, the members that are not on this
    machine yet are added up. None if a teacher to be trained has no recipe.
    """
    import torch

    from kdcore.datasets import dataset_info
    from kdcore.machine.device import pick_device, torch_threads
    from kdcore.networks.registry import build_model

    if is_ensemble(name):
        known = {card.name for card in list_teachers()}
        each = [teacher_seconds(member, device) for member in members_of(name) if member not in known]
        return None if None in each else sum(one for one in each if one is not None)
    recipe = teacher_recipe(name)
    if recipe is None:
        return None
    info, here = dataset_info(recipe.dataset), pick_device(device)
    network = here.place(build_model(recipe.model, info.image_shape, info.num_classes, seed=0)).train()
    pictures = torch.zeros(recipe.batch_size, *info.image_shape, device=here.torch)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    times: list[float] = []
    with torch_threads(os.cpu_count() or 1):  # the real training uses as many
        while sum(times) < TIMED_SECONDS:
            began = time.perf_counter()
            with here.autocast():
                loss = network(pictures).float().square().mean()
            loss.backward()
            here.synchronize()
            times.append(time.perf_counter() - began)
    return min(times) * recipe.epochs * info.train_size / recipe.batch_size
