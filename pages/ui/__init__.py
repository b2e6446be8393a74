"""What the pages share: the shell, the visitor's state, caches, view-models, charts and components."""

from kdcore.threads import one_thread

one_thread()  # here, because every page imports this before anything that imports PyTorch
