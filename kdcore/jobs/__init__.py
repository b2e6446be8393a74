"""The queue of runs.

Here stand the order in which runs start, the lease by which one process holds a run, the worker process that trains it,
and what is deleted once a run has ended.
"""

from kdcore.jobs.checks import check_can_run
from kdcore.jobs.dispatcher import MAX_SETBACKS, SLOTS, advance, claim, runs_dir
from kdcore.jobs.machine_turn import MachineBusy, reserve_machine
from kdcore.jobs.space import NoSpace
from kdcore.jobs.submit import (
    LOCAL_VISITOR,
    MAX_QUEUED,
    MAX_UNFINISHED,
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
    "MAX_UNFINISHED",
    "SLOTS",
    "CannotResume",
    "MachineBusy",
    "NoSpace",
    "QueueFull",
    "TooManyRuns",
    "advance",
    "cancel",
    "check_can_run",
    "claim",
    "expected_wait",
    "follow",
    "position",
    "reserve_machine",
    "resume",
    "runs_dir",
    "submit",
    "unfinished",
]
