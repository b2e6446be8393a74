"""Scenes of the instrument: a picture as the visitor sees it, as the teacher sees it, and the teacher's answer.

The functions here draw nothing on a page and may take seconds, so pages call the cached versions of them. The imports
inside them load PyTorch, which takes seconds; a page appears before.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kdcore.teachers.card import same_classes
from pages.ui.kit.images import LOSSLESS_SIDE, Sheet, picture_of, picture_sheet, pixel_arrays, png_of, sheet
from pages.ui.pictures.instrument_model import Morph, instrument_data
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    import torch

    from kdcore.datasets import Dataset
    from kdcore.teachers.teacher import Teacher

MORPH_STOPS = ("wolf", "dog", "fox", "cat")
FRAMES_A_STEP = 16  # frames from one animal of the morph to the next
# Side in pixels of a creature drawn for the visitor; drawing a draft takes a seventh of the time.
FULL_SIDE, DRAFT_SIDE = 256, 96


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture or the F frames of a morph, with a teacher's answer to each.

    Attributes:
        class_names: the teacher's K classes.
        superclasses: the superclass of each class; None where there are none.
        logits: the teacher's calibrated logits [F, K].
        posterior: the true probabilities [F, K]; None where they are unknown.
        picture: the frames as the visitor sees them.
        teacher_view: the frames as the teacher sees them.
        morph: the slider over the frames; None for a single picture.
        frame: index of the frame shown first.
        members: name and calibrated logits [F, K] of each member of an ensemble; empty for a single teacher.
    """

    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] | None
    logits: NDArray[np.floating[Any]]
    posterior: NDArray[np.floating[Any]] | None
    picture: Sheet
    teacher_view: Sheet
    morph: Morph | None = None
    frame: int = 0
    members: tuple[tuple[str, NDArray[np.floating[Any]]], ...] = ()

    def data(self, *, caption: str = "", lead: tuple[str, str] | None = None) -> dict[str, Any]:
        """Return the data with which the instrument draws this scene.

        Args:
            caption: text below the picture.
            lead: the sentences shown with the lights on and off.
        """
        return instrument_data(
            class_names=self.class_names,
            superclasses=self.superclasses,
            logits=self.logits,
            posterior=self.posterior,
            picture=self.picture,
            teacher_view=self.teacher_view,
            morph=self.morph,
            frame=self.frame,
            caption=caption,
            lead=lead,
        )


def morph_scene(teacher: Teacher, side: int = FULL_SIDE) -> Scene:
    """Return the morph from wolf through dog and fox to cat with a teacher's answers.

    Args:
        side: of the pictures drawn for the visitor, in pixels.
    """
    from kdcore.datasets import creatures  # loads torch

    count = FRAMES_A_STEP * (len(MORPH_STOPS) - 1) + 1
    traits = creatures.morph(MORPH_STOPS, count)
    scene = _creatures(teacher, traits, side)
    stops = tuple((stop, i * FRAMES_A_STEP) for i, stop in enumerate(MORPH_STOPS))
    return Scene(
        scene.class_names, scene.superclasses, scene.logits, scene.posterior, scene.picture, scene.teacher_view,
        Morph(_("Morph"), stops), _first_ambiguous_frame(scene.logits),
    )  # fmt: skip


def creature_scene(teacher: Teacher, traits: Mapping[str, float]) -> Scene:
    """Return the scene of one creature, drawn from its traits, with any teacher's answer.

    The true probabilities are included only if the teacher learned the creatures, because only then do the classes
    match.

    Args:
        traits: the value of every trait, by name.
    """
    return _creatures(teacher, _trait_values(traits), FULL_SIDE)


def picture_scene(teacher: Teacher, png: bytes, alt: str) -> Scene:
    """Return the scene of any picture with any teacher's answer; `alt` is the picture's text alternative."""
    picture = Image.open(io.BytesIO(png))
    seen = teacher.prepare(picture)
    is_large = max(picture.size) > LOSSLESS_SIDE
    shown = picture_sheet(picture, alt) if is_large else sheet(pixel_arrays(seen), alt, lossless=True)
    return _scene(teacher, seen, shown, None)


