"""What few test pictures allow: how many an interval and a calibration error need, and variances that are never 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FEWEST_PICTURES = 10  # with fewer test pictures, nothing is claimed
ECE_BINS = 15  # most bins of the expected calibration error (ECE)
PICTURES_A_BIN = 20  # smaller bins often have no variance, and the ECE of a calibrated model is then above 0


def ece_bins(pictures: int) -> int:
    """Return the number of bins for the ECE of so many pictures; 0 if they are too few for one."""
    return min(ECE_BINS, pictures // PICTURES_A_BIN)


@dataclass(frozen=True)
class AddedPictures:
    """Pictures that are counted in a variance over pictures beside the measured ones.

    If all measured pictures have the same value, as those of a network that is always right, their variance is 0. But
    among other pictures there may be wrong ones. With these pictures added, the variance is above 0.

    Attributes:
        n: how many are added.
        total: the sum of their values.
        squares: the sum of the squares of their values.
    """

    n: float
    total: float
    squares: float

    def mean_and_variance(self, values: Tensor) -> tuple[float, float]:
        """Return the mean of `values` ([N], one for each picture) and the added pictures, and the variance of that mean
        due to the sampling of the pictures."""
        n = len(values) + self.n
        mean = (float(values.sum()) + self.total) / n
        return mean, ((float(values.square().sum()) + self.squares) / n - mean**2) / n


# For the difference of two networks: half a picture in each of the four outcomes, both right (0), only one of them (1),
# only the other (-1), and none (0) (Agresti and Min 2005).
ADDED_TO_DIFFERENCE = AddedPictures(2, total=0, squares=1)


def added_between(low: float, high: float) -> AddedPictures | None:
    """Return the pictures to add for a quantity that lies between `low` and `high` for every picture; None if a bound
    is infinite, because then nothing is known of the values that other pictures have."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    if low == -high:
        return AddedPictures(ADDED_TO_DIFFERENCE.n, 0, ADDED_TO_DIFFERENCE.squares * high**2)
    return AddedPictures(4, 2 * (low + high), 2 * (low**2 + high**2))  # two at each end (Agresti and Coull 1998)
