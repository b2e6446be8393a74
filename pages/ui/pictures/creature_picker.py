"""Controls with which a visitor composes a creature: a slider for each trait, set one by one or to an animal.

The imports inside the functions load PyTorch, which takes seconds; the page appears before.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.session import state
from pages.ui.session.i18n import _

if TYPE_CHECKING:
    from kdcore.datasets.creatures import Trait


def pick_creature() -> tuple[tuple[str, float], ...]:
    """Draw the controls and return (name, value) of each trait."""
    from kdcore.datasets.creatures import SPECIES, TRAITS  # loads torch

    if state.widget_value(_slider_key(TRAITS[0])) is None:
        _set_traits(_mostly("wolf", "dog"))
    st.selectbox(_("Start from"), SPECIES, key="species_pick", on_change=_start_from_species, persist_state="session")
    st.button(_("Draw another one"), on_click=_draw_another, width="stretch")
    with st.container(height=290, border=True, key="kd_traits", gap="xsmall"):
        return tuple((trait.name, _trait_slider(trait)) for trait in TRAITS)


def _slider_key(trait: Trait) -> str:
    return f"trait_{trait.name}"


def _step(trait: Trait) -> float:
    """Return the distance between two values of a trait's slider, so that it has roughly a hundred of them."""
    width = trait.high - trait.low
    if width > 10:
        return 1.0
    return 0.1 if width > 5 else 0.01


def _trait_slider(trait: Trait) -> float:
    return float(
        st.slider(
            f"{trait.title}, {trait.unit}" if trait.unit else trait.title,
            float(trait.low), float(trait.high), step=_step(trait), format="%.2f" if _step(trait) < 0.1 else "%.0f",
            key=_slider_key(trait), help=trait.description, persist_state="session",
        )
    )  # fmt: skip


def _set_traits(values: list[float]) -> None:
    """Set every slider to the nearest value that it allows.

    The creature is drawn from the sliders, so the true probabilities shown are those of the adjusted values.
    """
    from kdcore.datasets.creatures import TRAITS  # loads torch

    for trait, value in zip(TRAITS, values, strict=True):
        step = _step(trait)
        on_grid = trait.low + round((value - trait.low) / step) * step
        state.set_widget(_slider_key(trait), round(min(trait.high, max(trait.low, on_grid)), 4))


def _mostly(species: str, other: str) -> list[float]:
    """Return traits a fifth of the way from one species to another.

    Such a creature clearly belongs to the first species and still visibly resembles the other.
    """
    from kdcore.datasets.creatures import morph  # loads torch

    return [float(value) for value in morph((species, other), 6)[1]]


def _start_from_species() -> None:
    from kdcore.datasets.creatures import prototype  # loads torch

    _set_traits([float(value) for value in prototype(str(state.widget_value("species_pick")))])


def _draw_another() -> None:
    from kdcore.datasets.creatures import SPECIES, sample_traits  # loads torch

    chosen = SPECIES.index(str(state.widget_value("species_pick")))
    traits, species = sample_traits(200, seed=secrets.randbelow(2**31))
    _set_traits([float(value) for value in traits[species == chosen][0]])
