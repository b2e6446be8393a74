"""A user's own datasets: made from a folder of class folders, or from parquet files as the Hugging Face Hub has them.

Adding a dataset reads every picture once, resizes it, and saves the small pictures as tensors, with a JSON file of
facts (the sheet) beside them. The original pictures are neither moved nor needed afterwards; changes to them have no
effect until they are added again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset, DatasetInfo
from kdcore.datasets.class_names import printable
from kdcore.datasets.own_sheets import (
    GIVEN,
    NAME,
    folder,
    info_of,
    list_sheets,
    load_extra,
    load_own,
    read_sheet,
    save_dataset,
    sheet_path,
    write_sheet,
)
from kdcore.datasets.own_sources import read_source
from kdcore.datasets.own_splits import split_pictures
from kdcore.datasets.picture_reader import SIZES, Progress
from kdcore.datasets.split_names import split_of_folder
from kdcore.errors import ConfigError, DatasetUnavailable
from kdcore.machine import paths


def list_own() -> tuple[DatasetInfo, ...]:
    """Return every own dataset, sorted by name; a dataset whose sheet is damaged is left out."""
    return tuple(map(info_of, list_sheets()))


def tensors_path(name: str) -> Path | None:
    """Return the file of an own dataset's tensors, or None if it does not exist."""
    path = folder() / f"{name}.safetensors"
    return path if path.is_file() else None


def load_extra_pictures(name: str) -> Tensor:
    """Load the pictures without labels that are kept with an own dataset, uint8 [M, C, H, W].

    Raises:
        DatasetUnavailable: there are none, or they are damaged.
    """
    sheet = read_sheet(sheet_path(name)) if NAME.fullmatch(name) else None
    if sheet is None or not sheet.extra:
        raise DatasetUnavailable(f"{name} has no pictures without labels; give it some, or leave them out.")
    return load_extra(sheet)


def was_given(name: str) -> bool:
    """Whether an own dataset was made of pictures that were given in memory, and not read from a folder or file."""
    sheet = read_sheet(sheet_path(name))
    return sheet is not None and sheet.origin == GIVEN


def add_dataset(
    path: Path,
    name: str | None = None,
    size: int | None = None,
    progress: Progress = lambda done, total: None,
    taken: Collection[str] = (),
    is_teacher_name: Callable[[str], bool] = lambda name: False,
) -> DatasetInfo:
    """Make a dataset of this machine from the pictures at `path`.

    Args:
        path: a folder with one folder a class (directly, or under `train` and perhaps `val` and `test`), a parquet
            file, or a folder of parquet files as the Hugging Face Hub has it.
        name: up to 32 small letters, digits and hyphens; an own dataset of that name is replaced. Unless given, it is
            made from the name of the folder or file, with a number if a dataset from elsewhere has it already.
        size: side of the resized pictures in pixels, 32 or 64. Unless given, it is 64 if most pictures are at least
            that large, and 32 otherwise.
        progress: called with the number of pictures read so far and the number of all pictures.
        taken: names of datasets that the new one may not have.
        is_teacher_name: whether a name belongs to another teacher than the new dataset's own, which gets the dataset's
            name; the new dataset may not have such a name either.

    Raises:
        ConfigError: the path, name, size or number of pictures cannot be used.
        DatasetUnavailable: the pictures cannot be read.
        StoreError: the dataset cannot be written to the disk.
    """
    path = path.expanduser().absolute()
    origin = printable(str(path))
    wanted = name or _name_from_path(path)
    name = legal_name(name, taken) if name else _free_name(wanted, origin, taken, is_teacher_name)
    if is_teacher_name(name):
        raise ConfigError(
            f'"{name}" is the name of a teacher, and the teacher of your pictures gets their name; give them another '
            "(--name)."
        )
    if size is not None and size not in SIZES:
        raise ConfigError(f"The size must be {SIZES[0]} or {SIZES[1]} pixels, not {size}.")
    pictures = read_source(path, size, progress)
    dataset, notes = split_pictures(name, pictures.class_names, pictures.splits, _as_before(name))
    extra = torch.empty(0, *dataset.image_shape, dtype=torch.uint8)
    said = (*_rename_notes(wanted, name), *pictures.notes, *notes)
    return info_of(save_dataset(dataset, origin, pictures.unreadable, said, extra))


