"""torchvision is imported whether or not its compiled operators load."""

from __future__ import annotations

import subprocess
import sys

USE = """
import torch
from kdcore.machine.torchvision_import import SCHEMA_LIBRARY, transforms
small = transforms.resize(torch.full((1, 3, 40, 40), 7, dtype=torch.uint8), [8, 8], antialias=True)
assert small.shape == (1, 3, 8, 8) and int(small.max()) == 7
from torchvision import models, datasets
assert hasattr(models, "resnet50") and hasattr(datasets, "CIFAR10")
"""

WITHOUT = """
import torch
def refuse(path): raise OSError("these operators were built for another torch")
torch.ops.load_library = refuse
"""

# What the compiled library does when it loads: it defines the operators itself. A second definition would fail.
WITH = """
import torch
OPERATORS = "nms qnms roi_align _roi_align_backward ps_roi_align _ps_roi_align_backward roi_pool _roi_pool_backward"
OPERATORS += " ps_roi_pool _ps_roi_pool_backward qroi_align deform_conv2d _deform_conv2d_backward"
def load(path):
    global library
    if "_C" in path and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS.split():
            library.define(name + "(Tensor x) -> Tensor")
        library.define("_cuda_version() -> int")
        library.impl("_cuda_version", lambda: -1, "CompositeExplicitAutograd")
torch.ops.load_library = load
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_without_the_compiled_operators_their_names_are_declared() -> None:
    done = run(WITHOUT + USE + "assert SCHEMA_LIBRARY is not None")
    assert done.returncode == 0, done.stderr


def test_the_plain_import_fails_without_them_so_the_declaration_is_needed() -> None:
    done = run(WITHOUT + "import torchvision")
    assert "torchvision::nms does not exist" in done.stderr


def test_where_the_operators_load_nothing_is_declared() -> None:
    done = run(WITH + USE + "assert SCHEMA_LIBRARY is None")
    assert done.returncode == 0, done.stderr
