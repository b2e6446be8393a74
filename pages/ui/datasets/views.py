"""Contents of the Datasets page: facts about a dataset, a few pictures of each class, and how often it occurs.

The functions here only return data, texts or HTML; they draw nothing themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pages.ui.kit import formats, look
from pages.ui.kit.images import picture_of, png_of, size_words, strip_url
from pages.ui.session.i18n import _, ngettext

if TYPE_CHECKING:
    from kdcore.datasets import Dataset, DatasetInfo, DatasetStatus

PICTURES_A_CLASS = 8  # training pictures shown of each class
SAMPLES_A_CLASS = 6  # test pictures of each class that a visitor can show to a teacher
CLASSES_A_GROUP = 12  # classes shown at once where there are more than MAX_UNDIVIDED and no superclasses
MAX_UNDIVIDED = 20  # up to this number, all classes are shown at once


@dataclass(frozen=True)
class ClassView:
    """One class of a dataset.

    Attributes:
        superclass: name of its superclass; "" where it has none.
        count: number of training pictures.
        strip: its first training pictures side by side, as a data URL; "" where it has none.
        shown: number of pictures on the strip.
        samples: some of its test pictures as PNGs; no teacher has learned from them.
    """

    name: str
    superclass: str
    count: int
    strip: str
    shown: int
    samples: tuple[bytes, ...]


@dataclass(frozen=True)
class DatasetView:
    """A summary of a dataset that is small enough to cache.

    Attributes:
        train, validation, test: number of pictures in each split.
        image_shape: (C, H, W).
        sha256: hash of the pictures and labels.
    """

    classes: tuple[ClassView, ...]
    train: int
    validation: int
    test: int
    image_shape: tuple[int, int, int]
    sha256: str


@dataclass(frozen=True)
class ClassGroup:
    """Classes that are shown together; `classes` are their indices in the dataset."""

    label: str
    classes: tuple[int, ...]


def dataset_view(dataset: Dataset) -> DatasetView:
    """Summarise a loaded dataset; the summary keeps no reference to it, so that its memory can be freed."""
    train = dataset.train
    counts = train.hard_labels.bincount(minlength=dataset.num_classes).tolist()
    classes = []
    for index, name in enumerate(dataset.class_names):
        rows = (train.hard_labels == index).nonzero()[:PICTURES_A_CLASS, 0]
        superclass = dataset.superclasses[index] if dataset.superclasses[index] != name else ""
        strip = strip_url(train.images[rows]) if len(rows) else ""
        unseen = (dataset.test.hard_labels == index).nonzero()[:SAMPLES_A_CLASS, 0]
        samples = tuple(png_of(picture_of(dataset.test.images[row])) for row in unseen.tolist())
        classes.append(ClassView(name, superclass, counts[index], strip, len(rows), samples))
    return DatasetView(
        tuple(classes), len(train), len(dataset.validation), len(dataset.test), dataset.image_shape, dataset.sha256
    )


def class_groups(view: DatasetView) -> tuple[ClassGroup, ...]:
    """Divide the classes into groups that are shown at once.

    Up to `MAX_UNDIVIDED` classes form one group. More are grouped by superclass, or `CLASSES_A_GROUP` at a time
    where there are no superclasses. A group's label lists its classes, so that a visitor can find a class by typing its
    name.
    """
    everything = range(len(view.classes))
    if len(view.classes) <= MAX_UNDIVIDED:
        return (ClassGroup(_("All classes"), tuple(everything)),)
    superclasses = sorted({one.superclass or one.name for one in view.classes})
    if len(superclasses) < len(view.classes):
        groups = [
            (name, [i for i in everything if name in (view.classes[i].superclass, view.classes[i].name)])
            for name in superclasses
        ]
    else:
        starts = range(0, len(everything), CLASSES_A_GROUP)
        groups = [
            (
                _("{number} of {pages}").format(number=number, pages=len(starts)),
                list(everything[start : start + CLASSES_A_GROUP]),
            )
            for number, start in enumerate(starts, start=1)
        ]
    return tuple(
        ClassGroup(f"{label}: {', '.join(view.classes[index].name for index in classes)}", tuple(classes))
        for label, classes in groups
    )


def classes_html(view: DatasetView, shown: Sequence[int]) -> str:
    """Return HTML with a row for each class: its name, the number of its training pictures, and some of them.

    Every text is escaped.

    Args:
        shown: indices of the classes to show.
    """
    largest = max(one.count for one in view.classes) or 1
    return f'<div class="kd-classes">{"".join(_class_html(view.classes[index], largest) for index in shown)}</div>'


def _class_html(one: ClassView, largest: int) -> str:
    """Return the HTML row of a class; `largest` is the number of training pictures of the most frequent class."""
    superclass = f"<small>{escape(one.superclass)}</small>" if one.superclass else ""
    alt = ngettext("{n} picture: {name}", "{n} pictures: {name}", one.shown).format(n=one.shown, name=one.name)
    strip = f'<img src="{one.strip}" alt="{escape(alt)}">' if one.strip else "<span></span>"
    width = f"{100 * one.count / largest:.2f}%"
    return (
        f'<div class="kd-class"><div class="kd-class-name"><b>{escape(one.name)}</b>{superclass}</div>'
        f'<div class="kd-balance"><div><i style="width:{width};background:{look.MUTE}"></i></div>'
        f"<span>{one.count:,}</span></div>{strip}</div>"
    )


def balance_sentence(view: DatasetView) -> str:
    """Return a sentence on how evenly the training pictures are spread over the classes."""
    least = min(view.classes, key=lambda one: one.count)
    most = max(view.classes, key=lambda one: one.count)
    if least.count == most.count:
        return _("Every class has {n:,} training pictures.").format(n=least.count)
    return _("Training pictures a class: from {few:,} ({rare}) to {many:,} ({common}).").format(
        few=least.count, rare=least.name, many=most.count, common=most.name
    )


def row_caption(info: DatasetInfo, status: DatasetStatus) -> str:
    """Return the caption of a dataset in the list, as Markdown: whether it is on this machine, and its size."""
    classes = _("{n} classes").format(n=info.num_classes)
    if status.ready:
        return f":green[●] {_('ready')} · {classes}, {_('{n:,} pictures').format(n=info.train_size)}"
    if info.download_bytes is not None:
        return f":gray[○] {_('{size} to fetch').format(size=formats.format_size(info.download_bytes))} · {classes}"
    return f":gray[○] {_('not here')} · {classes}"


def facts_html(info: DatasetInfo, status: DatasetStatus, view: DatasetView | None, show_place: bool) -> str:
    """Return HTML with a dataset's sizes, place and hash.

    Args:
        view: the loaded dataset's summary; None leaves out what only a loaded dataset tells.
        show_place: whether this visitor may see the names of folders on the machine.
    """
    sizes = [(_("Classes"), f"{info.num_classes}")]
    if view is None:
        sizes += [(_("Train"), f"{info.train_size:,}")]
    else:
        sizes += [(_("Train"), f"{view.train:,}"), (_("Validation"), f"{view.validation:,}")]
        sizes += [(_("Test"), f"{view.test:,}")]
    sizes.append((_("Pixels"), size_words(info.image_shape)))
    place_and_hash = []  # name and HTML
    if status.ready:
        place = _("comes with the engine") if info.embedded else _("on this machine")
        if show_place and not info.embedded:
            place = status.where
        place_and_hash.append((_("Where"), f'<span title="{escape(place)}">{escape(_shortened(place))}</span>'))
    if view is not None:
        code = f'<code class="kd-hash" title="{view.sha256}">{view.sha256}</code>'
        place_and_hash.append((_("Hash (SHA-256)"), code))
    rows = ([(name, escape(value)) for name, value in sizes], place_and_hash)
    return "".join(
        f'<dl class="kd-facts">{"".join(f"<div><dt>{escape(n)}</dt><dd>{value}</dd></div>" for n, value in row)}</dl>'
        for row in rows
    )


def _shortened(place: str) -> str:
    path = Path(place)
    return str(path) if len(str(path)) <= 40 else f"…/{'/'.join(path.parts[-2:])}"


def not_here_sentence(info: DatasetInfo) -> str:
    """Return the sentence on a missing dataset for visitors from another machine; it names no folder of this one."""
    if info.download_bytes is None:
        return _("{title} is not on the machine that runs this app; the person at that machine can add it.").format(
            title=info.title
        )
    text = _("{title} is not on the machine that runs this app; it can be fetched there: kdcore datasets get {name}")
    return f"{text.format(title=info.title, name=info.name)} ({formats.format_size(info.download_bytes)})."


def ready_sentence(infos: Sequence[DatasetInfo], ready: set[str]) -> str:
    """Return a sentence that lists the datasets that can be used now; `ready` are their names."""
    names = [info.title for info in infos if info.name in ready]
    return _("Ready right now: {names}.").format(names=", ".join(names))
