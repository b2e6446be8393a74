"""Numbers of FLOPs, worked out by hand."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from kdcore.experiments.bench import ceiling
from kdcore.machine.device import Device


def test_flops_worked_by_hand(exact: Device) -> None:
    sizes = ceiling.CeilingSizes("convnet-4", 8, 5, matrix=12, channels=8, conv_side=6, conv_batch=2)
    # Operations of one picture in the forward pass: 3x3 convolutions to 4, 8 and 16 channels on 8, 4 and 2 pixels, then
    # 16 channels in 2 x 2 places to 10 classes.
    layers = [2 * 9 * 3 * 4 * 64, 2 * 9 * 4 * 8 * 16, 2 * 9 * 8 * 16 * 4, 2 * 16 * 4 * 10]
    backward = 2 * sum(layers) - layers[0]  # for pictures and weights, but not for the input pictures
    assert ceiling.training_work(sizes, exact).flops == 5 * (sum(layers) + backward)
    assert ceiling.matrix_work(sizes, exact, torch.float32).flops == 2 * 12**3
    convolution = ceiling.convolution_work(sizes, exact, torch.float32)
    with FlopCounterMode(display=False) as counter:
        convolution.run_once()
    assert convolution.flops == counter.get_total_flops() == 3 * 2 * 9 * 2 * 36 * 8 * 8


def test_the_work_of_the_large_network() -> None:
    """The forward pass of Jordan's network by hand, layer by layer: its stages see 31, 15 and 7 pixels."""
    from kdcore.networks.registry import build_model, count_macs

    whiten = 31**2 * 12 * 24
    stages = [(24, 128, 31, 15), (128, 384, 15, 7), (384, 384, 7, 3)]
    macs = sum(9 * (a * b * first**2 + b * b * second**2) for a, b, first, second in stages)
    name = ceiling.CeilingSizes().model
    assert count_macs(build_model(name, (3, 32, 32), 10, seed=0), (3, 32, 32)) == whiten + macs + 384 * 10
