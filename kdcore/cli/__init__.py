"""The command line: `kdcore COMMAND`, for scripts, tests and benchmarks.

Every command returns its answer as data and as text; `--json` decides which of the two is printed, whole, at the
end. Exit status: 0 done, 2 bad usage or bad input, 1 anything else; an error is one line on standard error.
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
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # an error is one line; warnings of libraries are for developers
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is no error
    try:
        options = build_parser().parse_args(arguments)
        module, function = options.command.split(".")
        # Imported only now, so that help and bad usage answer at once.
        answer = getattr(importlib.import_module(f"kdcore.cli.{module}"), function)(options)
        if answer is not None:  # else another process gives it
            print(answer.to_json() if options.json else answer.text)
            sys.stdout.flush()
        return 0
    except KdError as error:
        return _fail(str(error), 2 if isinstance(error, BAD_INPUT) else 1)
    except KeyboardInterrupt:
        return _fail("stopped.", 1)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("KDCORE_DEBUG"):
            traceback.print_exc()
        return _fail(f"unexpected error ({type(error).__name__}: {error}); KDCORE_DEBUG=1 shows where.", 1)


def _fail(sentence: str, status: int) -> int:
    print(f"kdcore: {' '.join(sentence.split())}", file=sys.stderr)
    return status
