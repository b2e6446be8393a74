"""A team: students that are trained in one computation, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdcore.machine.device import Device
from kdcore.methods.method import Method
from kdcore.methods.registry import total_loss
from kdcore.networks.dropout import set_dropout_generator
from kdcore.networks.inference import predict_logits
from kdcore.networks.optimizers import one_cycle, parameter_groups
from kdcore.networks.stacked import StackedNetwork
from kdcore.pictures.views import to_float
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.states import State, find_state, pack_state, restore_state
from kdcore.training.students import Schedule, Student, student_keys

DROPOUT_SEED_OFFSET = 300_000_007  # keeps the seeds of dropout apart from those of the pictures' order and views


_Key = tuple[int, int, int]


class _MethodGroup(NamedTuple):
    """The m students of a team that share a method, prepared so that their losses are computed at once.

    A key stands for what a student learns from: its seed, its hard labels and its teacher logits. Students with the
    same key get the same labels and logits in every batch, which are then looked up only once.

    Attributes:
        sources: for each different key, one student that has it.
        keys: the key of each student, m in all.
        settings: the numbers among the settings by name, each [m].
        places: indices of these students in the team, int64 [m]; they are kept on the device, because moving them there
            in every step would make it wait.
    """

    method: Method
    sources: dict[_Key, Student]
    keys: list[_Key]
    settings: dict[str, Tensor]
    places: Tensor


class _OneByOne(nn.Module):
    """Networks that are not stacked: they are computed one after the other, on the same pictures."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, pictures: Tensor) -> Tensor:  # [B, C, H, W] -> [B, M, K]
        return torch.stack([network(pictures) for network in self.networks], 1)

    def states(self) -> list[dict[str, Tensor]]:
        return self.split(self.state_dict())

    def split(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """As `StackedNetwork.split`."""
        states: list[dict[str, Tensor]] = [{} for _ in self.networks]
        for key, value in tensors.items():
            _, number, name = key.split(".", 2)
            states[int(number)][name] = value.detach().clone()
        return states

    def join(self, states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """As `StackedNetwork.join`."""
        return {f"networks.{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}

    def finite(self) -> Tensor:
        values = [list(network.state_dict().values()) for network in self.networks]
        return torch.stack([torch.stack([value.isfinite().all() for value in each]).all() for each in values])


class Team:
    """Students that are trained in one computation.

    Args:
        students: the students, with their transfer sets on the device. Those that see the same pictures stand next to
            each other, and every source of pictures (a seed and a kind of transfer set) must have equally many of them.
        networks: the network of each student.
        stacked: whether the networks are computed as one `StackedNetwork`, which must be possible.
        feature_loss: the feature loss of a team's only student, if its method has one.
    """

    def __init__(
        self,
        students: Sequence[Student],
        networks: Sequence[nn.Module],
        schedule: Schedule,
        device: Device,
        stacked: bool,
        feature_loss: FeatureLoss | None = None,
    ) -> None:
        self.students = tuple(students)
        self.schedule, self.device, self.feature_loss = schedule, device, feature_loss
        channels = students[0].transfer_set.images.shape[1]
        self.network: StackedNetwork | _OneByOne
        self.network = StackedNetwork(networks, channels) if stacked else _OneByOne(networks)
        device.place(self.network)
        self._dropout_generator = torch.Generator(device.torch)
        set_dropout_generator(self.network, self._dropout_generator)
        adapters = [] if feature_loss is None else [device.place(feature_loss.adapter)]
        modules = nn.ModuleList([self.network, *adapters])
        recipe = schedule.recipe
        groups = parameter_groups(modules, recipe.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        # One student for each source of pictures, which is a seed and a kind of transfer set.
        self.sources = list({(one.seed, one.transfer_set.kind): one for one in self.students}.values())
        self._method_groups = list(_by_method(self.students, device))
        # Brings losses in the order of the groups back into the order of the team.
        self._team_order = torch.cat([group.places for group in self._method_groups]).argsort()

    def learn(self, order: dict[int, Tensor], view: dict[int, Tensor], progress: float) -> Tensor:
        """Train all students by one step and return the loss of each, [M], on the device.

        Args:
            order: for each seed, the batch's indices into the transfer set, int64 [B].
            view: for each seed, the number of the view of each of these pictures, int64 [B].
            progress: share of the training that is done, 0 to 1.
        """
        pictures = self._pictures(order, view)
        # Dropout depends on seed and step only, so that it is the same in every arm of a seed, and after a restart from
        # a checkpoint. A team of networks with dropout has one seed, because these networks cannot be stacked.
        step = round(progress * self.schedule.epochs * self.schedule.steps)
        self._dropout_generator.manual_seed(self.students[0].seed * 1_000_003 + step + DROPOUT_SEED_OFFSET)
        if not self.network.training:
            self.network.train()
        with self.device.autocast():
            logits = self.network(pictures)  # [B, M, K]
        losses = self._losses(logits.float().transpose(0, 1), order, view)
        total = losses.sum()
        if self.feature_loss is not None:
            total = losses = self.feature_loss.add_to(total, pictures, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.recipe.learning_rate * one_cycle(progress)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return losses.detach().view(-1)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of every student: uint8 [N, C, H, W] -> float32 [M, N, K] on the CPU."""
        batch_size = 256 if len(self.students) == 1 else 64
        return predict_logits(self.network, images, self.device, batch_size).transpose(0, 1)

    def states(self) -> list[dict[str, Tensor]]:
        """Return the state dict of each student's network, as the network would have it outside the team."""
        return self.network.states()

    def finite(self) -> Tensor:
        """Whether all weights of each student are finite numbers, bool [M], on the device."""
        return self.network.finite()

    def state_tensors(self) -> dict[str, Tensor]:
        """Return everything needed to resume training: the weights and the optimiser's state. Randomness needs no
        state, because it is seeded anew in every step and epoch.

        Each name begins with the arm and the seed of its student, so that no student gets another one's state.
        """
        return pack_state(student_keys(self.students), self.network, self._adapter, self.optimizer)

    def read_state(self, tensors: Mapping[str, Tensor]) -> State:
        """Find the state of this team's students, which `state_tensors` returned, perhaps among other students'.

        Raises:
            StateMissing: a student's state is missing or has other shapes.
        """
        return find_state(tensors, student_keys(self.students), self.network, self._adapter)

    def restore_state(self, state: State) -> None:
        """Restore what `read_state` found."""
        restore_state(state, self.network, self._adapter, self.optimizer)

    @property
    def _adapter(self) -> nn.Module:
        return nn.Identity() if self.feature_loss is None else self.feature_loss.adapter

    def _pictures(self, order: dict[int, Tensor], view: dict[int, Tensor]) -> Tensor:
        """One batch from each of the G sources of pictures, their channels side by side, float [B, G * C, H, W] in
        channels_last order."""
        views, parts = self.schedule.views, []
        for _, same in groupby(self.sources, key=lambda student: id(student.transfer_set.images)):
            students = list(same)
            rows = torch.cat([one.transfer_set.rows[order[one.seed]] for one in students])
            view_of_row = torch.cat([view[one.seed] for one in students])
            parts.append(views.apply_each(students[0].transfer_set.images[rows], view_of_row))
        images = torch.cat(parts) if len(parts) > 1 else parts[0]  # [G * B, C, H, W]
        groups, (channels, *size) = len(self.sources), images.shape[1:]
        pictures = to_float(images).view(groups, -1, channels, *size).transpose(0, 1)
        return pictures.reshape(-1, groups * channels, *size).contiguous(memory_format=torch.channels_last)

    def _losses(self, logits: Tensor, order: dict[int, Tensor], view: dict[int, Tensor]) -> Tensor:
        """The loss of each student, from logits [M, B, K]: [M]."""
        parts = []
        for method, sources, keys, settings, places in self._method_groups:
            own_logits = logits if len(keys) == len(self.students) else logits[places]
            targets = {
                key: batch_targets(one, order[one.seed], view[one.seed], logits[0]) for key, one in sources.items()
            }
            hard_labels, teacher_logits = (
                torch.stack(part) for part in zip(*(targets[key] for key in keys), strict=True)
            )
            if method.has_peer:
                teacher_logits = logits.detach()[_partners(places)]
            loss = partial(total_loss, method)
            parts.append(torch.func.vmap(loss)(own_logits, teacher_logits, hard_labels, settings))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts)[self._team_order]


def _by_method(students: Sequence[Student], device: Device) -> Iterator[_MethodGroup]:
    """Group the students by method and by the number of teachers whose logits they get apart, and make one tensor of
    each setting of a group."""
    kinds = [(one.objective.method.name, one.transfer_set.members) for one in students]
    for kind in dict.fromkeys(kinds):
        places = [place for place, other in enumerate(kinds) if other == kind]
        members = [students[place] for place in places]
        numbers = [student.objective.numbers() for student in members]
        settings = {key: torch.tensor([one[key] for one in numbers], device=device.torch) for key in numbers[0]}
        keys = [(one.seed, id(one.transfer_set.hard_labels), id(one.transfer_set.teacher_logits)) for one in members]
        sources = dict(zip(keys, members, strict=True))
        method = members[0].objective.method
        yield _MethodGroup(method, sources, keys, settings, torch.tensor(places, device=device.torch))


def _partners(places: Tensor) -> Tensor:
    """Return for students that learn in pairs the places of their partners in the team: places 0 and 1 are a pair, 2
    and 3 are the next one, and so on.

    Args:
        places: places in the team, int64 [m].
    """
    return torch.where(places % 2 == 0, places + 1, places - 1)


def batch_targets(student: Student, order: Tensor, view: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the hard labels [B] and the teacher logits [B, K] (or [B, members, K]) of a batch.

    Without a teacher the logits are zeros, and the distill loss has the weight 0. Without hard labels the teacher's
    predicted classes take their place, for distill losses that need a label; the hard loss has the weight 0.

    Args:
        order, view: the batch's indices into the transfer set and their views, int64 [B].
        like: logits of a student [B, K], whose shape and device the zeros get.
    """
    pictures = student.transfer_set
    if pictures.teacher_logits is None:
        teacher_logits = torch.zeros_like(like)
    else:
        teacher_logits = pictures.teacher_logits[view, order].float()
    hard_labels = teacher_logits.argmax(-1) if pictures.hard_labels is None else pictures.hard_labels[order]
    return hard_labels, teacher_logits
