"""`python -m kdcore.worker RUN_ID`: the process that trains one run of the queue.

With `--spare` instead of a run it waits until it is given one, and ends when its standard input does.
"""

import os
import sys

from kdcore.jobs import spare_process, worker
from kdcore.jobs.spawn import SPARE_FLAG

if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)  # training uses every core; a lower priority keeps the pages responsive
    sys.exit(spare_process.main() if sys.argv[1:] == [SPARE_FLAG] else worker.main())
