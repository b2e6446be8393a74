"""Outsiders, pictures that show none of a teacher's classes, and the loss by which a teacher learns to recognise them.

Adding the same number to all logits does not change their softmax. Training uses this freedom to say whether a picture
shows one of the classes at all: `soft_labels.familiarity` becomes the logit of that question (after the energy score of
Liu et al. 2020 and the logistic loss of Du et al. 2022, "VOS", equation 6), and the soft labels keep their meaning.
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
from kdcore.metrics.soft_labels import familiarity
from kdcore.pictures.views import resize_images

FALSE_ALARM_RATE = 0.05  # share of the validation pictures that the threshold wrongly calls none of the classes
BLOCKS_PER_SIDE = 4  # a picture to be shuffled is cut into BLOCKS_PER_SIDE x BLOCKS_PER_SIDE blocks


@dataclass(frozen=True)
class OutsiderRecipe:
    """From which pictures a teacher learns to recognise outsiders.

    They come from another dataset and are of two kinds, of the teacher's own kind and not, so that the teacher cannot
    recognise outsiders by that dataset's sharpness and colours. Classes that are in neither list are kept for the test.

    Attributes:
        dataset: the other dataset; its train split is used, resized.
        outside: its classes that are none of the teacher's classes.
        inside: its classes that are of the teacher's own kind.
        share: the size of each kind as a share of the batch; as many of the batch's own pictures with their blocks
            shuffled are added as outsiders. With 0 the teacher meets no outsiders in training and is only measured.
        weight: the weight of the outsider loss, which is added to the cross-entropy.
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
        """Return a copy whose pictures are on `device`."""
        return replace(self, outside=self.outside.to(device), inside=self.inside.to(device))

    def draw(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the pictures to add to a batch: M each of inside, outside and shuffled ones.

        Args:
            images: the batch, uint8 [B, C, H, W], on the device of these pictures.
            generator: of the CPU, so that a seed means the same on every device.

        Returns:
            The pictures, uint8 [3 M, C, H, W], and which of them are inside, bool [3 M].
        """
        count = max(1, round(len(images) * self.recipe.share))

        def draw_from(pool: Tensor) -> Tensor:
            rows = torch.randint(len(pool), (count,), generator=generator)
            return pool[rows.to(pool.device, non_blocking=True)]

        kinds = [draw_from(self.inside), draw_from(self.outside), shuffle_blocks(draw_from(images), generator)]
        return torch.cat(kinds), torch.arange(3 * count, device=images.device) < count


def load_outsiders(recipe: OutsiderRecipe, image_shape: tuple[int, int, int]) -> Outsiders:
    """Load the train pictures of the recipe's dataset in the size of `image_shape`.

    Raises:
        DatasetUnavailable: the dataset is not on this machine.
    """
    dataset = load_dataset(recipe.dataset)
    outside, inside = (
        resize_images(pictures_of_classes(dataset.train, dataset.class_names, names), image_shape[1:])
        for names in (recipe.outside, recipe.inside)
    )
    return Outsiders(recipe, outside, inside)


def pictures_of_classes(split: Split, class_names: Sequence[str], names: Sequence[str]) -> Tensor:
    """The pictures whose class is one of `names`: uint8 [M, C, H, W]."""
    wanted = torch.tensor([name in names for name in class_names])
    return split.images[wanted[split.hard_labels]]


def shuffle_blocks(images: Tensor, generator: torch.Generator) -> Tensor:
    """Put the blocks of each picture into a random order: [N, C, H, W] -> the same shape.

    The result keeps the textures of a picture (such as fur) without showing its object (the animal).
    """
    count, _channels, height, width = images.shape
    block = (height // BLOCKS_PER_SIDE, width // BLOCKS_PER_SIDE)
    even = images[..., : block[0] * BLOCKS_PER_SIDE, : block[1] * BLOCKS_PER_SIDE]
    tiles = F.unfold(even.float(), block, stride=block)  # [N, C * h * w, BLOCKS_PER_SIDE ** 2]
    order = (
        torch.rand(count, 1, BLOCKS_PER_SIDE**2, generator=generator).argsort(-1).to(images.device, non_blocking=True)
    )
    mixed = F.fold(tiles.gather(2, order.expand_as(tiles)), even.shape[-2:], block, stride=block)
    return F.pad(mixed, (0, width - even.shape[-1], 0, height - even.shape[-2]), mode="replicate").to(images.dtype)


def outsider_loss(logits: Tensor, inside: Tensor) -> Tensor:
    """Mean logistic loss, in nats, of predicting whether a picture shows one of the classes.

    Args:
        logits: [B, K]; the logit of "yes" is their familiarity minus log K, so that logits that are all 0 mean 50 %.
        inside: bool [B], True for pictures that show one of the classes.
    """
    inside_logit = familiarity(logits).to(logits) - math.log(logits.shape[1])
    return F.binary_cross_entropy_with_logits(inside_logit, inside.to(inside_logit))
