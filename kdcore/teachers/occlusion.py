"""Occlusion maps: which places of a picture speak for a class, and which against it.

One place after another is covered, and each time the teacher answers again (Zeiler and Fergus 2014, "Visualizing and
Understanding Convolutional Networks", section 4.2). This needs nothing but answers, so it works for every teacher,
ensembles included. It cannot show why a place matters, nor what is seen in several places at once; and that a map looks
plausible proves nothing about the network (Adebayo et al. 2018, "Sanity Checks for Saliency Maps").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.machine.device import torch_threads
from kdcore.machine.parallel import ParallelThreads, StopCheck, cores
from kdcore.metrics.soft_labels import log_odds, superclass_logits
from kdcore.teachers.teacher import Teacher

CELLS = 7  # cells on each side of a map
PATCH = 2  # cells on each side of the square that is covered
BATCH = 2  # covered pictures in one pass; more would need more memory and are not faster

Scores = Callable[[Tensor], Tensor]  # pictures uint8 [N, C, H, W] -> scores [N, K]


@dataclass(frozen=True, eq=False)
class OcclusionMaps:
    """What covering each place of one picture does to the log-odds of each group of classes.

    Attributes:
        groups: names of the G groups, in the order in which the classes name them.
        picture: the picture as the teacher sees it, uint8 [C, H, W].
        log_odds: log-odds of each group against all others with nothing covered, in nats, float64 [G].
        falls: by how much the log-odds of each group fall when a place is covered, in nats, float64 [G, rows, columns]:
            above 0 where the place speaks for the group, below 0 where it speaks against it.
    """

    groups: tuple[str, ...]
    picture: Tensor
    log_odds: Tensor
    falls: Tensor


def occlusion_maps(teacher: Teacher, picture: Tensor, groups: Sequence[str]) -> OcclusionMaps:
    """Compute the occlusion maps of all groups of a teacher's classes for one picture, in 37 passes or fewer.

    The log-odds are those of a group's logit, the log-sum-exp of its classes' logits, at T = 1. Unlike a logit itself
    they do not change if the same number is added to all logits, as soft labels do not.

    Args:
        picture: as the teacher takes it, uint8 [1, C, H, W]; see `Teacher.prepare`.
        groups: name of the group of each class: the card's superclasses, or its class names.

    Raises:
        ModelFileError: the teacher answers with a logit from which no soft labels can be computed.
    """

    def scores(pictures: Tensor) -> Tensor:
        by_group = superclass_logits(teacher.logits(pictures), groups)
        return log_odds(torch.stack(list(by_group.values()), -1))

    num_threads = cores() if teacher.device.torch.type == "cpu" else 1
    uncovered, falls = falls_when_covered(scores, picture, num_threads)
    return OcclusionMaps(tuple(dict.fromkeys(groups)), picture[0], uncovered, falls)


def falls_when_covered(scores: Scores, picture: Tensor, num_threads: int = 1) -> tuple[Tensor, Tensor]:
    """Cover one place of a picture after another, and return how much each of its K scores falls.

    A square patch moves over the picture by one cell at a time, so patches overlap; a cell's fall is the mean over all
    patches that cover it. Patches have the mean colour of the picture.

    Args:
        picture: uint8 [1, C, H, W].
        num_threads: passes that are computed in parallel.

    Returns:
        The scores with nothing covered [K], and the falls [K, rows, columns]; there are `CELLS` rows and columns, or
        fewer if the picture has fewer pixels.
    """
    rows, columns = (_edges(size) for size in picture.shape[-2:])
    places = [(row, column) for row in range(len(rows) - PATCH) for column in range(len(columns) - PATCH)]
    colour = picture.float().mean((-2, -1), keepdim=True).round().to(torch.uint8)

    def covered(place: tuple[int, int]) -> Tensor:
        row, column = place
        changed = picture.clone()
        changed[..., rows[row] : rows[row + PATCH], columns[column] : columns[column + PATCH]] = colour
        return changed

    def answer(batch: Sequence[tuple[int, int]], _should_stop: StopCheck) -> Tensor:
        with torch_threads(1):
            return scores(torch.cat([covered(place) for place in batch]))

    batches = [places[start : start + BATCH] for start in range(0, len(places), BATCH)]
    uncovered = scores(picture)[0].double()
    falls = uncovered - torch.cat(ParallelThreads(num_threads).run_each(answer, batches))  # [places, K]
    sums = falls.new_zeros(len(uncovered), len(rows) - 1, len(columns) - 1)
    counts = falls.new_zeros(sums.shape[1:])
    for (row, column), fall in zip(places, falls, strict=True):
        sums[:, row : row + PATCH, column : column + PATCH] += fall[:, None, None]
        counts[row : row + PATCH, column : column + PATCH] += 1
    return uncovered, sums / counts


def _edges(size: int) -> list[int]:
    """Where the cells along a side of `size` pixels begin, and the end of the last one."""
    cells = max(PATCH, min(CELLS, size))
    return [round(index * size / cells) for index in range(cells + 1)]
