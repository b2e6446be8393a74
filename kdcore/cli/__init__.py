"""The command line: `kdcore COMMAND`, for scripts, tests and benchmarks."""

from kdcore.cli.main import main

__all__ = ["main"]
