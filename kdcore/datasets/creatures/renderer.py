"""The renderer of creatures: draws heads for whole batches of pictures, anti-aliased, at any resolution.

The traits of each head are turned into a few dozen numbers (`anatomy`), and the pose gives each pixel's coordinates
relative to the head (`pose`). Then shapes are laid over each other from back to front (`paint_head`): the signed
distance to each shape gives the share of each pixel that it covers.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from kdcore.datasets.creatures.anatomy import Anatomy, anatomy
from kdcore.datasets.creatures.nuisance import NOISE_TABLE_SIZE, Nuisance, neutral_nuisance
from kdcore.datasets.creatures.painting import paint_head
from kdcore.datasets.creatures.posing import pose
from kdcore.datasets.creatures.shapes import coverage, ellipse, per_picture
from kdcore.datasets.creatures.traits import TRAITS
from kdcore.errors import ConfigError

# Pixels drawn at once: few enough that the planes stay in the processor's cache, enough to hide PyTorch's overhead.
_CHUNK_PIXELS = 1 << 17
# Creatures whose anatomy is computed at once; bounds the memory used, and is large enough to cost no speed.
_BLOCK = 8192


def render(traits: Tensor, nuisance: Nuisance | None = None, size: int = 32) -> Tensor:
    """Draw creatures.

    Args:
        traits: [N, D] in the order of `TRAITS`; a value beyond the trait's range is drawn as the nearest end of the
            range.
        nuisance: pose, light, background and noise of the N pictures; `neutral_nuisance` if None.
        size: side of the picture in pixels.

    Returns:
        uint8 [N, 3, size, size]. The bytes of one picture do not depend on which pictures are drawn with it.

    Raises:
        ConfigError: the traits have another shape or are not finite, the nuisance is not of N pictures, or the size is
            below 1.
    """
    if traits.ndim != 2 or traits.shape[1] != len(TRAITS):
        raise ConfigError(f"Traits must be [N, {len(TRAITS)}], not {list(traits.shape)}.")
    if not bool(torch.isfinite(traits).all()):
        raise ConfigError("Traits must be finite numbers.")
    if size < 1:
        raise ConfigError(f"A picture's side must be at least 1 pixel, not {size}.")
    nuisance = neutral_nuisance(len(traits)) if nuisance is None else nuisance
    if len(nuisance) != len(traits):
        raise ConfigError(f"{len(traits)} creatures need as many nuisance values, not {len(nuisance)}.")
    pictures = torch.empty(len(traits), 3, size, size, dtype=torch.uint8)
    step = max(1, _CHUNK_PIXELS // (size * size))
    with torch.inference_mode():
        for block in range(0, len(traits), _BLOCK):
            bodies = anatomy(traits[block : block + _BLOCK])
            for start in range(block, min(block + _BLOCK, len(traits)), step):
                part = slice(start, min(start + step, block + _BLOCK))
                body = bodies.select(slice(part.start - block, part.stop - block))
                pictures[part] = _draw(body, nuisance.select(part), size)
    return pictures


def _draw(body: Anatomy, nuisance: Nuisance, size: int) -> Tensor:
    frame = pose(nuisance, size)
    level = torch.linspace(-1, 1, size).view(1, size, 1) * per_picture(nuisance.gradient) + 1  # [N, H, 1]
    planes = torch.empty(3, *frame.x.shape)
    planes[:] = nuisance.background.T[:, :, None, None] * level
    # The head casts a soft shadow on the ground.
    rows = frame.rows(40, 90, 80)
    ground = ellipse(frame.x[:, rows], frame.y[:, rows] - 64, 50.0, 10.0)
    planes[:, :, rows].mul_(1 - coverage(ground, 22.0).mul_(0.14))
    paint_head(planes, body, frame)
    light_x, light_y = per_picture(nuisance.light[:, 0]), per_picture(nuisance.light[:, 1])
    light = (frame.x * (light_x * 0.0019)).add_(frame.y * (light_y * 0.0019)).add_(per_picture(nuisance.brightness))
    return _to_bytes(planes.mul_(light), nuisance, size)


@lru_cache(maxsize=1)
def _noise_table() -> Tensor:
    generator = torch.Generator().manual_seed(20150309)
    return torch.randn(NOISE_TABLE_SIZE, generator=generator, dtype=torch.float64).float()


def _to_bytes(planes: Tensor, nuisance: Nuisance, size: int) -> Tensor:
    """Add each picture's noise to planes [3, N, H, W] (RGB 0 to 1), and round them to uint8 [N, 3, H, W]."""
    values = planes.mul_(255).transpose(0, 1)
    if bool((nuisance.noise > 0).any()):
        count = 3 * size * size
        copies = 1 + -(-count // NOISE_TABLE_SIZE)  # the table is repeated from its start
        windows = _noise_table().repeat(copies).unfold(0, count, 1)
        noise = windows.index_select(0, nuisance.noise_start % NOISE_TABLE_SIZE).view(values.shape)
        values = noise.mul_(nuisance.noise[:, None, None, None]).add_(values)
    return values.add_(0.5).clamp_(0, 255).to(torch.uint8)
