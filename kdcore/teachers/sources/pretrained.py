"""Save a network of another library, with its trained weights, as a teacher of this machine."""

from __future__ import annotations

import datetime
from typing import Any

from torch import nn

from kdcore.networks.registry import count_macs, count_params
from kdcore.teachers.card import ModelCard, own_model_folder
from kdcore.teachers.teacher import save_model


def save_pretrained(network: nn.Module, **facts: Any) -> ModelCard:
    """Write weights and card into this machine's folder of models; the card's figures were not measured here.

    Args:
        facts: the fields of `ModelCard` that differ between such teachers: `name`, `dataset`, `model`, `class_names`,
            `superclasses`, `image_shape`, `recipe`, `command`, `notes`, `resize` and `interpolation`, and `accuracy`
            and `figures` where the publisher states them.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    card: dict[str, Any] = {
        "role": "teacher",
        "dataset_sha256": "",
        "calibration": 1.0,
        "accuracy": None,
        "figures": {},
        "num_params": count_params(network),
        "macs": count_macs(network, facts["image_shape"]),
        "seeds": (),
        "date": datetime.date.today().isoformat(),
        **facts,
    }
    return save_model(own_model_folder(), network.eval(), card)