def creature_png(traits: Mapping[str, float]) -> bytes:
    """Return the PNG of a creature as networks see it, 32 x 32 pixels; `traits` has every trait's value by name."""
    from kdcore.datasets import creatures  # loads torch

    return png_of(picture_of(creatures.render(_trait_values(traits))[0]))


def _trait_values(traits: Mapping[str, float]) -> torch.Tensor:
    """Return the traits of one creature [1, number of traits], in the order in which the engine draws them."""
    # These load torch.
    import torch

    from kdcore.datasets import creatures

    return torch.tensor([[float(traits[trait.name]) for trait in creatures.TRAITS]])


def digit_scans(teacher: Teacher, digits: Dataset) -> tuple[dict[str, list[bytes]], str]:
    """Return PNGs of the test scans by class, and the class of the most ambiguous scan, which is shown first.

    The scans of a class are in ascending order of dark probability: the probability that the teacher gives to all
    classes other than the one that it chooses.
    """
    test = digits.test
    logits = teacher.logits(test.images).double()
    dark = 1 - logits.softmax(1).amax(1)
    scans = {
        name: [png_of(picture_of(test.images[i])) for i in dark.argsort().tolist() if test.hard_labels[i] == k]
        for k, name in enumerate(digits.class_names)
    }
    return scans, digits.class_names[int(test.hard_labels[dark.argmax()])]


def blank_png() -> bytes:
    """Return the PNG of a small white picture."""
    return png_of(Image.new("RGB", (64, 64), "white"))


def _creatures(teacher: Teacher, traits: torch.Tensor, side: int) -> Scene:
    """Return the scene of creatures, drawn from their traits [F, number of traits]; `side` as in `morph_scene`.

    A teacher that did not learn the creatures, or learned them in another size, is asked about the first one only.
    """
    # These load torch.
    from kdcore.datasets import creatures
    from kdcore.teachers.fit import in_order

    small = creatures.render(traits)
    shown = sheet(pixel_arrays(creatures.render(traits, size=side)), _("Drawn animal head"))
    card, names = teacher.card, creatures.SPECIES
    fits = bool(teacher.members) or card.image_shape == tuple(small.shape[1:])  # an ensemble resizes for its members
    if card.dataset == "creatures" and same_classes(card.class_names, names) and fits:
        return _scene(in_order(teacher, names), small, shown, creatures.posterior(traits).numpy())
    return _scene(teacher, teacher.prepare(picture_of(small[0])), shown, None)


def _scene(teacher: Teacher, seen: torch.Tensor, shown: Sheet, posterior: NDArray[np.floating[Any]] | None) -> Scene:
    """Ask a teacher about pictures.

    Args:
        seen: the pictures as the teacher sees them, uint8 [F, C, H, W].
        shown: the pictures as the visitor sees them.
        posterior: the true probabilities [F, K]; None where they are unknown.
    """
    card = teacher.card
    superclasses = card.superclasses if card.superclasses != card.class_names else None
    logits = teacher.logits(seen).double().numpy()
    view = sheet(pixel_arrays(seen), lossless=True)
    return Scene(card.class_names, superclasses, logits, posterior, shown, view, members=_members(teacher, seen))


def _members(teacher: Teacher, seen: torch.Tensor) -> tuple[tuple[str, NDArray[np.floating[Any]]], ...]:
    """Return the name and logits [F, K] of each member of an ensemble; empty for a single network."""
    if not teacher.members:
        return ()
    from kdcore.teachers.ensembles import member_logits  # loads torch

    logits = member_logits(teacher, seen).double().numpy()  # [F, M, K]
    return tuple((member.name, logits[:, index]) for index, member in enumerate(teacher.members))


def _first_ambiguous_frame(logits: NDArray[np.floating[Any]]) -> int:
    """Return the first frame in which classes other than the chosen one have a tenth of the probability, else 0.

    The morph starts there, so that the first frame that a visitor sees has visible dark knowledge.
    """
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    dark = 1 - shifted.max(1) / shifted.sum(1)
    ambiguous = np.flatnonzero(dark >= 0.1)
    return int(ambiguous[0]) if len(ambiguous) else 0
