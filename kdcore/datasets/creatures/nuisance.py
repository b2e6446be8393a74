"""Nuisance: everything that changes a picture without changing the creature: pose, light, background and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from kdcore.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Nuisance:
    """One value a picture in every field, independent of species and traits.

    Attributes:
        yaw: turn of the head to the side, -1 to 1, [N].
        roll: tilt of the head, radians, [N].
        shift: how far the head is moved right and down, in percent of half the picture's side, [N, 2].
        scale: factor on the size of the head, [N].
        light: the direction that the light comes from, as a vector (right, down) in the picture's plane of length
            0 to 1; a longer vector is a stronger light, [N, 2].
        brightness: factor on all colours, [N].
        background: colour of the background's middle, RGB 0 to 1, [N, 3].
        gradient: how much brighter the background is at the bottom than at the top, [N].
        noise: standard deviation of each pixel's noise, on the scale of pixel values 0 to 255, [N].
        noise_start: where in a fixed table of normal random numbers this picture's noise begins, int64 [N].
    """

    yaw: Tensor
    roll: Tensor
    shift: Tensor
    scale: Tensor
    light: Tensor
    brightness: Tensor
    background: Tensor
    gradient: Tensor
    noise: Tensor
    noise_start: Tensor

    def __len__(self) -> int:
        return len(self.yaw)

    def select(self, index: slice | Tensor) -> Nuisance:
        """Return the nuisance of only those pictures that `index` selects."""
        return Nuisance(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


NOISE_TABLE_SIZE = 1 << 18


def neutral_nuisance(n: int) -> Nuisance:
    """Return the values for `n` plain pictures.

    The head faces the viewer from the middle of a nearly even background, in soft light from above left, without noise.

    Raises:
        ConfigError: `n` is negative.
    """
    if n < 0:
        raise ConfigError(f"The number of pictures must be 0 or more, not {n}.")
    return Nuisance(
        yaw=torch.zeros(n),
        roll=torch.zeros(n),
        shift=torch.zeros(n, 2),
        scale=torch.ones(n),
        light=torch.tensor([[-0.25, -0.4]]).repeat(n, 1),
        brightness=torch.ones(n),
        background=torch.tensor([[0.735, 0.81, 0.825]]).repeat(n, 1),
        gradient=torch.full((n,), -0.05),
        noise=torch.zeros(n),
        noise_start=torch.zeros(n, dtype=torch.int64),
    )


def sample_nuisance(n: int, seed: int) -> Nuisance:
    """Draw pose, light, background and noise for `n` pictures; the same seed gives the same values.

    Raises:
        ConfigError: `n` is negative.
    """
    if n < 0:
        raise ConfigError(f"The number of pictures must be 0 or more, not {n}.")
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator, dtype=torch.float64) * (high - low) + low

    yaw = uniform(-0.3, 0.3)
    roll = uniform(-0.07, 0.07)
    shift = uniform(-2.5, 2.5, 2)
    scale = uniform(0.96, 1.03)
    angle, strength = uniform(-math.pi, math.pi), uniform(0, 0.35)
    light = torch.stack([strength * angle.cos() - 0.18, strength * angle.sin() - 0.25], dim=1)  # mostly from above
    brightness = uniform(0.94, 1.05)
    # The background may have any hue but is nearly grey, so that the fur stays the most saturated colour.
    phases = torch.tensor([0.0, 2 * math.pi / 3, 4 * math.pi / 3], dtype=torch.float64)
    hue, tint, grey = uniform(0, 2 * math.pi, 1), uniform(0.0, 0.05, 1), uniform(0.65, 0.85, 1)
    background = grey * (1 + tint * (hue + phases).cos())
    gradient = uniform(-0.08, 0.04)
    noise = uniform(1, 3)
    noise_start = torch.randint(NOISE_TABLE_SIZE, (n,), generator=generator)
    return Nuisance(
        yaw=yaw.float(),
        roll=roll.float(),
        shift=shift.float(),
        scale=scale.float(),
        light=light.float(),
        brightness=brightness.float(),
        background=background.float(),
        gradient=gradient.float(),
        noise=noise.float(),
        noise_start=noise_start,
    )
