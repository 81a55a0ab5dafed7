"""What runs had on their validation part, and which of several is best there. The test part has no say."""

import math
from collections.abc import Sequence

from mlbench.results.record import Record


def on_validation(record: Record) -> float | None:
    """By selection.metric, in the epoch that is best by it; None where no epoch has such a value."""
    return record.selected.get("best", {}).get(record.config["selection"]["metric"])


def best_first(values: Sequence[float | None], *, low: bool) -> list[int]:
    """Places of the values that are defined, the best first, the earlier of equals before.

    `low`: less is better. Values less than about 1e-9 apart are equal.
    """
    rounded = {
        place: round(value if low else -value, 9)
        for place, value in enumerate(values)
        if value is not None and math.isfinite(value)
    }
    return sorted(rounded, key=lambda place: (rounded[place], place))
