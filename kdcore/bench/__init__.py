"""How fast the engine is on this machine: beside a plain training loop, beside the machine's ceiling, and how it grows.

`kdcore bench`. Every figure is measured when it is asked for, in one process, and never beside a run of the queue.
"""
