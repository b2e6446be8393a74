"""A user's own datasets: made from a folder of class folders, or from parquet files as the Hugging Face Hub has them.

Adding a dataset reads every picture once, resizes it, and saves the small pictures as tensors, with a JSON file of
facts (the sheet) beside them. The original pictures are neither moved nor needed afterwards; changes to them have no
effect until they are added again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

from kdcore.datasets.base import Dataset, DatasetInfo
from kdcore.datasets.cache import from_tensors, to_tensors
from kdcore.datasets.class_names import printable
from kdcore.datasets.own_sources import read_source
from kdcore.datasets.own_splits import split_pictures
from kdcore.datasets.picture_reader import SIZES, Progress
from kdcore.datasets.split_names import split_of_folder
from kdcore.errors import ConfigError, DatasetUnavailable, ModelFileError, StoreError
from kdcore.machine import paths
from kdcore.machine.tensor_files import load_tensors, save_tensors, write_atomically

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class OwnSheet:
    """What is known of an own dataset without reading its pictures; saved as JSON beside the tensors.

    Attributes:
        origin: the folder or file that the pictures were read from.
        image_shape: (C, H, W).
        train_size: number of pictures in the train split.
        pictures: number of pictures in all splits.
        unreadable: number of files that could not be read as pictures and were left out.
        sha256: hash over the dataset's pixels and labels.
        tensors_sha256: hash of the file of tensors.
        notes: whole sentences about what was left out, or may not be expected.
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


def folder() -> Path:
    """Return the folder that holds the sheets and tensors of the user's own datasets; it may not exist yet."""
    return paths.home() / "datasets" / "own"


def list_own() -> tuple[DatasetInfo, ...]:
    """Return every own dataset, sorted by name; a dataset whose sheet is damaged is left out."""
    sheets = (_read_sheet(path) for path in sorted(folder().glob("*.json")))
    return tuple(_info(sheet) for sheet in sheets if sheet is not None)


def tensors_path(name: str) -> Path | None:
    """Return the file of an own dataset's tensors, or None if it does not exist."""
    path = folder() / f"{name}.safetensors"
    return path if path.is_file() else None


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
    name = _legal_name(name, taken) if name else _free_name(wanted, origin, taken, is_teacher_name)
    if is_teacher_name(name):
        raise ConfigError(
            f'"{name}" is the name of a teacher, and the teacher of your pictures gets their name; give them another '
            "(--name)."
        )
    if size is not None and size not in SIZES:
        raise ConfigError(f"The size must be {SIZES[0]} or {SIZES[1]} pixels, not {size}.")
    pictures = read_source(path, size, progress)
    dataset, notes = split_pictures(name, pictures.class_names, pictures.splits, _as_before(name))
    tensors_sha256 = save_tensors(folder() / f"{name}.safetensors", to_tensors(dataset))
    sheet = OwnSheet(
        name=name,
        origin=origin,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        train_size=len(dataset.train),
        pictures=len(dataset.train) + len(dataset.validation) + len(dataset.test),
        unreadable=pictures.unreadable,
        sha256=dataset.sha256,
        tensors_sha256=tensors_sha256,
        notes=(*_rename_notes(wanted, name), *pictures.notes, *notes),
    )
    try:
        write_atomically(folder() / f"{name}.json", json.dumps(asdict(sheet), indent=1, ensure_ascii=False).encode())
    except OSError as error:
        raise StoreError(f"The facts of {name} could not be saved ({error.strerror}); free some disk space.") from error
    return _info(sheet)


def remove_dataset(name: str) -> None:
    """Remove an own dataset's sheet and tensors; the pictures that it was made from stay where they are.

    Raises:
        ConfigError: no own dataset has this name.
    """
    path = folder() / f"{name}.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        names = ", ".join(info.name for info in list_own()) or "none yet"
        raise ConfigError(f'"{name[:40]}" is not one of your own datasets ({names}); only those can be removed.')
    path.unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def _info(sheet: OwnSheet) -> DatasetInfo:
    side = sheet.image_shape[1]
    facts = f"{sheet.pictures:,} pictures of your own, {side}x{side}."
    return DatasetInfo(
        name=sheet.name,
        title=sheet.name,
        source="your own",
        embedded=False,
        num_classes=len(sheet.class_names),
        train_size=sheet.train_size,
        description=" ".join((facts, *sheet.notes)),
        load=partial(_load, sheet),
        image_shape=sheet.image_shape,
        sha256=sheet.sha256,
        terms=f"Added from {Path(sheet.origin).name}.",
    )


def _load(sheet: OwnSheet) -> Dataset:
    try:
        tensors, _ = load_tensors(folder() / f"{sheet.name}.safetensors", sheet.tensors_sha256)
        return from_tensors(sheet.name, sheet.class_names, sheet.class_names, tensors, sheet.sha256)
    except (ModelFileError, KeyError) as error:
        raise DatasetUnavailable(
            f"The copy of {sheet.name} is missing or damaged; add it again: "
            f"kdcore datasets add {sheet.origin} --name {sheet.name}."
        ) from error


def _read_sheet(path: Path) -> OwnSheet | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        data = {"notes": []} | data  # sheets of earlier versions have none
        values = {field.name: data[field.name] for field in fields(OwnSheet)}
        values |= {key: tuple(values[key]) for key in ("class_names", "image_shape", "notes")}
        sheet = OwnSheet(**values)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sheet if sheet.name == path.stem and _NAME.fullmatch(sheet.name) else None


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
    sheet = _read_sheet(path)
    return path.exists() if sheet is None else sheet.origin != origin


def _as_before(name: str) -> Dataset | None:
    """Return the copy that adding pictures again replaces, or None if there is none that can be read."""
    sheet = _read_sheet(folder() / f"{name}.json")
    try:
        return None if sheet is None else _load(sheet)
    except DatasetUnavailable:
        return None


def _legal_name(name: str, taken: Collection[str]) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f'"{name[:40]}" is no name for a dataset; use up to 32 small letters, digits and hyphens.')
    if name in taken:
        raise ConfigError(f'"{name}" is the name of a dataset that comes with the engine; give yours another (--name).')
    return name
