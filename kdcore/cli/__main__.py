"""`python -m kdcore.cli`, where the command `kdcore` is not on the path."""

import sys

from kdcore.cli import main

sys.exit(main())
