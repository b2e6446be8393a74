"""Teams: which students are trained in one computation, and one epoch of training for all of them.

All students of a seed see their pictures in the same order and the same views, start from the same weights, and have
the same optimiser and budget. The arms differ only in what the students learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

from kdcore.machine.device import Device
from kdcore.machine.parallel import ParallelThreads, cores
from kdcore.networks.registry import build_model, count_macs
from kdcore.networks.stacked import can_stack
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.students import PEER, Schedule, Student
from kdcore.training.team import Team
from kdcore.training.transfer_sets import to_device

# Limits of stacking: the multiplications of one network in a step, and the networks of a stack. Beyond these a core is
# fully used already, and stacking gains nothing.
STACKED_MACS = 100e6
MOST_STACKED = 8


def build_teams(
    students: Sequence[Student],
    image_shape: tuple[int, int, int],
    num_classes: int,
    schedule: Schedule,
    device: Device,
    build_feature_loss: Callable[[Student, nn.Module], FeatureLoss | None] = lambda student, network: None,
) -> list[Team]:
    """Build the networks of all students and divide the students into teams: small networks are stacked with others,
    large ones are on their own. A student and its peer are always in one team. The students' transfer sets are moved to
    the device together, so that what students share there is one tensor.

    Args:
        students: all students, seed by seed, with the same arms for every seed; a peer directly follows its student.
        build_feature_loss: returns the feature loss of a student with this network, if its method has one; such a
            student is in a team of its own.
    """
    transfer_sets = to_device([one.transfer_set for one in students], device.torch)
    students = [replace(one, transfer_set=moved) for one, moved in zip(students, transfer_sets, strict=True)]
    together: dict[object, list[list[tuple[Student, nn.Module]]]] = {}
    teams = []
    for pair in _pairs(students):
        unit = [(one, build_model(one.model, image_shape, num_classes, seed=one.weights_seed)) for one in pair]
        first, network = unit[0]
        feature_loss = build_feature_loss(first, network)
        work = count_macs(network, image_shape) * schedule.batch_size
        if feature_loss is None and can_stack(network) and work <= STACKED_MACS:
            together.setdefault((first.model, first.transfer_set.kind, len(unit)), []).append(unit)
        else:
            team = Team(pair, [one for _, one in unit], schedule, device, stacked=False, feature_loss=feature_loss)
            teams.append(team)
    for units in together.values():
        for chunk in _chunks(units):
            members, networks = zip(*chunk, strict=True)
            teams.append(Team(members, networks, schedule, device, stacked=True))
    return teams


def threads_for(teams: Sequence[Team]) -> ParallelThreads:
    """Return as many threads as there are cores, at most one for each team; a single one where an operation by itself
    uses several cores, or a GPU."""
    device = teams[0].device
    alone = device.torch.type != "cpu" or device.threads > 1
    # A new thread starts with torch's default number of threads, which a caller in another thread may have changed.
    return ParallelThreads(1 if alone else min(len(teams), cores()), partial(torch.set_num_threads, device.threads))


def train_epoch(
    teams: Sequence[Team],
    epoch: int,
    threads: ParallelThreads,
    should_stop: Callable[[], bool] = lambda: False,
    diverged: Container[tuple[str, int]] = (),
) -> dict[tuple[str, int], float] | None:
    """Train every student for one pass over its transfer set.

    A student that diverges changes no other one: in a stack it only adds channels of its own.

    Args:
        epoch: the number of the epoch, from 0.
        diverged: students that diverged before, by (arm, seed); a team without any other is not trained.

    Returns:
        each student's mean loss (nats) by (arm, seed), NaN for a student whose weights are no longer finite numbers;
        None if `should_stop` returned True.
    """
    schedule = teams[0].schedule
    order, view = {}, {}
    for seed in dict.fromkeys(student.seed for team in teams for student in team.students):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        device = teams[0].device.torch  # numbers are drawn on the CPU, so that they are the same for every device
        order[seed] = torch.randperm(schedule.labels, generator=generator).to(device)
        view[seed] = torch.randint(len(schedule.views), (schedule.labels,), generator=generator).to(device)

    def learn(team: Team, should_stop: Callable[[], bool]) -> Tensor | None:
        total = torch.zeros(len(team.students), device=team.device.torch)
        if all((one.arm, one.seed) in diverged for one in team.students if one.arm != PEER):
            return total + torch.nan
        for step in range(schedule.steps):
            if should_stop():
                return None
            batch = slice(step * schedule.batch_size, (step + 1) * schedule.batch_size)
            batch_order = {seed: pictures[batch] for seed, pictures in order.items()}
            batch_view = {seed: views[batch] for seed, views in view.items()}
            progress = (epoch * schedule.steps + step) / (schedule.epochs * schedule.steps)
            total += team.learn(batch_order, batch_view, progress)
        return torch.where(team.finite(), total / schedule.steps, torch.nan)

    mean_losses: dict[tuple[str, int], float] = {}
    for team, losses in zip(teams, threads.run_each(learn, teams, should_stop), strict=True):
        if losses is None:
            return None
        mean_losses |= {(one.arm, one.seed): loss for one, loss in zip(team.students, losses.tolist(), strict=True)}
    return mean_losses


def _pairs(students: Sequence[Student]) -> list[list[Student]]:
    """Group each student with the peer that follows it; a student without one is alone."""
    units: list[list[Student]] = []
    for student in students:
        if student.arm == PEER:
            units[-1].append(student)
        else:
            units.append([student])
    return units


def _chunks(units: list[list[tuple[Student, nn.Module]]]) -> Iterator[list[tuple[Student, nn.Module]]]:
    """Divide networks that can be stacked into parts of about the same size, with at most `MOST_STACKED` networks each.
    Within a part, every seed has equally many."""
    seeds = [list(same) for _, same in groupby(units, key=lambda unit: unit[0][0].seed)]
    width = len(units[0])
    arms = _even_size(len(seeds[0]), MOST_STACKED // width)
    seeds_per_part = _even_size(len(seeds), MOST_STACKED // (arms * width))
    for start in range(0, len(seeds[0]), arms):
        for first in range(0, len(seeds), seeds_per_part):
            part = seeds[first : first + seeds_per_part]
            yield [one for seed in part for unit in seed[start : start + arms] for one in unit]


def _even_size(count: int, most: int) -> int:
    """Divide `count` things evenly into as few parts of at most `most` as possible; return the size of a part."""
    parts = -(-count // max(1, most))
    return -(-count // parts)
