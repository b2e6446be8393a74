"""One training on several processes, which `torchrun` starts: who takes which pictures, and who writes.

Each process takes its share of every batch, and `DistributedDataParallel` averages their gradients (Li et al. 2020,
"PyTorch Distributed"): a batch, and with it the result, stays the recipe's. All draw the same random numbers and use
their own part of them, so that pictures, order and views are those of one process.

Batch norm on CUDA uses the statistics of the whole batch, as one process would. PyTorch has that for no other
device: on the CPU each process normalises its share alone, and a network with batch norm comes out a little different.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kdcore.device import pick_device
from kdcore.errors import ConfigError, KdError


class ProcessLost(KdError):
    """Another process of the same training has ended."""


@dataclass(frozen=True)
class World:
    """The processes that train one network together.

    Attributes:
        rank: which of them this is, from 0; that one writes and prints for all.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def command(self) -> str:
        """How so many processes of `kdcore` are started."""
        return "kdcore" if self.size == 1 else f"torchrun --nproc-per-node={self.size} -m kdcore"

    @property
    def share(self) -> slice:
        """This process's part of a batch."""
        return slice(self.rank, None, self.size)

    def weight(self, count: int) -> float:
        """What the mean over this share of `count` counts, so that the processes' average is the mean over all;
        exactly 1 when the shares are equal."""
        return len(range(count)[self.share]) * self.size / count

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model`, which is on its device, as one that averages gradients over the processes."""
        if self.size == 1:
            return model
        if next(model.parameters()).is_cuda:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model, forward_sync_buffers=False)

    def average_(self, *tensors: Tensor) -> None:
        """Put the mean over the processes into each tensor, the same bits everywhere."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.size)

    def average_statistics_(self, model: nn.Module) -> None:
        """Let the running statistics of batch norm be those of all pictures, not of this process's."""
        self.average_(*(b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))))

    def agrees(self, number: int, device: torch.device) -> bool:
        """Whether every process has this very number."""
        if self.size == 1:
            return True
        ends = torch.tensor([number, -number], device=device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return int(ends[0]) == -int(ends[1])


ALONE = World()


@contextlib.contextmanager
def join(device: str = "auto") -> Iterator[World]:
    """The processes that torchrun started this one with; `ALONE` without torchrun.

    On CUDA each process gets the device of its number on its machine. When one fails, all end, and the first to know
    says why: it raises, the others leave with status 1 and no word.

    Raises:
        ConfigError: a device that is not here, or more processes than devices.
        ProcessLost: another process ended without a word.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    try:
        gpu = _own_gpu() if pick_device(device).torch.type == "cuda" else None
        backend = "gloo" if gpu is None else "nccl"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, device_id=gpu)
        yield World(rank, size)
        dist.barrier()  # the first one still writes; all leave together
    except BaseException as error:
        # No farewell to the group: it could wait for a process that is gone.
        if store.add("kdcore.failed", 1) > 1:
            raise SystemExit(1) from error
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            raise ProcessLost(
                "Another process of this training ended or cannot be reached; start the same command again to go on "
                "after the last finished epoch."
            ) from error
        raise
    dist.destroy_process_group()


def _own_gpu() -> torch.device:
    """The CUDA device of this process, from now on the one that "cuda" means."""
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"torchrun started {os.environ['LOCAL_WORLD_SIZE']} processes here and this machine has {count} CUDA "
            f"devices; start as many as devices, or choose --device cpu."
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)
