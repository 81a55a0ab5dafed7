"""The unit of work of a launch: a group of runs that train as one, what it will take, and its name."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlbench.config import fingerprint
from mlbench.runs.estimate import Estimate, estimated
from mlbench.runs.groups import grouped
from mlbench.runs.run import Run


@dataclass(frozen=True)
class Group:
    """`seconds` and `memory` (bytes) are estimated; None where nothing is known."""

    runs: list[Run]
    seconds: float | None
    memory: float | None
    by: str  # what the estimate is made of: records, operations, nothing

    @property
    def name(self) -> str:
        """The same for the same runs, whenever and wherever they are grouped."""
        return fingerprint({"runs": sorted(run.key for run in self.runs)})

    @property
    def dataset(self) -> str:
        return self.runs[0].folder.parent.parent.name

    def line(self) -> str:
        method, several = self.runs[0].config.choices["method"], len(self.runs)
        time = "unknown" if self.seconds is None else f"about {in_words(self.seconds)}"
        memory = "" if self.memory is None else f", {self.memory / 2**30:.1f} GB"
        return f"{self.name}  {self.dataset} {method} ×{several}  {time}{memory}, by {self.by}"

    def noted(self) -> dict[str, Any]:
        return {"name": self.name, "seconds": self.seconds, "runs": [str(run.folder) for run in self.runs]}


def divided(runs: Sequence[Run], outputs: Path, seconds: float) -> list[Group]:
    """Groups of which each is likely to be done within so many seconds, the longest first."""
    groups = []
    for whole in grouped(runs):
        estimate = estimated(whole[0], outputs)
        most = estimate.fitting(seconds)
        parts = -(-len(whole) // most)
        groups += [_group(whole[part::parts], estimate) for part in range(parts)]
    return sorted(groups, key=lambda group: -(group.seconds or 0.0))


def _group(runs: list[Run], estimate: Estimate) -> Group:
    return Group(runs, estimate.seconds(len(runs)), estimate.memory(len(runs)), estimate.by)


def notes(groups: list[Group]) -> str:
    """What is kept of a launch: the groups by name, with the folders of their runs."""
    return json.dumps([group.noted() for group in groups], indent=1)


def folder_of(groups: list[Group], outputs: Path) -> Path:
    return outputs / "launches" / fingerprint({"groups": [group.name for group in groups]})


def described(groups: list[Group]) -> list[str]:
    """A line a group, for a person to read before they are launched."""
    return [f"{number}  {group.line()}" for number, group in enumerate(groups)] + [total(groups)]


def total(groups: list[Group]) -> str:
    by = Counter(group.by for group in groups)
    sources = ", ".join(f"{number} by {source}" for source, number in by.items())
    runs = sum(len(group.runs) for group in groups)
    seconds = [group.seconds for group in groups if group.seconds is not None]
    after = (
        f": about {in_words(sum(seconds))} in all, {in_words(max(seconds))} the longest" if seconds else ""
    )
    return f"{runs} runs in {len(groups)} groups, estimated {sources}{after}"


def in_words(seconds: float) -> str:
    return str(timedelta(seconds=max(1, round(seconds))))
