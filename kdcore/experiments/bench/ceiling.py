"""The rate at which a large network trains, as a share of the rate that this machine can reach (the ceiling).

The ceiling is measured in the same session, on one large convolution and one large matrix product by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kdcore.experiments.bench.clock import MIN_SECONDS, ProgressCallback, measure_in_turns, warmed_measurement
from kdcore.machine.device import Device
from kdcore.methods.losses import hard_loss
from kdcore.networks.convolutional import whiten_
from kdcore.networks.optimizers import parameter_groups
from kdcore.networks.registry import build_model
from kdcore.pictures.views import to_float

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class CeilingSizes:
    """The sizes of the three computations.

    Attributes:
        model: the network whose training is timed.
        side: side of its square pictures, in pixels.
        batch: pictures per training step.
        matrix: side of the two square matrices that are multiplied.
        channels, conv_side, conv_batch: channels (as many in as out), side and batch size of the one 3x3 convolution.
        min_seconds: seconds that one measurement lasts at least.
    """

    model: str = "airbench-128-384-384"
    side: int = 32
    batch: int = 512
    matrix: int = 4096
    channels: int = 384
    conv_side: int = 16
    conv_batch: int = 128
    min_seconds: float = MIN_SECONDS


@dataclass(frozen=True, eq=False)
class Work:
    """A computation and its number of floating-point operations.

    Attributes:
        run_once: runs the computation once.
        flops: its operations; a multiplication and an addition count as two.
    """

    run_once: Callable[[], object]
    flops: int


def training_work(sizes: CeilingSizes, device: Device) -> Work:
    """Return one training step as teachers are trained: forward, backward and optimiser.

    Its operations are counted in the forward and the backward pass only.
    """
    model = build_model(sizes.model, (3, sizes.side, sizes.side), 10, seed=0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (sizes.batch, 3, sizes.side, sizes.side), generator=generator, dtype=torch.uint8)
    hard_labels = torch.randint(10, (sizes.batch,), generator=generator).to(device.torch)
    whiten_(model, to_float(images))
    device.place(model).train()
    images = images.to(device.torch)
    optimizer = torch.optim.SGD(parameter_groups(model, 1e-4), lr=1e-3, momentum=0.9, nesterov=True, fused=True)

    def learn() -> None:
        batch = to_float(images).contiguous(memory_format=torch.channels_last)
        with device.autocast():
            logits = model(batch)
        loss = hard_loss(logits, hard_labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        learn()
    return Work(learn, int(counter.get_total_flops()))


def matrix_work(sizes: CeilingSizes, device: Device, dtype: torch.dtype) -> Work:
    """Return one product of two square matrices of side n: 2 n^3 operations."""
    n = sizes.matrix
    left, right = (torch.randn(n, n, device=device.torch).to(dtype) for _ in range(2))
    out = torch.empty(n, n, device=device.torch, dtype=dtype)
    return Work(lambda: torch.mm(left, right, out=out), 2 * n**3)


def convolution_work(sizes: CeilingSizes, device: Device, dtype: torch.dtype) -> Work:
    """Return one 3x3 convolution: the forward pass, and the gradients of its pictures and of its kernels.

    Each of the three takes 2 · 9 · B · S^2 · C^2 operations for B pictures of side S with C channels. As is usual,
    padded borders are counted like the inside.
    """
    c, s, b = sizes.channels, sizes.conv_side, sizes.conv_batch

    def random(*shape: int) -> Tensor:
        values = torch.randn(shape, device=device.torch).to(dtype)
        return values.contiguous(memory_format=torch.channels_last)

    pictures, kernels, gradient = random(b, c, s, s), random(c, c, 3, 3), random(b, c, s, s)
    pictures.requires_grad_()
    kernels.requires_grad_()

    def convolve() -> None:
        torch.autograd.grad(F.conv2d(pictures, kernels, padding=1), (pictures, kernels), gradient)

    return Work(convolve, 3 * 2 * 9 * b * s**2 * c**2)


def measure_ceiling(
    device: Device, repeats: int, on_progress: ProgressCallback, sizes: CeilingSizes = CeilingSizes()
) -> dict[str, Any]:
    """Measure training and the ceiling in turns; rates are 10^12 operations per second, medians over `repeats`.

    Returns:
        `share` is the training rate divided by the convolution's: the network consists of convolutions, so the rate of
        one large convolution is the most it could reach. `matmul_tflops` and `conv_tflops` are in the precision of the
        training; `matmul_tflops_by_precision` has the matrix product in that precision and in fp32. `tflops_range`
        has the least and the most of every rate.
    """
    on_progress("ceiling: warming up")
    works = {"training": training_work(sizes, device)}
    precisions = sorted({device.precision, "fp32"})
    for precision in precisions:
        works[f"product {precision}"] = matrix_work(sizes, device, DTYPES[precision])
    works["convolution"] = convolution_work(sizes, device, DTYPES[device.precision])
    jobs = {name: warmed_measurement(device, work.run_once, sizes.min_seconds) for name, work in works.items()}
    found = measure_in_turns(jobs, repeats, lambda line: on_progress(f"ceiling: {line}"))
    rates = {name: works[name].flops / timing.median / 1e12 for name, timing in found.items()}
    # The longest time gives the lowest rate, so the range of the times is turned round.
    spread = {name: [works[name].flops / s / 1e12 for s in timing.range[::-1]] for name, timing in found.items()}
    return {
        "share": rates["training"] / rates["convolution"],
        "train_tflops": rates["training"],
        "matmul_tflops": rates[f"product {device.precision}"],
        "conv_tflops": rates["convolution"],
        "precision": device.precision,
        "matmul_tflops_by_precision": {precision: rates[f"product {precision}"] for precision in precisions},
        "images_per_second": sizes.batch / found["training"].median,
        "model": sizes.model,
        "batch_size": sizes.batch,
        "flops_per_step": works["training"].flops,
        "tflops_range": spread,
    }
