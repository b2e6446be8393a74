"""The benchmark `kdcore bench`: how fast the engine is on this machine.

It compares the engine with a plain training loop and with the machine's peak rate, and measures how the cost of a run
grows. Every figure is measured when it is asked for, in one process, while no run of the queue trains.
"""
