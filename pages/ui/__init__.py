"""What the pages share: the shell, the visitor's state, caches, view-models, charts and components."""
