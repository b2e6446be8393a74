"""An example picture with the labels that each student learns it by: the hard label, or the teacher's soft labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pages.ui.session.i18n import _

if TYPE_CHECKING:
    import torch

    from kdcore.teachers.teacher import Teacher

CANDIDATES = 64  # pictures among which the example is chosen
SEED = 20  # random seed of the creatures among which the example is chosen
# Of more than MAX_ROWS classes, the SHOWN_ROWS likeliest are shown, and one row sums up the others.
MAX_ROWS, SHOWN_ROWS = 20, 9
SIDE = 224  # side of the picture that the visitor sees, in pixels

Enlarge = Callable[[int], NDArray[np.uint8]]  # returns the picture with this index as the visitor sees it, [H, W, 3]


@dataclass(frozen=True, eq=False)
class Example:
    """A picture with its hard label and the teacher's logits.

    Attributes:
        picture: the picture as the visitor sees it, uint8 [H, W, 3].
        pixels: the picture as the teacher sees it, uint8 [h, w, 3].
        class_names: names of the rows shown: all classes when they are few; otherwise the likeliest, the true class,
            and a last row for all others.
        hard_label: index of the true class in `class_names`.
        logits: the teacher's logits [K] over all classes.
        row_classes: index in `logits` of each row's class; the row for all others has none.
    """

    picture: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    class_names: tuple[str, ...]
    hard_label: int
    logits: tuple[float, ...]
    row_classes: tuple[int, ...]

    @property
    def has_others(self) -> bool:
        """Whether the last of `class_names` is no class, but names a row that sums up all classes not shown singly."""
        return len(self.row_classes) < len(self.logits)

    def soft_labels(self, temperature: float, standardised: bool = False) -> list[float]:
        """Return the teacher's probability at a temperature for each row; they sum to 1.

        Args:
            standardised: whether the logits are first brought to mean 0 and standard deviation 1.
        """
        # These load torch, which takes seconds.
        import torch

        from kdcore.methods.logit_losses import standardise
        from kdcore.metrics.soft_labels import soften

        logits = torch.tensor(self.logits)
        shares = soften(standardise(logits[None])[0] if standardised else logits, temperature)
        rows: list[float] = shares[list(self.row_classes)].tolist()
        return [*rows, max(0.0, 1.0 - sum(rows))] if self.has_others else rows

    def smoothed(self, share: float) -> list[float]:
        """Return the smoothed label for each row: the hard label with `share` of it spread over all classes.

        The rows sum to 1.
        """
        added = share / len(self.logits)  # to every class
        rows = [(1 - share) * target + added for target in self.hard_label_shares()]
        return [*rows[:-1], added * (len(self.logits) - len(self.row_classes))] if self.has_others else rows

    def hard_label_shares(self) -> list[float]:
        """Return the label that the baseline learns from, for each row: 1 for the true class and 0 for the others."""
        return [float(index == self.hard_label) for index in range(len(self.class_names))]


def hesitant_example(dataset: str, teacher: Teacher) -> Example:
    """Return the picture that shows best how soft labels differ from hard ones.

    Of `CANDIDATES` pictures it is the one that the teacher gets right with the highest probability for a second class.

    Raises:
        KdError: the dataset is unknown or not on this machine, or the teacher does not fit it.
    """
    # These load torch, which takes seconds.
    from kdcore.datasets import load_dataset
    from kdcore.teachers.fit import fit_to

    if dataset == "creatures":
        images, hard_labels, enlarge = _creatures()
    else:
        images, hard_labels, enlarge = _validation_pictures(dataset)
    teacher = fit_to(load_dataset(dataset), teacher, "choose another teacher")
    logits = teacher.logits(images)
    shares = logits.softmax(-1)
    runner_up = shares.topk(2, -1).values[:, 1]
    right = logits.argmax(-1) == hard_labels
    chosen = int((runner_up * right).argmax())
    names, values = teacher.card.class_names, tuple(float(value) for value in logits[chosen])
    order, hard_label = logits[chosen].argsort(descending=True).tolist(), int(hard_labels[chosen])
    likeliest = order[: SHOWN_ROWS if len(names) > MAX_ROWS else len(names)]
    shown = tuple(sorted({*likeliest, hard_label}))
    rows = [names[index] for index in shown]
    if len(shown) < len(names):
        rows.append(_("{count} others").format(count=len(names) - len(shown)))
    pixels = _as_colour(images[chosen])
    return Example(enlarge(chosen), pixels, tuple(rows), shown.index(hard_label), values, shown)


def _as_colour(image: torch.Tensor) -> NDArray[np.uint8]:
    """Return a picture uint8 [C, h, w], grey or in colour, as a colour picture uint8 [h, w, 3]."""
    pixels: NDArray[np.uint8] = image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return pixels


def _creatures() -> tuple[torch.Tensor, torch.Tensor, Enlarge]:
    """Return pictures [N, C, H, W], hard labels [N], and a function that draws a picture larger for the visitor.

    The creatures are drawn anew and belong to no split of the dataset.
    """
    from kdcore.datasets import creatures  # loads torch, which takes seconds

    traits, hard_labels = creatures.sample_traits(CANDIDATES, SEED)
    nuisance = creatures.sample_nuisance(CANDIDATES, SEED)

    def enlarge(index: int) -> NDArray[np.uint8]:
        row = slice(index, index + 1)
        return _as_colour(creatures.render(traits[row], nuisance.select(row), SIDE)[0])

    return creatures.render(traits, nuisance), hard_labels, enlarge


def _validation_pictures(dataset: str) -> tuple[torch.Tensor, torch.Tensor, Enlarge]:
    """Return the same as `_creatures` for validation pictures of all classes of any dataset."""
    from kdcore.datasets import load_dataset  # loads torch, which takes seconds

    split = load_dataset(dataset).validation.sample(CANDIDATES)

    def enlarge(index: int) -> NDArray[np.uint8]:
        pixels = _as_colour(split.images[index])
        times = max(1, SIDE // pixels.shape[0])
        return pixels.repeat(times, 0).repeat(times, 1)

    return split.images, split.hard_labels, enlarge
