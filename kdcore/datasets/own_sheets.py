"""What is saved of a user's own dataset: its tensors, and beside them a JSON file of facts, the sheet."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset, DatasetInfo, Split
from kdcore.datasets.cache import from_tensors, to_tensors
from kdcore.errors import DatasetUnavailable, ModelFileError, StoreError
from kdcore.machine import paths
from kdcore.machine.tensor_files import load_tensors, save_tensors, write_atomically

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
GIVEN = ""  # the origin of pictures that were given in memory, not read from a folder or file
_EXTRA = "extra.images"
_ADDED_LATER = {"notes": [], "grey": False, "extra": 0, "expires": None}  # sheets of earlier versions lack these


@dataclass(frozen=True)
class OwnSheet:
    """What is known of an own dataset without reading its pictures; saved as JSON beside the tensors.

    Attributes:
        origin: the folder or file that the pictures were read from; `GIVEN` if they were given in memory.
        image_shape: (C, H, W).
        train_size: number of pictures in the train split.
        pictures: number of pictures in all splits.
        unreadable: number of files that could not be read as pictures and were left out.
        sha256: hash over the dataset's pixels and labels.
        tensors_sha256: hash of the file of tensors.
        notes: whole sentences about what was left out, or may not be expected.
        grey: whether all pictures are grey.
        extra: number of pictures without labels that are kept with the dataset.
        expires: when a temporary dataset may be removed, in seconds since 1970; None for one that is kept.
    """

    name: str
    origin: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train_size: int
    pictures: int
    unreadable: int
    sha256: str
    tensors_sha256: str
    notes: tuple[str, ...] = ()
    grey: bool = False
    extra: int = 0
    expires: float | None = None


def folder() -> Path:
    """Return the folder that holds the sheets and tensors of the user's own datasets; it may not exist yet."""
    return paths.home() / "datasets" / "own"


def sheet_path(name: str) -> Path:
    return folder() / f"{name}.json"


def save_dataset(
    dataset: Dataset, origin: str, unreadable: int, notes: tuple[str, ...], extra: Tensor, expires: float | None = None
) -> OwnSheet:
    """Write the tensors and the sheet of a dataset; the arguments are those of `OwnSheet`.

    Args:
        extra: pictures without labels, uint8 [M, C, H, W]; M may be 0.

    Raises:
        StoreError: they cannot be written to the disk.
    """
    tensors = {**to_tensors(dataset), _EXTRA: extra}
    sheet = OwnSheet(
        name=dataset.name,
        origin=origin,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        train_size=len(dataset.train),
        pictures=len(dataset.train) + len(dataset.validation) + len(dataset.test),
        unreadable=unreadable,
        sha256=dataset.sha256,
        tensors_sha256=save_tensors(sheet_path(dataset.name).with_suffix(".safetensors"), tensors),
        notes=notes,
        grey=all(map(_is_grey, (dataset.train, dataset.validation, dataset.test))),
        extra=len(extra),
        expires=expires,
    )
    write_sheet(sheet)
    return sheet


def _is_grey(split: Split) -> bool:
    return bool((split.images == split.images[:, :1]).all())


def write_sheet(sheet: OwnSheet) -> None:
    """Write a sheet.

    Raises:
        StoreError: it cannot be written to the disk.
    """
    text = json.dumps(asdict(sheet), indent=1, ensure_ascii=False)
    try:
        write_atomically(sheet_path(sheet.name), text.encode())
    except OSError as error:
        raise StoreError(
            f"The facts of {sheet.name} could not be saved ({error.strerror}); free some disk space."
        ) from error


def read_sheet(path: Path) -> OwnSheet | None:
    """Read the sheet at `path`; None if it is missing or damaged."""
    try:
        data = _ADDED_LATER | json.loads(path.read_text(encoding="utf-8"))
        values = {field.name: data[field.name] for field in fields(OwnSheet)}
        values |= {key: tuple(values[key]) for key in ("class_names", "image_shape", "notes")}
        sheet = OwnSheet(**values)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sheet if sheet.name == path.stem and NAME.fullmatch(sheet.name) else None


def list_sheets() -> tuple[OwnSheet, ...]:
    """Return the sheet of every own dataset, sorted by name; damaged ones are left out."""
    sheets = (read_sheet(path) for path in sorted(folder().glob("*.json")))
    return tuple(sheet for sheet in sheets if sheet is not None)


def info_of(sheet: OwnSheet) -> DatasetInfo:
    """Return what the registry of datasets shows of an own dataset."""
    side = sheet.image_shape[1]
    facts = [f"{sheet.pictures:,} pictures of your own, {side}x{side}."]
    if sheet.extra:
        facts.append(f"{sheet.extra:,} more without a label.")
    given = sheet.origin == GIVEN
    return DatasetInfo(
        name=sheet.name,
        title=sheet.name,
        source="your own",
        embedded=False,
        num_classes=len(sheet.class_names),
        train_size=sheet.train_size,
        description=" ".join((*facts, *sheet.notes)),
        load=partial(load_own, sheet),
        image_shape=sheet.image_shape,
        sha256=sheet.sha256,
        terms="Given on a page of this program." if given else f"Added from {Path(sheet.origin).name}.",
        grey=sheet.grey,
        extra_size=sheet.extra,
        expires=sheet.expires,
    )


def load_own(sheet: OwnSheet) -> Dataset:
    """Load the dataset that a sheet describes.

    Raises:
        DatasetUnavailable: its tensors are missing or damaged.
    """
    tensors = _load(sheet)
    try:
        return from_tensors(sheet.name, sheet.class_names, sheet.class_names, tensors, sheet.sha256)
    except KeyError as error:
        raise _damaged(sheet) from error


def load_extra(sheet: OwnSheet) -> Tensor:
    """Load the pictures without labels that are kept with an own dataset, uint8 [M, C, H, W]; M may be 0.

    Raises:
        DatasetUnavailable: they are missing or damaged.
    """
    return _load(sheet).get(_EXTRA, torch.empty(0, *sheet.image_shape, dtype=torch.uint8))


def _load(sheet: OwnSheet) -> dict[str, Tensor]:
    try:
        return load_tensors(sheet_path(sheet.name).with_suffix(".safetensors"), sheet.tensors_sha256)[0]
    except ModelFileError as error:
        raise _damaged(sheet) from error


def _damaged(sheet: OwnSheet) -> DatasetUnavailable:
    again = "give its pictures again" if sheet.origin == GIVEN else "add it again"
    command = "" if sheet.origin == GIVEN else f": kdcore datasets add {sheet.origin} --name {sheet.name}"
    return DatasetUnavailable(f"The copy of {sheet.name} is missing or damaged; {again}{command}.")
