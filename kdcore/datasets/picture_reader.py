"""One way from the bytes of a picture to a square tensor, whatever kind of source the bytes come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.datasets.class_names import printable
from kdcore.datasets.splits import UnsplitPictures
from kdcore.errors import PictureError
from kdcore.pictures.decode import open_picture
from kdcore.pictures.prepare import prepare_picture

SIZES = (32, 64)  # the sides in pixels that the networks of this project are made for
_CROP = re.compile(r"(.*[^\s/\\])#\d+(\.\w+)?", re.DOTALL)
_SAMPLE = 50  # pictures that are looked at to choose the size

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EncodedPicture:
    """One picture of a source as it stands there.

    Attributes:
        name: where it stands in the source, for messages.
        class_name: None if it has no label.
        data: the bytes of the file; None if they could not be read.
        origin: name of the picture that this one is a crop of; empty if it is not known to be a crop.
    """

    name: str
    class_name: str | None
    data: bytes | None
    origin: str = ""


@dataclass(frozen=True)
class SourceSplit:
    """The pictures of one split of a source.

    Attributes:
        count: number of pictures.
        read: yields the pictures one after the other, or about `sample` of them.
    """

    count: int
    read: Callable[..., Iterator[EncodedPicture]]


@dataclass(frozen=True)
class Source:
    """The pictures at a path, found but not decoded.

    Attributes:
        class_names: the legal names of the classes of `train`, in the order of the hard labels.
        splits: split -> its pictures; `train` is always there.
        notes: whole sentences about what was left out, or may not be expected.
    """

    class_names: tuple[str, ...]
    splits: dict[str, SourceSplit]
    notes: tuple[str, ...]


def decode(data: bytes, name: str, image_shape: tuple[int, int, int], dark_ground: bool = True) -> Tensor:
    """Return the picture in `data` as uint8 [1, C, H, W].

    Args:
        name: the file's name, only for error messages.
        dark_ground: turn a grey picture on a bright ground into its negative, as `prepare_picture` does.

    Raises:
        PictureError: the bytes are no picture that can be used.
    """
    return prepare_picture(open_picture(data, name), image_shape, dark_ground=dark_ground)


def fitting_size(split: SourceSplit) -> int:
    """Return 64 if at least half of a sample of the pictures are at least 64 pixels on both sides, else 32."""
    sides = []
    for picture in split.read(sample=_SAMPLE):
        try:
            sides.append(min(open_picture(picture.data or b"").size))
        except PictureError:  # it is counted when it is read
            continue
    return SIZES[1] if sides and sorted(sides)[len(sides) // 2] >= SIZES[1] else SIZES[0]


class PictureReader:
    """Reads the splits of a source as square pictures of `size` x `size` pixels, and counts what is left out.

    Args:
        labels: class name -> hard label.
        total: number of pictures of all splits, for `progress`.
    """

    def __init__(self, labels: Mapping[str, int], size: int, total: int, progress: Progress) -> None:
        self.labels, self.size, self.total, self.progress = labels, size, total, progress
        self.done = 0
        self.unreadable: list[str] = []
        self.unlabelled = 0
        self.unknown_classes: Counter[str] = Counter()

    def read(self, split: SourceSplit) -> UnsplitPictures:
        """Return the pictures of one split that have a known class and can be decoded; there may be none."""
        images: list[Tensor] = []
        labels: list[int] = []
        origins: list[str] = []
        for picture in split.read():
            self.done += 1
            self.progress(self.done, self.total)
            if picture.class_name is None or picture.class_name not in self.labels:
                self._leave_out(picture)
                continue
            try:
                images.append(decode(picture.data or b"", picture.name, (3, self.size, self.size)))
            except PictureError:
                self.unreadable.append(printable(picture.name))
                continue
            labels.append(self.labels[picture.class_name])
            origins.append(picture.origin)
        stacked = torch.cat(images) if images else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        return UnsplitPictures(stacked, torch.tensor(labels, dtype=torch.int64), origins)

    def _leave_out(self, picture: EncodedPicture) -> None:
        if picture.class_name is None:
            self.unlabelled += 1
        else:
            self.unknown_classes[picture.class_name] += 1

    def notes(self) -> list[str]:
        """Return whole sentences about the pictures that were left out."""
        notes = []
        if self.unreadable:
            notes.append(f"{counted(len(self.unreadable), 'file')} could not be read ({shortened(self.unreadable)}).")
        if self.unlabelled:
            notes.append(f"{counted(self.unlabelled, 'picture')} without a label left out.")
        for name, count in sorted(self.unknown_classes.items())[:5]:
            notes.append(f"{name} is no class of the train pictures, so {counted(count, 'picture')} left out.")
        return notes


def crop_origin(name: str) -> str:
    """Return the name of the picture that a crop was cut from, such as `wolf_7` of `wolf_7#2.jpg`; else an empty text.

    A number follows the sign # at once, because other names may hold it: `C# 1.png`, `cat #1.png`.
    """
    found = _CROP.fullmatch(name)
    return found.group(1) if found else ""


def changed_names_notes(names: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence about the class names that are shown otherwise than they stand in the source, if there are any.

    Args:
        names: pairs of a name in the source and the legal name.
    """
    changed = [legal for name, legal in names if name != legal]
    return [f"Class names were changed to printable, short, different ones ({shortened(changed)})."] if changed else []


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return such as "1 file" and "2,000 files"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shortened(names: list[str], limit: int = 3, chars: int = 60) -> str:
    """Return the first names of a list, each with at most so many letters, and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(name if len(name) <= chars else f"{name[:chars]}..." for name in names[:limit]) + more
