"""The Dice coefficient of two segments on the same slices."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.unsignedinteger]


def dice(first: Numbers, first_number: int, second: Numbers, second_number: int) -> float | None:
    """Returns 2 |A ∩ B| / (|A| + |B|), slice by slice to save memory; None if both are empty.

    Both arrays are segment numbers (slice, row, column) on the same grid.
    """
    shared = total = 0
    for one, other in zip(first, second, strict=True):
        a, b = one == first_number, other == second_number
        shared += int(np.count_nonzero(a & b))
        total += int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return None if total == 0 else 2 * shared / total
