"""What is packed into tensor files goes on as it was."""

from __future__ import annotations

import torch

from kdcore.machine.tensor_files import pack_optimizer, unpack_optimizer


def test_the_optimiser_of_a_convnet_goes_on_with_the_step_that_it_would_have_taken() -> None:
    """Kernels are in channels_last order in memory. A file does not keep this order, and a fused optimiser step relies
    on it."""
    generator, after = torch.Generator().manual_seed(0), []
    gradients = [torch.randn(4, 3, 3, 3, generator=generator) for _ in range(2)]
    for interrupted in (False, True):
        kernel = torch.nn.Parameter(torch.ones(4, 3, 3, 3).to(memory_format=torch.channels_last))
        optimizer = torch.optim.AdamW([kernel], lr=0.1, fused=True)
        for gradient in gradients:
            kernel.grad = torch.empty_like(kernel).copy_(gradient)
            optimizer.step()
            if interrupted:
                kept = {name: value.contiguous() for name, value in pack_optimizer(optimizer, "o.").items()}
                optimizer = torch.optim.AdamW([kernel], lr=0.1, fused=True)
                unpack_optimizer(optimizer, kept, "o.")
        after.append(kernel.detach().clone())
    assert torch.equal(*after)
