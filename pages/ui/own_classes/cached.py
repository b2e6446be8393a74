"""Answers of the networks of a run to a visitor's picture, cached for all visitors."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

if TYPE_CHECKING:
    from kdcore.teachers.teacher import Teacher


@dataclass(frozen=True)
class Answer:
    """A network's soft labels [K] at T = 1 for one picture, with the names of the K classes."""

    class_names: tuple[str, ...]
    soft_labels: tuple[float, ...]

    @property
    def chosen(self) -> int:
        """The index of the class with the largest probability."""
        return max(range(len(self.soft_labels)), key=self.soft_labels.__getitem__)


def answer(network: Teacher, png: bytes) -> Answer:
    """Return a network's answer to a picture; each network is asked once about each picture."""
    return _answer(network, repr((network.card, network.logits_key())), png)


@st.cache_data(show_spinner=False, max_entries=96)
def _answer(_network: Teacher, asked: str, png: bytes) -> Answer:
    # `_network` is no part of the key; `asked`, which holds its card and the hash of its weights, is.
    from kdcore.teachers.predict import predict  # loads torch, which takes seconds

    predicted = predict(_network, Image.open(io.BytesIO(png)))
    return Answer(tuple(predicted["class_names"]), tuple(predicted["soft_labels"]))
