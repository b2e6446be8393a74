"""`python -m kdcore.worker RUN_ID`: the process that trains one run of the queue."""

import os
import sys

from kdcore.jobs.worker import main

if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)  # training uses every core; a lower priority keeps the pages responsive
    sys.exit(main())
