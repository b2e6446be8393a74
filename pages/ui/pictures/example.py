"""An example picture with the labels that each student learns it by: the hard label, or the teacher's soft labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pages.ui.session.i18n import _

if TYPE_CHECKING:
    import torch

    from kdcore.teachers.teacher import Teacher

CANDIDATES = 64  # pictures among which the example is chosen
SEED = 20  # random seed of the creatures among which the example is chosen
MAX_ROWS, SHOWN_ROWS = 20, 9  # of more than MANY classes, the FEW likeliest are shown and one row sums up the rest
SIDE = 224  # side of the picture that the visitor sees, in pixels


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
        shown: indices in `logits` of the classes shown; the row for all others is not among them.
    """

    picture: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    class_names: tuple[str, ...]
    hard_label: int
    logits: tuple[float, ...]
    shown: tuple[int, ...]

    @property
    def has_others(self) -> bool:
        """Whether the last row sums up the classes that have no row of their own."""
        return len(self.shown) < len(self.logits)

    def soft_labels(self, temperature: float, standardised: bool = False) -> list[float]:
        """Return the teacher's probability at a temperature for each row; they sum to 1.

        Args:
            standardised: whether the logits are first brought to mean 0 and standard deviation 1.
        """
        import torch

        from kdcore.methods.logit_losses import standardise
        from kdcore.metrics.soft_labels import soften

        logits = torch.tensor(self.logits)
        shares = soften(standardise(logits[None])[0] if standardised else logits, temperature)
        rows: list[float] = shares[list(self.shown)].tolist()
        return [*rows, max(0.0, 1.0 - sum(rows))] if self.has_others else rows

    def smoothed(self, share: float) -> list[float]:
        """Return the smoothed label for each row: the hard label with `share` of it spread over all classes.

        The rows sum to 1.
        """
        each = share / len(self.logits)
        rows = [(1 - share) * one + each for one in self.told_to_baseline()]
        return [*rows[:-1], each * (len(self.logits) - len(self.shown))] if self.has_others else rows

    def told_to_baseline(self) -> list[float]:
        """Return the label that the baseline learns from, for each row: 1 for the true class and 0 for the others."""
        return [float(index == self.hard_label) for index in range(len(self.class_names))]


def hesitant_example(dataset: str, teacher: Teacher) -> Example:
    """Return the picture that shows best how soft labels differ from hard ones.

    Of `CANDIDATES` pictures it is the one that the teacher gets right with the highest probability for a second class.

    Raises:
        KdError: the dataset is unknown or not on this machine.
    """
    if dataset == "creatures":
        images, hard_labels, draw = _creatures()
    else:
        images, hard_labels, draw = _first_pictures(dataset)
    logits = teacher.logits(images)
    shares = logits.softmax(-1)
    runner_up = shares.topk(2, -1).values[:, 1]
    right = logits.argmax(-1) == hard_labels
    chosen = int((runner_up * right).argmax())
    names, values = teacher.card.class_names, tuple(float(value) for value in logits[chosen])
    order, hard_label = logits[chosen].argsort(descending=True).tolist(), int(hard_labels[chosen])
    first = order[: SHOWN_ROWS if len(names) > MAX_ROWS else len(names)]
    shown = tuple(sorted({*first, hard_label}))
    left = len(names) - len(shown)
    rest = (_("{count} others").format(count=left),) if left else ()
    rows = (*(names[index] for index in shown), *rest)
    return Example(draw(chosen), _rgb(images[chosen]), rows, shown.index(hard_label), values, shown)


def _rgb(image: torch.Tensor) -> NDArray[np.uint8]:
    """Return a picture uint8 [C, h, w] as colour uint8 [h, w, 3]."""
    pixels: NDArray[np.uint8] = image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return pixels


def _creatures() -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Return pictures [N, C, H, W], hard labels [N], and a function that draws a picture larger for the visitor.

    The creatures are drawn anew and belong to no split of the dataset.
    """
    from kdcore.datasets import creatures

    traits, hard_labels = creatures.sample_traits(CANDIDATES, SEED)
    nuisance = creatures.sample_nuisance(CANDIDATES, SEED)

    def draw(index: int) -> NDArray[np.uint8]:
        row = slice(index, index + 1)
        drawn = creatures.render(traits[row], nuisance.select(row), SIDE)[0]  # [3, H, W]
        pixels: NDArray[np.uint8] = drawn.permute(1, 2, 0).numpy()
        return pixels

    return creatures.render(traits, nuisance), hard_labels, draw


def _first_pictures(dataset: str) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Return the same as `_creatures` for the first validation pictures of any dataset."""
    from kdcore.datasets import load_dataset

    split = load_dataset(dataset).validation

    def draw(index: int) -> NDArray[np.uint8]:
        pixels = split.images[index].permute(1, 2, 0).numpy()  # [H, W, C]
        times = max(1, SIDE // pixels.shape[0])
        large: NDArray[np.uint8] = np.ascontiguousarray(pixels.repeat(times, 0).repeat(times, 1))
        return large if large.shape[-1] == 3 else np.repeat(large, 3, -1)

    return split.images[:CANDIDATES], split.hard_labels[:CANDIDATES], draw
