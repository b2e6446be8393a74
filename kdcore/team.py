"""A team: students that learn in one computation, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdcore.checkpoints import pack_optimizer, unpack_optimizer
from kdcore.device import Device
from kdcore.dropout import draw_from
from kdcore.feature_lessons import FeatureLesson
from kdcore.inference import predict_logits
from kdcore.methods import Method, total_loss
from kdcore.optimizers import one_cycle, parameter_groups
from kdcore.stacked import StackedNetwork
from kdcore.students import Schedule, Student
from kdcore.views import to_float

CHANCE = 300_000_007  # keeps the seeds of what is silenced apart from those of order and views


_Key = tuple[int, int, int]


class _Objectives(NamedTuple):
    """Students of one method.

    Attributes:
        sources: one student for each thing that any of them is told.
        keys: what each of them is told, m in all.
        settings: each as [m].
        places: theirs in the team, int64 [m]; indices that are on the device already make no step wait.
    """

    method: Method
    sources: dict[_Key, Student]
    keys: list[_Key]
    settings: dict[str, Tensor]
    places: Tensor


class _OneByOne(nn.Module):
    """Networks that cannot be stacked, one after the other; all see the same pictures."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, pictures: Tensor) -> Tensor:  # [B, C, H, W] -> [B, M, K]
        return torch.stack([network(pictures) for network in self.networks], 1)

    def states(self) -> list[dict[str, Tensor]]:
        return [
            {name: value.detach().clone() for name, value in network.state_dict().items()} for network in self.networks
        ]


