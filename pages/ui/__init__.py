"""Code that the pages share: their frame, the visitor's state, caches, view-models, charts and components."""

from kdcore.machine.threads import default_to_one_thread

default_to_one_thread()  # called here, because every page imports this package before it imports PyTorch
