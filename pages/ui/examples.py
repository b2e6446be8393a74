"""One picture and what each student is told about it: the hard label, or the teacher's soft labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdcore.errors import KdError
from pages.ui.i18n import _

if TYPE_CHECKING:
    import torch

    from kdcore.teachers import Teacher

LOOKED_AT = 64
SEED = 20
MANY, FEW = 20, 9  # above so many classes, only so many are shown, and the rest in one row
SIDE = 224  # pixels for the eye


class NoTeacherYet(KdError):
    """There is nothing to show yet: the first run trains the teacher."""

    def __init__(self, teacher: str) -> None:
        super().__init__(
            _(
                "The teacher {name} is not on this machine yet: the first run trains it, once, and then a picture "
                "stands here with what each student is told."
            ).format(name=teacher)
        )


@dataclass(frozen=True, eq=False)
class Example:
    """A picture with its hard label and the teacher's logits [K].

    Attributes:
        picture: uint8 [H, W, 3], for the eye.
        pixels: uint8 [h, w, 3], what the teacher saw.
        class_names: of what is shown: all classes when they are few, else the teacher's first and one row for the rest.
        hard_label: its place in `class_names`.
        shown: the classes of those rows, by index in `logits`; what is left out is the last row.
    """

    picture: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    class_names: tuple[str, ...]
    hard_label: int
    logits: tuple[float, ...]
    shown: tuple[int, ...]

    @property
    def has_others(self) -> bool:
        """Whether the last row stands for all classes without one of their own."""
        return len(self.shown) < len(self.logits)

    def soft_labels(self, temperature: float, standardised: bool = False) -> list[float]:
        """The teacher's probabilities at a temperature, by the engine, one a row; they sum to 1.

        Args:
            standardised: whether its logits are brought to mean 0 and spread 1 first.
        """
        import torch

        from kdcore.logit_losses import standardise
        from kdcore.soft_labels import soften

        logits = torch.tensor(self.logits)
        shares = soften(standardise(logits[None])[0] if standardised else logits, temperature)
        rows: list[float] = shares[list(self.shown)].tolist()
        return [*rows, max(0.0, 1.0 - sum(rows))] if self.has_others else rows

    def smoothed(self, share: float) -> list[float]:
        """The hard label with `share` of it spread over all classes, one a row; they sum to 1."""
        each = share / len(self.logits)
        rows = [(1 - share) * one + each for one in self.told_to_baseline()]
        return [*rows[:-1], each * (len(self.logits) - len(self.shown))] if self.has_others else rows

    def told_to_baseline(self) -> list[float]:
        """All of the probability on the hard label."""
        return [float(index == self.hard_label) for index in range(len(self.class_names))]


def telling_example(dataset: str, teacher: Teacher) -> Example:
    """Of some pictures that the teacher gets right, the one that it hesitates about most: it shows the difference.

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
    first = order[: FEW if len(names) > MANY else len(names)]
    shown = tuple(sorted({*first, hard_label}))
    left = len(names) - len(shown)
    rest = (_("{count} others").format(count=left),) if left else ()
    rows = (*(names[index] for index in shown), *rest)
    return Example(draw(chosen), _rgb(images[chosen]), rows, shown.index(hard_label), values, shown)


def _rgb(image: torch.Tensor) -> NDArray[np.uint8]:
    """A picture [C, h, w] as uint8 [h, w, 3]."""
    pixels: NDArray[np.uint8] = image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return pixels


def _creatures() -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Fresh creatures, which no split holds, drawn again with more pixels for the eye."""
    from kdcore.datasets import creatures

    traits, hard_labels = creatures.sample_traits(LOOKED_AT, SEED)
    nuisance = creatures.sample_nuisance(LOOKED_AT, SEED)

    def draw(index: int) -> NDArray[np.uint8]:
        row = slice(index, index + 1)
        drawn = creatures.render(traits[row], nuisance.select(row), SIDE)[0]  # [3, H, W]
        pixels: NDArray[np.uint8] = drawn.permute(1, 2, 0).numpy()
        return pixels

    return creatures.render(traits, nuisance), hard_labels, draw


def _first_pictures(dataset: str) -> tuple[torch.Tensor, torch.Tensor, Any]:
    from kdcore.datasets import load_dataset

    split = load_dataset(dataset).validation

    def draw(index: int) -> NDArray[np.uint8]:
        pixels = split.images[index].permute(1, 2, 0).numpy()  # [H, W, C]
        times = max(1, SIDE // pixels.shape[0])
        large: NDArray[np.uint8] = np.ascontiguousarray(pixels.repeat(times, 0).repeat(times, 1))
        return large if large.shape[-1] == 3 else np.repeat(large, 3, -1)

    return split.images[:LOOKED_AT], split.hard_labels[:LOOKED_AT], draw
