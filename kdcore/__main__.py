"""Run the command line as `python -m kdcore`, where `kdcore` is not on the path, or as `torchrun -m kdcore`."""

import sys

from kdcore.cli.main import main

sys.exit(main())
