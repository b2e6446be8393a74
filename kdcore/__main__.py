"""`python -m kdcore`, where the command `kdcore` is not on the path; also what `torchrun -m kdcore` starts."""

import sys

from kdcore.cli import main

sys.exit(main())