def remove_dataset(name: str) -> None:
    """Remove an own dataset's sheet and tensors; the pictures that it was made from stay where they are.

    Of pictures that were given in memory, the teachers that learned from them are removed too, so that nothing that
    was made from them stays but the students in the folders of runs.

    Raises:
        ConfigError: no own dataset has this name.
    """
    path, given = _existing_sheet(name, "removed"), was_given(name)
    path.unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)
    if given:
        _remove_teachers(name)


def keep_dataset(name: str) -> DatasetInfo:
    """Make a temporary dataset a lasting one; one that lasts already stays so.

    Raises:
        ConfigError: no own dataset has this name, or its sheet is damaged.
        StoreError: that cannot be written to the disk.
    """
    sheet = read_sheet(_existing_sheet(name, "kept"))
    if sheet is None:
        raise ConfigError(f"The facts of {name} are damaged, so it cannot be kept; give its pictures again.")
    lasting = replace(sheet, expires=None)
    write_sheet(lasting)
    return info_of(lasting)


def _existing_sheet(name: str, done: str) -> Path:
    """Return the path of the sheet of an own dataset.

    Args:
        done: what is to be done with it, as a participle for the message.

    Raises:
        ConfigError: no own dataset has this name.
    """
    if NAME.fullmatch(name) and sheet_path(name).is_file():
        return sheet_path(name)
    names = ", ".join(info.name for info in list_own()) or "none yet"
    raise ConfigError(f'"{name[:40]}" is not one of your own datasets ({names}); only those can be {done}.')


def _remove_teachers(dataset: str) -> None:
    """Remove the teachers, those of controls too, that were trained on a dataset, and what a stopped training left."""
    for path in (paths.home() / "models").glob(f"{dataset}*.json"):
        try:
            learned = json.loads(path.read_text(encoding="utf-8"))["dataset"]
        except (OSError, ValueError, KeyError, TypeError):  # a damaged card is not known to be of this dataset
            continue
        if learned == dataset:
            path.unlink(missing_ok=True)
            path.with_suffix(".safetensors").unlink(missing_ok=True)
    for ending in ("", "-smoothed", "-undertrained"):
        (paths.home() / "teachers" / f"{dataset}{ending}.safetensors").unlink(missing_ok=True)


def _name_from_path(path: Path) -> str:
    """Return a legal name made from that of a folder or parquet file, or of the folder above `train` and the like."""
    own_name = path.stem if path.suffix.lower() == ".parquet" else path.name
    title = path.parent.name if split_of_folder(own_name) is not None else own_name
    hyphenated = re.sub(r"[^a-z0-9]+", "-", title.lower())
    return hyphenated.strip("-")[:32].strip("-") or "own"


def _free_name(name: str, origin: str, taken: Collection[str], is_teacher_name: Callable[[str], bool]) -> str:
    """Return `name`, or with a number if it is taken: what nobody typed must not replace anything."""
    candidate, number = name, 1
    while (
        candidate in taken or is_teacher_name(candidate) or _is_from_elsewhere(folder() / f"{candidate}.json", origin)
    ):
        number += 1
        candidate = f"{name[: 31 - len(str(number))].rstrip('-')}-{number}"
    return candidate


def _rename_notes(wanted: str, name: str) -> tuple[str, ...]:
    """Return the sentence that says why a dataset did not get the name of its folder or file; none if it did."""
    return () if name == wanted else (f'The name "{wanted}" is taken, so this dataset is called "{name}".',)


def _is_from_elsewhere(path: Path, origin: str) -> bool:
    sheet = read_sheet(path)
    return path.exists() if sheet is None else sheet.origin != origin


def _as_before(name: str) -> Dataset | None:
    """Return the copy that adding pictures again replaces, or None if there is none that can be read."""
    sheet = read_sheet(folder() / f"{name}.json")
    try:
        return None if sheet is None else load_own(sheet)
    except DatasetUnavailable:
        return None


def legal_name(name: str, taken: Collection[str]) -> str:
    """Return the name that a user chose for a dataset.

    Raises:
        ConfigError: it is not legal, or in `taken`.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f'"{name[:40]}" is no name for a dataset; use up to 32 small letters, digits and hyphens.')
    if name in taken:
        raise ConfigError(f'"{name}" is the name of a dataset that comes with the engine; give yours another (--name).')
    return name
