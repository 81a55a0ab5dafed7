"""A paper's table of data sets, counted anew: every printed statistic beside what the same files hold.

Reads files that are here, in MLBENCH_DATA or among the downloads, and downloads none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlbench.compose import config_dir, content
from mlbench.config import options, target
from mlbench.data.datasets import Loaded
from mlbench.data.instances import statistics
from mlbench.data.sources import find
from mlbench.tables import published
from mlbench.tables.ranks import half_up
from mlbench.tables.spec import Statistics

Verdict = Literal["agrees", "differs", "not run"]

# Why there is no number of ours.
DATA = "data"
NO_PART = "no such official part"
NOT_COUNTABLE = "not countable"

OFFICIAL = {"train": "train", "validation": "val", "test": "test"}  # part → what its statistics are called
OF_PARTS = frozenset(f"{statistic}_{part}" for statistic in ("n", "avg_labels") for part in OFFICIAL.values())
OF_FEATURES = frozenset({"n_features", "n_modalities", "modality_dims"})
OF_LABELS = frozenset({"n_instances", "n_labels", "n_label_sets", "avg_labels"})


@dataclass(frozen=True)
class Counted:
    """One statistic of one data set. `ours` is exact; the verdict is on as many digits as are printed."""

    dataset: str  # its name in the published numbers
    source: str | None  # our name of the data set
    statistic: str
    printed: str
    ours: int | float | str | None
    reason: str = ""  # why `ours` is None
    files: Mapping[str, str] = field(default_factory=dict)  # role → SHA-256

    @property
    def rounded(self) -> str | None:
        """Our number with as many decimals as the printed one."""
        if self.ours is None or isinstance(self.ours, str):
            return self.ours
        decimals = len(self.printed.partition(".")[2])
        return f"{half_up(self.ours, decimals):.{decimals}f}"

    @property
    def verdict(self) -> Verdict:
        if self.ours is None:
            return "not run"
        return "agrees" if self.rounded == self.printed else "differs"


def count(spec: Statistics, cache: Path) -> list[Counted]:
    """Every cell of the published table, in its order."""
    return [
        cell
        for dataset, printed in published.statistics(spec.published).items()
        for cell in _cells(dataset, spec.datasets[dataset], printed, cache)
    ]


def _cells(dataset: str, source: str | None, printed: Mapping[str, str], cache: Path) -> list[Counted]:
    described = _described(source) if source else None
    if described is None or not _here(described, cache):
        ours, files = None, {}
    else:
        ours, files = _counts(described.load(cache)), described.identity(cache).get("files", {})
    return [
        Counted(dataset, source, name, value, (ours or {}).get(name), _why_not(name, ours), files)
        for name, value in printed.items()
    ]


def _described(source: str) -> Any:
    """The data set as conf/dataset has it."""
    node = content(config_dir() / "dataset" / f"{source}.yaml")
    node.pop("defaults", None)
    return target(node)(**options(node))


def _here(dataset: Any, cache: Path) -> bool:
    """Whether all files are on this machine; `absent` of a data set counts files that can be downloaded."""
    return all(find(file, dataset.folder, cache) for file in getattr(dataset, "files", {}).values())


def _counts(loaded: Loaded) -> dict[str, int | float | str]:
    """What can be counted, by the names of the published statistics."""
    instances, labels_on = loaded.instances, loaded.instances.targets.sum(axis=1)
    whole = statistics(instances)
    counts = {
        "n_instances": whole["instances"],
        "n_labels": whole["labels"],
        "n_label_sets": whole["label_sets"],
        "avg_labels": float(labels_on.mean()),
    }
    if width := whole["features"]:  # else the labels alone are here
        widths = [stop - start for start, stop in instances.modalities.values()] or [width]
        counts |= {
            "n_features": width,
            "n_modalities": len(widths),
            "modality_dims": ";".join(map(str, widths)),
        }
    for part, rows in (loaded.official or {}).items():
        counts[f"n_{OFFICIAL[part]}"] = len(rows)
        counts[f"avg_labels_{OFFICIAL[part]}"] = float(labels_on[rows].mean())
    return counts


def _why_not(statistic: str, ours: Mapping[str, Any] | None) -> str:
    """Why a statistic was not counted; empty if it was. `ours` is None where the data set is not here."""
    if statistic not in OF_LABELS | OF_PARTS | OF_FEATURES:
        return NOT_COUNTABLE
    if ours is None:
        return DATA
    if statistic in ours:
        return ""
    return NO_PART if statistic in OF_PARTS else DATA
