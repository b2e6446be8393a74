"""One thread for each process: set before PyTorch is imported, unless the environment already sets a number."""

from __future__ import annotations

import os
import subprocess
import sys

from kdcore.machine.threads import default_to_one_thread


def test_what_the_environment_says_stands() -> None:
    empty: dict[str, str] = {}
    default_to_one_thread(empty)
    assert empty == {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    decided = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "ACTIVE"}
    default_to_one_thread(decided)
    assert decided == {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "ACTIVE"}


def test_pytorch_begins_with_one_thread_on_the_pages_and_can_have_more() -> None:
    code = (
        "import sys, pages.ui; early = 'torch' in sys.modules; import torch; first = torch.get_num_threads(); "
        "torch.set_num_threads(2); print(early, first, torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    assert done.stdout.split() == ["False", "1", "2"]
