"""The order in which legends, tables and charts list the arms of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The teacher, then the students, the best taught first.
ARM_ORDER = ("teacher", "posterior", "distilled", "baseline")


def arms_in_order(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Sort a mapping by arm into the order of `ARM_ORDER`; other arms (controls) come last, in the order given."""
    names = [*(arm for arm in ARM_ORDER if arm in arms), *(arm for arm in arms if arm not in ARM_ORDER)]
    return {arm: arms[arm] for arm in names}
