"""Runs that are trained and then looked at instead of being measured: no test split, no clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcore.events import EpochEnded, Event, RunFinished
from kdcore.machine.device import Device
from kdcore.networks.registry import build_model
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.teachers.card import ModelCard
from kdcore.teachers.teacher import load_single, save_model
from kdcore.training import stages, trainer
from kdcore.training.students import Student
from kdcore.training.team import Team
from kdcore.training.teams import build_teams

PRECISE = Device(torch.device("cpu"), "fp32", "this processor", 1)
SHORT: dict[str, Any] = {"labels": 40, "epochs": 2, "batch_size": 10, "device": "cpu"}
State = dict[str, torch.Tensor]


class Trained:
    """The events of a run in fp32, and its students with their weights.

    Attributes:
        teams: of the stages first, then group by group.
    """

    def __init__(self, patch: pytest.MonkeyPatch, home: Path) -> None:
        self.home = home
        self.events: list[Event] = []
        self.teams: list[Team] = []
        patch.setattr(trainer, "pick_device", lambda *_: PRECISE)
        patch.setattr(trainer, "logits_on_test", lambda *_: {})
        patch.setattr(trainer, "sweep_rows", lambda *_: {})
        patch.setattr(trainer, "_finish", lambda *_: RunFinished({}))
        for module in (stages, trainer):
            patch.setattr(module, "build_teams", self._build)

    def _build(self, *arguments: Any) -> list[Team]:
        teams = build_teams(*arguments)
        self.teams += teams
        return teams

    def run(self, dataset: str = "creatures", **settings: Any) -> RunConfig:
        return self.train(make_run_config(dataset, **{**SHORT, **settings}))

    def train(self, config: RunConfig) -> RunConfig:
        self.teams = []
        self.events = list(trainer.train(config, home=self.home))
        return config

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Of the last epoch."""
        return [event.curves for event in self.events if isinstance(event, EpochEnded)][-1]

    def students(self) -> dict[tuple[str, int], tuple[Student, State]]:
        """Each student with its weights, by arm and seed."""
        return {
            (student.arm, student.seed): (student, state)
            for team in self.teams
            for student, state in zip(team.students, team.states(), strict=True)
        }


def flat(state: State) -> torch.Tensor:
    """All weights of a network in a row."""
    return torch.cat([value.float().flatten() for value in state.values()])


def another_teacher(folder: Path, name: str, of: str) -> ModelCard:
    """A small network that has learned nothing, as a teacher of what the teacher `of` knows."""
    card = replace(load_single(of).card, name=name, model="mlp-8", calibration=3.0)
    values = {key: value for key, value in vars(card).items() if key not in ("sha256", "size_bytes")}
    network = build_model(card.model, card.image_shape, len(card.class_names), seed=len(name))
    return save_model(folder, network, values)
