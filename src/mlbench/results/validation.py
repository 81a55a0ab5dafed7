"""Values of runs on their validation part, and which run is best there. The test part is not looked at."""

import math
from collections.abc import Sequence

from mlbench.results.record import Brief


def on_validation(record: Brief) -> float | None:
    """A run's selection.metric on its validation part in its best epoch; None where no epoch has a value."""
    return record.selected.get("best", {}).get(record.config["selection"]["metric"])


def best_first(values: Sequence[float | None], *, low: bool) -> list[int]:
    """Indices of the values that are defined, the best first, of equals the earlier first.

    `low`: less is better. Values less than about 1e-9 apart are equal.
    """
    rounded = {
        index: round(value if low else -value, 9)
        for index, value in enumerate(values)
        if value is not None and math.isfinite(value)
    }
    return sorted(rounded, key=lambda index: (rounded[index], index))
