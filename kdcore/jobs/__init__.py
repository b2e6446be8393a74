"""The queue: who is next, who holds a run, the worker process, and what is cleaned up after it."""

from kdcore.jobs.checks import check
from kdcore.jobs.dispatcher import MAX_SETBACKS, SLOTS, advance, claim, runs_dir
from kdcore.jobs.machine_turn import Busy, turn
from kdcore.jobs.space import NoSpace
from kdcore.jobs.submit import (
    LOCAL_VISITOR,
    MAX_QUEUED,
    MAX_WAITING,
    CannotResume,
    QueueFull,
    TooManyRuns,
    cancel,
    follow,
    resume,
    submit,
    unfinished,
)
from kdcore.jobs.waiting_time import expected_wait, position

__all__ = [
    "LOCAL_VISITOR",
    "MAX_QUEUED",
    "MAX_SETBACKS",
    "MAX_WAITING",
    "SLOTS",
    "Busy",
    "CannotResume",
    "NoSpace",
    "QueueFull",
    "TooManyRuns",
    "advance",
    "cancel",
    "check",
    "claim",
    "expected_wait",
    "follow",
    "position",
    "resume",
    "runs_dir",
    "submit",
    "turn",
    "unfinished",
]
