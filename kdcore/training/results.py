"""The result of a run, in the shape that `kdcore run --json` prints."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from kdcore.datasets import Dataset
from kdcore.machine.device import Device
from kdcore.metrics import scores
from kdcore.metrics.divergence import Divergence
from kdcore.metrics.paired import per_class_difference
from kdcore.metrics.verdict import judge
from kdcore.networks.latency import measure_latency
from kdcore.networks.registry import count_macs, count_params
from kdcore.settings.config import RunConfig
from kdcore.settings.describe import run_command
from kdcore.settings.sweeps import POINT_ARMS
from kdcore.teachers.teacher import Teacher, save_model
from kdcore.training.students import PEER
from kdcore.training.sweep_table import label_figures
from kdcore.training.team import Team
from kdcore.training.teams import threads_for


def logits_on_test(teams: Sequence[Team], dataset: Dataset) -> dict[str, Tensor]:
    """Return the logits of every arm on the test split, [S, N, K] by arm. It is called once for each group
    of points, after their training."""
    by_arm: dict[str, dict[int, Tensor]] = {}
    logits_by_team = threads_for(teams).run_each(lambda team, _: team.logits(dataset.test.images), teams)
    for team, team_logits in zip(teams, logits_by_team, strict=True):
        for student, logits in zip(team.students, team_logits, strict=True):
            if student.arm != PEER:
                by_arm.setdefault(student.arm, {})[student.seed] = logits
    return {arm: torch.stack(list(by_seed.values())) for arm, by_seed in by_arm.items()}


def build_result(
    config: RunConfig,
    dataset: Dataset,
    teacher: Teacher,
    networks: dict[str, nn.Module],
    logits: dict[str, Tensor],
    device: Device,
    diverged: Sequence[Divergence] = (),
) -> dict[str, Any]:
    """Measure every arm on the test split, and its latency on this machine.

    An arm of which a student diverged has no figures: a mean over the other seeds would look better than the arm is.

    Args:
        config: the configuration of the run's own point.
        networks: each trained arm's network of the first seed.
        logits: each trained arm's logits on the test split for S seeds, [S, N, K]; NaN for students that diverged.
        diverged: all students of the run that diverged.

    Returns:
        the result, in which the caller still has to set "run_id" and "seconds".
    """
    hard_labels = dataset.test.hard_labels
    arms = _arm_rows(config, dataset, teacher, networks, logits, device)
    difference = scores.paired_difference(logits["distilled"], logits["baseline"], hard_labels)
    verdict = judge(difference, [one for one in diverged if one.arm in POINT_ARMS])
    result: dict[str, Any] = {
        "run_id": "",
        "config": config.to_json(),
        "seconds": 0.0,
        "device": device.name,
        "precision": device.precision,
        "dataset_sha256": dataset.sha256,
        "test_size": len(hard_labels),
        "class_names": list(dataset.class_names),
        "verdict": {"claim": verdict.claim, "sentence": verdict.sentence},
        "arms": arms,
        "paired_difference": difference.to_json(),
    }
    if difference.mean is not None:
        by_class = per_class_difference(logits["distilled"], logits["baseline"], hard_labels)
        result["per_class_difference"] = [one.to_json() for one in by_class]
    if diverged:
        result["diverged"] = [one.to_json() for one in diverged]
    if dataset.bayes_accuracy is not None:
        result["bayes_accuracy"] = dataset.bayes_accuracy
    return result


def _arm_rows(
    config: RunConfig,
    dataset: Dataset,
    teacher: Teacher,
    networks: dict[str, nn.Module],
    logits: dict[str, Tensor],
    device: Device,
) -> dict[str, Any]:
    """Return the figures of every arm, the teacher first; arguments as for `build_result`."""
    hard_labels = dataset.test.hard_labels
    teacher_logits = teacher.logits(dataset.test.images)  # [N, K]
    timed: dict[str, tuple[nn.Module, tuple[int, int, int]]] = {"teacher": (teacher.network, dataset.image_shape)}
    timed |= {arm: (network, dataset.image_shape) for arm, network in networks.items()}
    latency = measure_latency(timed, device)
    arms: dict[str, Any] = {"teacher": _teacher_row(teacher, teacher_logits, hard_labels)}
    for arm, network in networks.items():
        arms[arm] = {
            **_figures(logits[arm], hard_labels, teacher_logits),
            "num_params": count_params(network),
            "macs": count_macs(network, dataset.image_shape),
            "size_bytes": len(save({k: v.contiguous() for k, v in network.state_dict().items()})),
        }
    for arm in config.controls:
        difference = scores.paired_difference(logits[arm], logits["distilled"], hard_labels)
        arms[arm]["minus_distilled"] = difference.to_json()
    for arm, row in arms.items():
        row["latency_ms"] = [value.to_json() for value in latency[arm]]
    return arms


def _figures(logits: Tensor, hard_labels: Tensor, teacher_logits: Tensor) -> dict[str, Any]:
    """The figures of one arm over its S seeds, from its logits [S, N, K]. Without those by class if a seed diverged."""
    figures = {
        **label_figures(logits, hard_labels),
        "agreement": scores.agreement(logits, teacher_logits).to_json(),
        "kl_to_teacher": scores.kl_to_teacher(logits, teacher_logits).to_json(),
    }
    if bool(logits.isnan().any()):
        return figures
    return {
        **figures,
        "confusion": scores.confusion(logits, hard_labels).tolist(),
        "per_class": [
            {"accuracy": row.accuracy, "n": row.n, "ci95": list(row.ci95)}
            for row in scores.per_class(logits, hard_labels)
        ],
    }


def _teacher_row(teacher: Teacher, logits: Tensor, hard_labels: Tensor) -> dict[str, Any]:
    """The figures of the teacher. It is one fixed model, so its intervals are over pictures only."""
    row = _figures(logits[None], hard_labels, logits)
    row["accuracy"] = scores.proportion_estimate(scores.correct(logits, hard_labels)).to_json()
    row |= {
        "num_params": teacher.card.num_params,
        "macs": teacher.card.macs,
        "size_bytes": teacher.card.size_bytes,
    }
    return row


def save_students(
    folder: Path, config: RunConfig, dataset: Dataset, networks: dict[str, nn.Module], result: dict[str, Any]
) -> None:
    """Save each trained arm's network of the first seed, with its model card, under `folder`.

    An arm of which a student diverged is left out.

    Args:
        networks: the networks by arm.
        result: the result of the run, from which the cards take their figures.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    for arm, network in networks.items():
        row = result["arms"][arm]
        if row["accuracy"]["mean"] is None:
            continue
        card = {
            "name": arm,
            "role": arm,
            "dataset": dataset.name,
            "dataset_sha256": dataset.sha256,
            "model": config.student,
            "class_names": dataset.class_names,
            "superclasses": dataset.superclasses,
            "image_shape": dataset.image_shape,
            "calibration": 1.0,
            "accuracy": row["accuracy"]["mean"],
            "figures": {name: row[name] for name in ("accuracy", "nll", "ece", "agreement", "kl_to_teacher")},
            "num_params": row["num_params"],
            "macs": row["macs"],
            "recipe": config.to_json(),
            "command": run_command(config.to_json()),
            "seeds": config.seeds,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        save_model(folder, network, card)
