"""The names of metrics by label frequency, known without torch."""

from collections.abc import Iterable

GROUPS = ("head", "middle", "tail")


def grouped(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The metrics of groups: their names → metric and group, for all metrics that are means over labels."""
    means = [name for name in names if "_macro" in name or name == "brier"]
    return {f"{name}_{group}": (name, group) for name in means for group in GROUPS}
