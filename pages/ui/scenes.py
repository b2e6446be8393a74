"""What the instrument shows: a picture for the eye, the same as the teacher sees it, and what the teacher says.

Pure functions from kdcore's models and renderer to arrays and sheets; the caches call them, pages call the caches.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pages.ui.i18n import _
from pages.ui.instrument_model import Morph, Sheet, instrument_data, picture_sheet, sheet

if TYPE_CHECKING:
    import torch

    from kdcore.datasets import Dataset
    from kdcore.teachers import Teacher

MORPH_STOPS = ("wolf", "dog", "fox", "cat")
FRAMES_A_STEP = 16  # from one animal to the next
EYE, DRAFT = 256, 96  # side of a drawn creature for the eye, in pixels; a draft is drawn in a seventh of the time


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture, or the frames of a morph.

    Attributes:
        logits: calibrated, [F, K].
        posterior: the true probabilities [F, K], where they are known.
        members: of an ensemble, each one's name and calibrated logits [F, K].
    """

    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] | None
    logits: NDArray[np.floating[Any]]
    posterior: NDArray[np.floating[Any]] | None
    picture: Sheet
    sees: Sheet
    morph: Morph | None = None
    frame: int = 0
    members: tuple[tuple[str, NDArray[np.floating[Any]]], ...] = ()

    def data(self, *, caption: str = "", lead: tuple[str, str] | None = None) -> dict[str, Any]:
        """The view-model of this scene."""
        return instrument_data(
            class_names=self.class_names,
            superclasses=self.superclasses,
            logits=self.logits,
            posterior=self.posterior,
            picture=self.picture,
            sees=self.sees,
            morph=self.morph,
            frame=self.frame,
            caption=caption,
            lead=lead,
        )


def morph_scene(teacher: Teacher, eye: int = EYE) -> Scene:
    """The way from wolf through dog and fox to cat, as a teacher of creatures sees it; `eye` is the side drawn."""
    from kdcore.datasets import creatures

    count = FRAMES_A_STEP * (len(MORPH_STOPS) - 1) + 1
    traits = creatures.morph(MORPH_STOPS, count)
    scene = _creatures(teacher, traits, eye)
    stops = tuple((stop, i * FRAMES_A_STEP) for i, stop in enumerate(MORPH_STOPS))
    return Scene(
        scene.class_names, scene.superclasses, scene.logits, scene.posterior, scene.picture, scene.sees,
        Morph(_("Morph"), stops), _first_doubt(scene.logits),
    )  # fmt: skip


def creature_scene(teacher: Teacher, traits: Mapping[str, float]) -> Scene:
    """One creature drawn from its named traits, before any teacher; the truth is known to a teacher of creatures."""
    import torch

    from kdcore.datasets import creatures

    values = torch.tensor([[float(traits[trait.name]) for trait in creatures.TRAITS]])
    return _creatures(teacher, values, EYE)


def picture_scene(teacher: Teacher, png: bytes, alt: str) -> Scene:
    """Any picture before any teacher."""
    picture = Image.open(io.BytesIO(png))
    seen = teacher.prepare(picture)
    eye = picture_sheet(picture, alt) if max(picture.size) > 32 else sheet(_frames(seen), alt, lossless=True)
    return _scene(teacher, seen, eye, None)


def creature_png(traits: Mapping[str, float]) -> bytes:
    """The creature as networks see it, 32 x 32, lossless."""
    import torch

    from kdcore.datasets import creatures

    values = torch.tensor([[float(traits[trait.name]) for trait in creatures.TRAITS]])
    return png_of(Image.fromarray(_frames(creatures.render(values))[0]))


def digit_scans(teacher: Teacher, digits: Dataset) -> tuple[dict[str, list[bytes]], str]:
    """PNGs of each class's test scans, ordered by how much of the teacher's probability is dark.

    Also the class of the most ambiguous scan of all: a good place to begin.
    """
    test = digits.test
    logits = teacher.logits(test.images).double()
    dark = 1 - logits.softmax(1).amax(1)
    frames = _frames(test.images)
    scans = {
        name: [png_of(Image.fromarray(frames[i])) for i in dark.argsort().tolist() if test.hard_labels[i] == k]
        for k, name in enumerate(digits.class_names)
    }
    return scans, digits.class_names[int(test.hard_labels[dark.argmax()])]


def blank_png() -> bytes:
    """A small white picture."""
    return png_of(Image.new("RGB", (64, 64), "white"))


def png_of(picture: Image.Image) -> bytes:
    """A picture, lossless; quickly rather than small."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _creatures(teacher: Teacher, traits: torch.Tensor, size: int) -> Scene:
    from kdcore.datasets import creatures

    small = creatures.render(traits)
    eye = sheet(_frames(creatures.render(traits, size=size)), _("Drawn animal head"))
    if teacher.card.dataset == "creatures":
        return _scene(teacher, small, eye, creatures.posterior(traits).numpy())
    seen = [teacher.prepare(Image.fromarray(frame)) for frame in _frames(small)]
    return _scene(teacher, seen[0], eye, None)


def _scene(teacher: Teacher, seen: torch.Tensor, eye: Sheet, posterior: NDArray[np.floating[Any]] | None) -> Scene:
    card = teacher.card
    grouped = card.superclasses if card.superclasses != card.class_names else None
    logits = teacher.logits(seen).double().numpy()
    pixels = sheet(_frames(seen), lossless=True)
    return Scene(card.class_names, grouped, logits, posterior, eye, pixels, members=_members(teacher, seen))


def _members(teacher: Teacher, seen: torch.Tensor) -> tuple[tuple[str, NDArray[np.floating[Any]]], ...]:
    """What each member of an ensemble says of the same pictures; nothing of one network."""
    if not teacher.members:
        return ()
    from kdcore.ensembles import member_logits

    each = member_logits(teacher, seen).double().numpy()  # [F, M, K]
    return tuple((member.name, each[:, index]) for index, member in enumerate(teacher.members))


def _frames(images: torch.Tensor) -> NDArray[np.uint8]:
    """uint8 [N, C, H, W] -> [N, H, W, 3] or, for grey ones, [N, H, W]."""
    frames = images.permute(0, 2, 3, 1).contiguous().numpy()
    return frames[..., 0] if frames.shape[-1] == 1 else frames


def _first_doubt(logits: NDArray[np.floating[Any]]) -> int:
    """The first frame at which a tenth of the probability is dark: a good place to begin."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    dark = 1 - shifted.max(1) / shifted.sum(1)
    doubtful = np.flatnonzero(dark >= 0.1)
    return int(doubtful[0]) if len(doubtful) else 0
