"""The names of metrics by label frequency, and of those of the top k for any k, known without torch."""

from collections.abc import Collection, Iterable

GROUPS = ("head", "middle", "tail")


def grouped(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The metrics of groups: their names → metric and group, for all metrics that are means over labels."""
    means = [name for name in names if "_macro" in name or name == "brier"]
    return {f"{name}_{group}": (name, group) for name in means for group in GROUPS}


def at_depth(name: str, known: Collection[str]) -> tuple[str, int] | None:
    """The family and the k of a metric of the top k, be it among the known names or not: ndcg, 10 of
    `ndcg_at_10`; None for any other name.
    """
    family, _, k = name.rpartition("_at_")
    counts = k.isascii() and k.isdecimal() and not k.startswith("0") and len(k) < 10
    return (family, int(k)) if counts and f"{family}_at_3" in known else None
