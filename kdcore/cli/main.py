"""The command line: `kdcore COMMAND`, for scripts, tests and benchmarks.

Every command returns its answer both as data and as text. With `--json` the data are printed, else the text, always
as a whole at the end. Exit status: 0 for success, 2 for bad usage or bad input, 1 for any other failure. An error is
one line on standard error.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from kdcore.cli.parser import UsageError, build_parser
from kdcore.errors import ConfigError, DatasetUnavailable, KdError, PictureError, RunNotFound, TeacherUnavailable

BAD_INPUT = (UsageError, ConfigError, DatasetUnavailable, PictureError, RunNotFound, TeacherUnavailable)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # libraries' warnings are for developers, not for users of a command
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # escape what the terminal cannot encode instead of failing
    try:
        options = build_parser().parse_args(arguments)
        module, function = options.command.split(".")
        # Imported only now, so that `--help` and usage errors do not wait for slow imports.
        answer = getattr(importlib.import_module(f"kdcore.cli.{module}"), function)(options)
        if answer is not None:  # None in all but one of several processes started by torchrun
            print(answer.to_json() if options.json else answer.text)
            sys.stdout.flush()
        return 0
    except KdError as error:
        return _fail(str(error), 2 if isinstance(error, BAD_INPUT) else 1)
    except KeyboardInterrupt:
        return _fail("stopped.", 1)
    except BrokenPipeError:  # the reading program, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("KDCORE_DEBUG"):
            traceback.print_exc()
        return _fail(f"unexpected error ({type(error).__name__}: {error}); KDCORE_DEBUG=1 shows where.", 1)


def _fail(sentence: str, status: int) -> int:
    print(f"kdcore: {' '.join(sentence.split())}", file=sys.stderr)
    return status
