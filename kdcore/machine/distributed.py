"""Data-parallel training in several processes started by `torchrun`.

Each process takes its share of every batch, and `DistributedDataParallel` averages the gradients (Li et al. 2020,
"PyTorch Distributed"), so that the batch size is the recipe's however many processes there are. All processes draw the
same random numbers and use their own part of them, so that pictures, order and views are the same as in one process.

On CUDA, batch norm uses the statistics of the whole batch, as one process would. PyTorch offers this on no other
device: on the CPU each process normalises its own share, so the result of a network with batch norm differs slightly.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from kdcore.errors import ConfigError, KdError
from kdcore.machine.device import pick_device


class ProcessLost(KdError):
    """Another process of the same training ended or cannot be reached."""


@dataclass(frozen=True)
class World:
    """The processes that train one network together.

    Attributes:
        rank: the number of this process, from 0; only process 0 writes files and prints.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def command(self) -> str:
        """The start of a command line that runs `kdcore` in this many processes."""
        return "kdcore" if self.size == 1 else f"torchrun --nproc-per-node={self.size} -m kdcore"

    @property
    def share(self) -> slice:
        """The rows of a batch that this process computes."""
        return slice(self.rank, None, self.size)

    def weight(self, count: int) -> float:
        """Factor for the mean loss over this process's share of a batch of `count` pictures.

        With it, the average over processes equals the mean over the whole batch; it is 1 when all shares are equal.
        """
        return len(range(count)[self.share]) * self.size / count

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap `model`, which must be on its device already, so that gradients are averaged over the processes."""
        if self.size == 1:
            return model
        if next(model.parameters()).is_cuda:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model, forward_sync_buffers=False)

    def average_(self, *tensors: Tensor) -> None:
        """Replace each tensor by its mean over the processes; all processes get identical bits."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.size)

    def average_statistics_(self, model: nn.Module) -> None:
        """Average the running statistics of batch norm over the processes, so that they describe all pictures."""
        self.average_(*(b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))))

    def is_equal_everywhere(self, number: int, device: torch.device) -> bool:
        """Whether `number` is the same in every process; all processes must call this together."""
        if self.size == 1:
            return True
        extremes = torch.tensor([number, -number], device=device)  # their maxima are the largest and minus the smallest
        dist.all_reduce(extremes, dist.ReduceOp.MAX)
        return int(extremes[0]) == -int(extremes[1])


SINGLE_PROCESS = World()


@contextlib.contextmanager
def join(device: str = "auto") -> Iterator[World]:
    """Context that joins the processes which torchrun started; yields `SINGLE_PROCESS` without torchrun.

    On CUDA, each process uses the GPU whose number is its rank on this machine. When one process fails, all end: the
    first that notices raises the error, the others exit with status 1 and print nothing.

    Raises:
        ConfigError: the device does not exist here, or there are more processes than GPUs.
        ProcessLost: another process ended without reporting an error.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield SINGLE_PROCESS
        return
    store, rank, size = next(rendezvous("env://"))
    try:
        gpu = _select_gpu() if pick_device(device).torch.type == "cuda" else None
        backend = "gloo" if gpu is None else "nccl"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, device_id=gpu)
        yield World(rank, size)
        dist.barrier()  # process 0 may still be writing; all leave together
    except BaseException as error:
        # The group is not destroyed here: that could wait forever for a process that is gone.
        if store.add("kdcore.failed", 1) > 1:
            raise SystemExit(1) from error
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            raise ProcessLost(
                "Another process of this training ended or cannot be reached; start the same command again to go on "
                "after the last finished epoch."
            ) from error
        raise
    dist.destroy_process_group()


def _select_gpu() -> torch.device:
    """Select this process's GPU by its local rank, so that "cuda" means it from now on, and return it."""
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"torchrun started {os.environ['LOCAL_WORLD_SIZE']} processes here and this machine has {count} CUDA "
            f"devices; start as many as devices, or choose --device cpu."
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)
