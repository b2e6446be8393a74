"""Small teachers that several processes train together, for `test_distributed`.

    torchrun --nproc-per-node=2 -m tests.engine.trained_together FOLDER cpu

leaves what each process has in the end in FOLDER;

    torchrun --nproc-per-node=2 -m tests.engine.trained_together kdcore teachers train small-norm

is the command line, which knows these recipes too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from kdcore.cli.main import main
from kdcore.datasets import load_dataset
from kdcore.machine.device import pick_device
from kdcore.machine.distributed import SINGLE_PROCESS, World, join
from kdcore.machine.tensor_files import save_tensors
from kdcore.pictures.views import RandomViews
from kdcore.teachers.building.outsiders import OutsiderRecipe
from kdcore.teachers.building.recipes import TEACHER_RECIPES
from kdcore.teachers.building.training import TeacherEpoch, TeacherRecipe, train_teacher

# Two processes share neither the 15 pictures nor the 27 with the outsiders evenly.
PLAIN = TeacherRecipe(
    name="small-plain",
    dataset="digits",
    model="mlp-16",
    epochs=2,
    batch_size=15,
    learning_rate=0.02,
    weight_decay=5e-4,
    views=RandomViews(True, zoom=0.8, shift=0.1, light=0.2, cutout=0.25, turn=10, stretch=0.2, colour=0.3),
    balance=0.5,
    outsiders=OutsiderRecipe("digits", outside=("3",), inside=("5", "6"), share=0.25, weight=1.0),
)
NORM = replace(PLAIN, name="small-norm", model="convnet-4", epochs=1, batch_size=64, outsiders=None)


def train(
    recipe: TeacherRecipe,
    checkpoint: Path,
    device: str,
    world: World = SINGLE_PROCESS,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[TeacherEpoch | nn.Module]:
    """As `train_teacher`, in fp32, where another order of a sum is hardly seen."""
    place = replace(pick_device(device), precision="fp32")
    return train_teacher(recipe, load_dataset(recipe.dataset), place, checkpoint, should_stop, world)


def weights(training: Iterator[TeacherEpoch | nn.Module]) -> dict[str, Tensor]:
    """What comes out at the end, on the CPU."""
    *_epochs, network = training
    assert isinstance(network, nn.Module)
    return {name: value.cpu() for name, value in network.state_dict().items()}


def train_both(folder: Path, device: str) -> None:
    """Each process has a checkpoint of its own, so that it can be seen who writes."""
    with join(device) as world:
        place = pick_device(device).torch
        assert world.size == 2
        assert world.is_equal_everywhere(7, place) and not world.is_equal_everywhere(world.rank, place)
        for recipe in (PLAIN, NORM):
            checkpoint = folder / f"checkpoint-{recipe.name}-{world.rank}"
            save_tensors(folder / f"{recipe.name}-{world.rank}", weights(train(recipe, checkpoint, device, world)))


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    TEACHER_RECIPES[NORM.name] = NORM
    sys.exit(main(rest) if first == "kdcore" else train_both(Path(first), *rest))
