"""What the pages share: the shell, the visitor's state, caches, view-models, charts and components."""

from kdcore.threads import wait_asleep

wait_asleep()  # here, because every page imports this before anything that imports PyTorch
