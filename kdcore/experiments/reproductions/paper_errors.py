"""Wrong answers of the networks of Hinton's MNIST experiment, beside those that the paper states."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kdcore.datasets import Dataset
from kdcore.experiments.reproductions.output_bias import add_offset, fit_offset, share_of
from kdcore.experiments.reproductions.paper_networks import THREE, Experiment, PaperNetwork
from kdcore.machine.device import Device
from kdcore.metrics import scores
from kdcore.metrics.intervals import picture_estimate
from kdcore.networks.inference import predict_logits

# Wrong answers on the 10,000 test pictures. The paper gives the last two as shares, 47.3 % and 13.2 %.
PAPER_ERRORS = {
    "teacher": 67,
    "baseline": 146,
    "distilled": 74,
    "omitted_3": 206,
    "omitted_3_bias": 109,
    "only_7_8": 4730,
    "only_7_8_bias": 1320,
}


def measure(
    experiment: Experiment, networks: dict[str, list[nn.Module]], data: Dataset, device: Device
) -> dict[str, dict[str, Any]]:
    """Measure the networks on the test pictures and return the rows of the result by their name.

    Nothing is chosen or fitted on the test pictures.

    Args:
        networks: the name of each planned network -> the trained networks, one per seed.
    """
    rows = {}
    for planned in experiment.networks:
        seeds = networks[planned.name]
        logits = torch.stack([predict_logits(network, data.test.images, device) for network in seeds])  # [S, N, K]
        rows[planned.name] = _row(planned.name, planned, logits, data.test.hard_labels)
        if planned.corrected_classes:
            offsets = [bias_offset(planned, network, data, device) for network in seeds]
            pairs = zip(logits, offsets, strict=True)
            corrected_logits = torch.stack([add_offset(z, planned.corrected_classes, offset) for z, offset in pairs])
            name = f"{planned.name}_bias"
            rows[name] = _row(name, planned, corrected_logits, data.test.hard_labels)
    return rows


def bias_offset(planned: PaperNetwork, network: nn.Module, data: Dataset, device: Device) -> float:
    """Return the number that is added to the logits of the network's corrected classes.

    It is fitted on the validation pictures without their labels, to the frequency of these classes among all training
    pictures.
    """
    classes = planned.corrected_classes
    logits = predict_logits(network, data.validation.images, device)
    return fit_offset(logits, classes, share_of(data.train.hard_labels, classes))


def _row(name: str, planned: PaperNetwork, logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    """Return the result's row for one network, from its logits [S, N, K] of S seeds, N test pictures and K classes.

    In it, `errors` is the number of wrong answers among the N pictures: the mean over the seeds, with its interval.
    """
    hits = scores.correct(logits, hard_labels)
    size = len(hard_labels)
    threes = picture_estimate(hits[:, hard_labels == THREE], 0.0, 1.0).to_json()
    return {
        "paper_errors": PAPER_ERRORS[name],
        "errors": picture_estimate((~hits).double() * size, 0.0, float(size)).to_json(),
        "threes_right": threes if planned.counts_threes else None,
    }
