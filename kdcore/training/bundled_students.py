"""Train the students that are bundled with the project, beside their teachers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdcore.errors import ConfigError, UnknownName
from kdcore.events import EpochEnded, RunFinished
from kdcore.machine import paths
from kdcore.machine.distributed import SINGLE_PROCESS, World
from kdcore.settings.config import make_run_config
from kdcore.teachers.building.build import build_teacher
from kdcore.teachers.building.recipes import TEACHER_RECIPES, teacher_recipe
from kdcore.teachers.building.training import TeacherEpoch
from kdcore.teachers.card import ModelCard, own_model_folder
from kdcore.teachers.teacher import load_model, save_model
from kdcore.training.trainer import train


@dataclass(frozen=True)
class StudentRecipe:
    """The settings of the paired run whose arms are the bundled students; None means the dataset's default.

    Attributes:
        seeds: the number of seeds.
        student: the students' network, a name in the model registry.
        labels: the number of labelled training pictures.
        learning_rate: the peak of the schedule.
        notes: what the cards say beside the figures.
    """

    dataset: str
    seeds: int = 5
    student: str | None = None
    labels: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    notes: str = ""


_KINDS_NOTES = (
    "A student of 13 kinds of animals, taught by photos, whose classes are summed by kind. All figures are of the "
    "classes of animals64 that are not from ImageNet (labels 59 to 106): the others, which it learned too, are among "
    "the pictures that photos learned. It knows no other animals and nothing else, and answers with one of its kinds "
    "whatever it sees."
)
STUDENT_RECIPES: dict[str, StudentRecipe] = {
    "creatures-students": StudentRecipe("creatures"),
    # These have about 1/20 and 1/100 of their teacher's parameters and learn from every training picture. Of the
    # learning rates 0.003, 0.01 and 0.03 the last was the best for the baseline, on validation after five epochs.
    "cifar10-small-students": StudentRecipe("cifar10", 5, "airbench-32-80-80", 45_000, 12, 250, 0.03),
    "cifar10-tiny-students": StudentRecipe("cifar10", 5, "airbench-16-36-36", 45_000, 12, 250, 0.03),
    # About 1/100 of the parameters of `photos`.
    "animal-kinds-students": StudentRecipe("animal-kinds", 5, "resnet-8", 21_599, 8, 100, 0.01, notes=_KINDS_NOTES),
}


def build(
    name: str,
    out: Path | None = None,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
    world: World = SINGLE_PROCESS,
) -> Iterator[TeacherEpoch | EpochEnded | ModelCard]:
    """Train the model, or the pair of students, that the recipe called `name` describes.

    An interrupted training is continued.

    Args:
        out: the folder for weights and cards; None for `own_model_folder()`. The bundled models are in `assets/models`.
        should_stop: asked after every batch of a teacher's training; True ends it without a model. Students do not ask.
        world: the processes that train a teacher together; the first of them writes the card and yields it.

    Yields:
        The progress after each epoch, then the card of each file that was written.

    Raises:
        UnknownName: no recipe has this name.
        ConfigError: several processes are to train students, or are too many for a batch.
        KdError: the dataset is not on this machine, or the disk cannot be written.
    """
    if name in STUDENT_RECIPES:
        if world.size > 1:
            raise ConfigError(f"{name} are students, which train in one process; start kdcore without torchrun.")
        yield from _build_students(name, out or own_model_folder(), device)
    elif teacher_recipe(name) is None:
        raise UnknownName("recipe", name, (*TEACHER_RECIPES, *STUDENT_RECIPES))
    else:
        yield from build_teacher(name, out, device, should_stop, world)


def _build_students(name: str, folder: Path, device: str) -> Iterator[EpochEnded | ModelCard]:
    """Train the arms of a paired run, with the dataset's defaults except for the settings that the recipe names."""
    recipe = STUDENT_RECIPES[name]
    settings = {key: value for key, value in asdict(recipe).items() if key not in ("dataset", "notes")}
    run_dir = paths.home() / "students" / name  # kept until the run is over, so that it can be continued
    for event in train(make_run_config(recipe.dataset, device=device, **settings), run_dir=run_dir):
        if isinstance(event, EpochEnded):
            yield event
        elif isinstance(event, RunFinished):
            for arm in ("baseline", "distilled"):
                student = load_model(run_dir / "models" / f"{arm}.safetensors")
                card = {**vars(student.card), "name": f"{name.removesuffix('-students')}-{arm}"}
                card["figures"] = {**card["figures"], **_compared(event.result)}
                card["notes"] = recipe.notes
                card["command"] = f"kdcore teachers train {name}"
                del card["sha256"], card["size_bytes"]  # save_model fills in those of the new file
                yield save_model(folder, student.network.network, card)
            shutil.rmtree(run_dir)


def _compared(result: dict[str, Any]) -> dict[str, Any]:
    """The figures of a pair of students that are about more than one arm: its paired difference, and the accuracy and
    the calibration error of its teacher on the same test pictures, which the teacher's own card may lack."""
    teacher = {name: result["arms"]["teacher"][name] for name in ("accuracy", "ece")}
    return {"paired_difference": result["paired_difference"], "teacher": teacher}
