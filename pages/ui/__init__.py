"""Code that the pages share: their frame, the visitor's state, caches, view-models, charts and components."""

from kdcore.machine.threads import one_thread

one_thread()  # called here, because every page imports this package before it imports PyTorch
