"""Teams: students that learn in one computation, and one epoch of their training.

All students see pictures in the same order and the same views, seed by seed, with the same optimiser and budget;
students of one seed start from the same weights. Only what they are told differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from kdcore.models import build_model, count_macs
from kdcore.optimizers import one_cycle, parameter_groups
from kdcore.side_by_side import SideBySide, cores
from kdcore.stacked import StackedNetwork, can_stack
from kdcore.students import Schedule, Student
from kdcore.views import to_float

# Beyond so many multiplications a step, or so many networks, nothing of this core is idle that a stack could use.
STACKED_MACS = 100e6
MOST_STACKED = 8
CHANCE = 300_000_007  # keeps the seeds of what is silenced apart from those of order and views
PEER = "peer"  # the arm of a student's partner in mutual learning, which takes part in no figure


class _Objectives(NamedTuple):
    """Students of one method, each setting as [m], and their places in the team, int64 [m]: indices that are on the
    device already make no step wait."""

    method: Method
    students: list[Student]
    settings: dict[str, Tensor]
    places: Tensor


class _SideBySide(nn.Module):
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
        whole = StackedNetwork(networks, channels) if stacked else _SideBySide(networks)
        device.place(whole)
        self.network: StackedNetwork | _SideBySide = whole
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
        for method, learners, settings, places in self._objectives:
            own = logits if len(learners) == len(self.students) else logits[places]
            told = [_told(one, order[one.seed], view[one.seed], logits[0]) for one in learners]
            hard_labels, teacher_logits = (torch.stack(part) for part in zip(*told, strict=True))
            if method.uses == "peer":  # the two of a pair stand next to each other
                teacher_logits = logits.detach()[places ^ 1]
            loss = partial(total_loss, method)
            parts.append(torch.func.vmap(loss)(own, teacher_logits, hard_labels, settings))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts)[self._back]


def build_teams(
    students: Sequence[Student],
    image_shape: tuple[int, int, int],
    num_classes: int,
    schedule: Schedule,
    device: Device,
    lessons: Callable[[Student, nn.Module], FeatureLesson | None] = lambda student, network: None,
) -> list[Team]:
    """Students in teams: small ones together, large ones each alone, the two of a pair never apart.

    Args:
        students: seed by seed, every seed with the same arms; a student and its peer next to each other.
        lessons: what else a student learns beside logits; such a student learns alone.
    """
    together: dict[object, list[list[tuple[Student, nn.Module]]]] = {}
    teams = []
    for pair in _pairs(students):
        unit = [(one, build_model(one.model, image_shape, num_classes, seed=one.weights)) for one in pair]
        first, network = unit[0]
        lesson = lessons(first, network)
        work = count_macs(network, image_shape) * schedule.batch_size
        if lesson is None and can_stack(network) and work <= STACKED_MACS:
            together.setdefault((first.model, first.transfer_set.kind, len(unit)), []).append(unit)
        else:
            teams.append(Team(pair, [one for _, one in unit], schedule, device, stacked=False, lesson=lesson))
    for units in together.values():
        for chunk in _chunks(units):
            learners, networks = zip(*chunk, strict=True)
            teams.append(Team(learners, networks, schedule, device, stacked=True))
    return teams


def threads_for(teams: Sequence[Team]) -> SideBySide:
    """One for every core, where an operation takes only one of them."""
    device = teams[0].device
    alone = device.torch.type != "cpu" or device.threads > 1
    return SideBySide(1 if alone else min(len(teams), cores()))


def train_epoch(
    teams: Sequence[Team], epoch: int, threads: SideBySide, should_stop: Callable[[], bool] = lambda: False
) -> dict[tuple[str, int], float] | None:
    """One pass of every student over its transfer set: the mean loss by arm and seed; None when it was stopped."""
    schedule = teams[0].schedule
    order, view = {}, {}
    for seed in dict.fromkeys(student.seed for team in teams for student in team.students):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        place = teams[0].device.torch  # drawn on the processor: the same numbers on every device
        order[seed] = torch.randperm(schedule.labels, generator=generator).to(place)
        view[seed] = torch.randint(len(schedule.views), (schedule.labels,), generator=generator).to(place)

    def learn(team: Team, should_stop: Callable[[], bool]) -> Tensor | None:
        total = torch.zeros(len(team.students), device=team.device.torch)
        for step in range(schedule.steps):
            if should_stop():
                return None
            batch = slice(step * schedule.batch_size, (step + 1) * schedule.batch_size)
            now = {seed: places[batch] for seed, places in order.items()}
            seen = {seed: views[batch] for seed, views in view.items()}
            total += team.learn(now, seen, (epoch * schedule.steps + step) / (schedule.epochs * schedule.steps))
        return total / schedule.steps

    found: dict[tuple[str, int], float] = {}
    for team, losses in zip(teams, threads.each(learn, teams, should_stop), strict=True):
        if losses is None:
            return None
        found |= {(one.arm, one.seed): loss for one, loss in zip(team.students, losses.tolist(), strict=True)}
    return found


def _pairs(students: Sequence[Student]) -> list[list[Student]]:
    """Each student alone, or with the peer that follows it."""
    units: list[list[Student]] = []
    for student in students:
        if student.arm == PEER:
            units[-1].append(student)
        else:
            units.append([student])
    return units


def _chunks(units: list[list[tuple[Student, nn.Module]]]) -> Iterator[list[tuple[Student, nn.Module]]]:
    """Parts of at most MOST_STACKED networks, in which every seed has as many."""
    seeds = [list(same) for _, same in groupby(units, key=lambda unit: unit[0][0].seed)]
    width = len(units[0])
    arms = max(1, min(len(seeds[0]), MOST_STACKED // width))
    for start in range(0, len(seeds[0]), arms):
        most = max(1, MOST_STACKED // (arms * width))
        for first in range(0, len(seeds), most):
            yield [one for seed in seeds[first : first + most] for unit in seed[start : start + arms] for one in unit]


def _by_method(students: Sequence[Student], device: Device) -> Iterator[_Objectives]:
    """The students in groups of one method and as many teachers at once, with their settings as one tensor each."""
    kinds = [(one.objective.method.name, one.transfer_set.members) for one in students]
    for kind in dict.fromkeys(kinds):
        places = [place for place, other in enumerate(kinds) if other == kind]
        learners = [students[place] for place in places]
        numbers = [student.objective.numbers() for student in learners]
        settings = {key: torch.tensor([one[key] for one in numbers], device=device.torch) for key in numbers[0]}
        yield _Objectives(learners[0].objective.method, learners, settings, torch.tensor(places, device=device.torch))


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
