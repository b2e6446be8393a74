"""Run the command line as `python -m kdcore.cli`, for when the command `kdcore` is not on the path."""

import sys

from kdcore.cli.main import main

sys.exit(main())
