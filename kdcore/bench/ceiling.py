"""How much of what this machine can compute a large network's training gets.

The ceiling is measured beside it: one large convolution and one large matrix product, which do nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kdcore.bench.clock import AT_LEAST, Say, steady, take_turns
from kdcore.convolutional import whiten_
from kdcore.device import Device
from kdcore.losses import hard_loss
from kdcore.models import build_model
from kdcore.optimizers import parameter_groups
from kdcore.views import to_float

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Sizes:
    """What is computed.

    Attributes:
        model, side, batch: the network that trains, on square pictures.
        matrix: side of the two matrices that are multiplied.
        channels, conv_side, conv_batch: of the one 3x3 convolution, as many channels in as out.
    """

    model: str = "airbench-128-384-384"
    side: int = 32
    batch: int = 512
    matrix: int = 4096
    channels: int = 384
    conv_side: int = 16
    conv_batch: int = 128
    at_least: float = AT_LEAST


@dataclass(frozen=True, eq=False)
class Work:
    """Something to compute, and how many floating-point operations that is (a product and a sum are two)."""

    do: Callable[[], object]
    flops: int


def training_work(sizes: Sizes, device: Device) -> Work:
    """One step of the network as a teacher learns: forward, backward, optimiser; FLOPs of forward and backward."""
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


def matrix_work(sizes: Sizes, device: Device, dtype: torch.dtype) -> Work:
    """One product of two square matrices: 2 n^3."""
    n = sizes.matrix
    left, right = (torch.randn(n, n, device=device.torch).to(dtype) for _ in range(2))
    out = torch.empty(n, n, device=device.torch, dtype=dtype)
    return Work(lambda: torch.mm(left, right, out=out), 2 * n**3)


def convolution_work(sizes: Sizes, device: Device, dtype: torch.dtype) -> Work:
    """One 3x3 convolution forward, and backward to its pictures and its kernels: three times as much.

    2 · 9 · B · S^2 · C^2 each, borders counted as if they had neighbours, as everybody counts them.
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


def measure_ceiling(device: Device, repeats: int, say: Say, sizes: Sizes = Sizes()) -> dict[str, Any]:
    """Tera floating-point operations a second of training and of the ceiling, medians over `repeats`, taking turns.

    `share` is training over the convolution: the network consists of convolutions, and what a library does with them
    at best is what it could reach. `matmul_tflops` and `conv_tflops` are in the precision that training has; the
    products in every precision that the processor has in hardware stand in `matmul_tflops_by_precision`.
    """
    say("ceiling: warming up")
    works = {"training": training_work(sizes, device)}
    precisions = sorted({device.precision, "fp32"})
    for precision in precisions:
        works[f"product {precision}"] = matrix_work(sizes, device, DTYPES[precision])
    works["convolution"] = convolution_work(sizes, device, DTYPES[device.precision])
    jobs = {name: steady(device, work.do, sizes.at_least) for name, work in works.items()}
    found = take_turns(jobs, repeats, lambda line: say(f"ceiling: {line}"))
    rates = {name: works[name].flops / timing.median / 1e12 for name, timing in found.items()}
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
