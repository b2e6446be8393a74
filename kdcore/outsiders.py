"""Pictures that are none of a teacher's classes: what it learns to tell them by, and how well it does.

A softmax does not change when one number is added to all logits. This unused direction is taught to say whether a
picture is one of the classes at all: `soft_labels.familiarity` becomes the logit of that question (after the energy
score of Liu et al. 2020 and the logistic loss of Du et al. 2022, "VOS", equation 6); soft labels stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.datasets import load_dataset
from kdcore.datasets.base import Split
from kdcore.soft_labels import familiarity
from kdcore.views import resize_images

FALSE_ALARMS = 0.05  # share of validation pictures that the threshold lets be called none of the classes
BLOCKS = 4  # a shuffled picture is cut into so many blocks a side


@dataclass(frozen=True)
class OutsiderRecipe:
    """Where a teacher meets what it does not know.

    Pictures of another dataset come in two kinds, so that its sharpness and colours tell nothing: some are of the
    teacher's own kind and some are not. Classes that are named in neither are kept for the test.

    Attributes:
        dataset: whose train split is used, resized.
        outside, inside: its classes that the teacher should not, and should, take for its own.
        share: of each kind in a batch, beside as many of the teacher's own pictures with their blocks shuffled; with 0
            the teacher meets none before it is measured.
        weight: of this loss beside the cross-entropy.
    """

    dataset: str
    outside: tuple[str, ...]
    inside: tuple[str, ...]
    share: float = 0.05
    weight: float = 0.2


@dataclass(frozen=True, eq=False)
class Outsiders:
    """The pictures of an `OutsiderRecipe`, uint8 [N, C, H, W] in the teacher's size."""

    recipe: OutsiderRecipe
    outside: Tensor
    inside: Tensor

    def to(self, device: torch.device) -> Outsiders:
        """The same pictures there."""
        return replace(self, outside=self.outside.to(device), inside=self.inside.to(device))

    def draw(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures to go beside a batch, and which of them are inside: uint8 [3 M, C, H, W] and bool [3 M].

        All pictures are on one device; numbers are drawn on the CPU, so that a seed means the same on every device.
        """
        count = max(1, round(len(images) * self.recipe.share))

        def some(pool: Tensor) -> Tensor:
            rows = torch.randint(len(pool), (count,), generator=generator)
            return pool[rows.to(pool.device, non_blocking=True)]

        kinds = [some(self.inside), some(self.outside), shuffle_blocks(some(images), generator)]
        return torch.cat(kinds), torch.arange(3 * count, device=images.device) < count


def load_outsiders(recipe: OutsiderRecipe, image_shape: tuple[int, int, int]) -> Outsiders:
    """The train pictures of the recipe's dataset.

    Raises:
        DatasetUnavailable: it is not here.
    """
    dataset = load_dataset(recipe.dataset)
    outside, inside = (
        resize_images(of_classes(dataset.train, dataset.class_names, names), image_shape[1:])
        for names in (recipe.outside, recipe.inside)
    )
    return Outsiders(recipe, outside, inside)


def of_classes(split: Split, class_names: Sequence[str], names: Sequence[str]) -> Tensor:
    """The pictures whose class is one of `names`: uint8 [M, C, H, W]."""
    wanted = torch.tensor([name in names for name in class_names])
    return split.images[wanted[split.hard_labels]]


def shuffle_blocks(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture with its blocks in another order: the texture of an animal, and no animal; [N, C, H, W]."""
    count, _channels, height, width = images.shape
    block = (height // BLOCKS, width // BLOCKS)
    even = images[..., : block[0] * BLOCKS, : block[1] * BLOCKS]
    tiles = F.unfold(even.float(), block, stride=block)  # [N, C * h * w, BLOCKS ** 2]
    order = torch.rand(count, 1, BLOCKS**2, generator=generator).argsort(-1).to(images.device, non_blocking=True)
    mixed = F.fold(tiles.gather(2, order.expand_as(tiles)), even.shape[-2:], block, stride=block)
    return F.pad(mixed, (0, width - even.shape[-1], 0, height - even.shape[-2]), mode="replicate").to(images.dtype)


def outsider_loss(logits: Tensor, inside: Tensor) -> Tensor:
    """Mean logistic loss of the question whether a picture is one of the classes, in nats.

    Args:
        logits: [B, K]; their familiarity less log K, which blank logits have, is the logit of "yes".
        inside: bool [B].
    """
    familiar = familiarity(logits).to(logits) - math.log(logits.shape[1])
    return F.binary_cross_entropy_with_logits(familiar, inside.to(familiar))