class Team:
    """Students that learn in one computation.

    Those that see the same pictures stand next to each other; every picture source has as many students.
    """

    def __init__(
        self,
        students: Sequence[Student],
        networks: Sequence[nn.Module],
        schedule: Schedule,
        device: Device,
        stacked: bool,
        lesson: FeatureLesson | None = None,
    ) -> None:
        self.students = tuple(replace(one, transfer_set=one.transfer_set.to(device.torch)) for one in students)
        self.schedule, self.device, self.lesson = schedule, device, lesson
        channels = students[0].transfer_set.images.shape[1]
        whole = StackedNetwork(networks, channels) if stacked else _OneByOne(networks)
        device.place(whole)
        self.network: StackedNetwork | _OneByOne = whole
        self._chance = torch.Generator(device.torch)
        draw_from(whole, self._chance)
        modules = nn.ModuleList([self.network] if lesson is None else [self.network, device.place(lesson.trained)])
        recipe = schedule.recipe
        groups = parameter_groups(modules, recipe.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        # One student for each source of pictures.
        self.sources = list({(one.seed, one.transfer_set.kind): one for one in self.students}.values())
        self._objectives = list(_by_method(self.students, device))
        self._back = torch.cat([group.places for group in self._objectives]).argsort()

    def learn(self, order: dict[int, Tensor], view: dict[int, Tensor], progress: float) -> Tensor:
        """One step; the loss of each student [M], on the device.

        Args:
            order, view: for each seed, places in the transfer set and their views, int64 [B].
            progress: share of the training that is done.
        """
        pictures = self._pictures(order, view)
        # The same units are silent in every arm of a seed, and after a checkpoint: only what they are told differs.
        # What cannot be stacked is of one seed.
        step = round(progress * self.schedule.epochs * self.schedule.steps)
        self._chance.manual_seed(self.students[0].seed * 1_000_003 + step + CHANCE)
        if not self.network.training:
            self.network.train()
        with self.device.autocast():
            logits = self.network(pictures)  # [B, M, K]
        losses = self._losses(logits.float().transpose(0, 1), order, view)
        total = losses.sum()
        if self.lesson is not None:
            total = losses = self.lesson.add_to(total, pictures, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.recipe.learning_rate * one_cycle(progress)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return losses.detach().view(-1)

    def logits(self, images: Tensor) -> Tensor:
        """Logits of every student: uint8 [N, C, H, W] -> float32 [M, N, K] on the CPU."""
        batch_size = 256 if len(self.students) == 1 else 64
        return predict_logits(self.network, images, self.device, batch_size).transpose(0, 1)

    def states(self) -> list[dict[str, Tensor]]:
        """Each student's weights, as its network alone has them."""
        return self.network.states()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that going on needs."""
        whole = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        if self.lesson is not None:
            whole |= {f"lesson.{name}": value for name, value in self.lesson.trained.state_dict().items()}
        return whole | pack_optimizer(self.optimizer, "optimizer.")

    def put_back(self, tensors: dict[str, Tensor]) -> None:
        """Take what `tensors` gave."""
        self.network.load_state_dict(_below(tensors, "network."))
        if self.lesson is not None:
            self.lesson.trained.load_state_dict(_below(tensors, "lesson."))
        unpack_optimizer(self.optimizer, tensors, "optimizer.")

    def _pictures(self, order: dict[int, Tensor], view: dict[int, Tensor]) -> Tensor:
        """One batch of every source, float [B, G * C, H, W] in channels_last order."""
        views, parts = self.schedule.views, []
        for _, same in groupby(self.sources, key=lambda student: id(student.transfer_set.images)):
            learners = list(same)
            rows = torch.cat([one.transfer_set.rows[order[one.seed]] for one in learners])
            seen = torch.cat([view[one.seed] for one in learners])
            parts.append(views.apply_each(learners[0].transfer_set.images[rows], seen))
        images = torch.cat(parts) if len(parts) > 1 else parts[0]  # [G * B, C, H, W]
        groups, (channels, *size) = len(self.sources), images.shape[1:]
        pictures = to_float(images).view(groups, -1, channels, *size).transpose(0, 1)
        return pictures.reshape(-1, groups * channels, *size).contiguous(memory_format=torch.channels_last)

    def _losses(self, logits: Tensor, order: dict[int, Tensor], view: dict[int, Tensor]) -> Tensor:
        """[M, B, K] -> [M]."""
        parts = []
        for method, sources, keys, settings, places in self._objectives:
            own = logits if len(keys) == len(self.students) else logits[places]
            said = {key: _told(one, order[one.seed], view[one.seed], logits[0]) for key, one in sources.items()}
            told = [said[key] for key in keys]
            hard_labels, teacher_logits = (torch.stack(part) for part in zip(*told, strict=True))
            if method.uses == "peer":  # the two of a pair stand next to each other
                teacher_logits = logits.detach()[places ^ 1]
            loss = partial(total_loss, method)
            parts.append(torch.func.vmap(loss)(own, teacher_logits, hard_labels, settings))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts)[self._back]


def _by_method(students: Sequence[Student], device: Device) -> Iterator[_Objectives]:
    """The students in groups of one method and as many teachers at once, with their settings as one tensor each."""
    kinds = [(one.objective.method.name, one.transfer_set.members) for one in students]
    for kind in dict.fromkeys(kinds):
        places = [place for place, other in enumerate(kinds) if other == kind]
        learners = [students[place] for place in places]
        numbers = [student.objective.numbers() for student in learners]
        settings = {key: torch.tensor([one[key] for one in numbers], device=device.torch) for key in numbers[0]}
        keys = [(one.seed, id(one.transfer_set.hard_labels), id(one.transfer_set.teacher_logits)) for one in learners]
        sources = dict(zip(keys, learners, strict=True))
        method = learners[0].objective.method
        yield _Objectives(method, sources, keys, settings, torch.tensor(places, device=device.torch))


def _told(student: Student, order: Tensor, view: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Hard labels [B] and teacher logits [B, K] of a batch.

    Without a teacher the logits are zeros, whose weight is 0. Without labels, what the teacher takes the pictures for
    is the target of a distill loss that has one; the hard loss has the weight 0.
    """
    found = student.transfer_set
    soft = torch.zeros_like(like) if found.teacher_logits is None else found.teacher_logits[view, order].float()
    return (soft.argmax(-1) if found.hard_labels is None else found.hard_labels[order]), soft


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
