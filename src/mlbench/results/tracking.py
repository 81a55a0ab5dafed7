"""Mirrors a run elsewhere while it goes on. The record on disk is the truth; a tracker never stops a run."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from mlbench.errors import UserError
from mlbench.results.plane import plane
from mlbench.results.store import EMBEDDINGS

SECONDS_TO_START = 10  # how long W&B may take to answer before the run goes on without it
SECONDS_TO_FINISH = 60  # what W&B has not sent by then stays in the run's folder, for `wandb sync`
LABELS = 100  # columns of a map there


class Tracker(Protocol):
    def start(self, key: str, name: str, config: dict[str, Any], folder: Path) -> None: ...

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        """Takes the stage's whole history so far; rows logged before are skipped."""

    def finish(self, record: Path, metrics: dict[str, dict[str, float]]) -> None: ...

    def stop(self) -> None:
        """Called where the run ends without a record."""


class Local(Tracker):
    """Mirrors nothing: the record is enough."""

    def __init__(self) -> None:
        """Written out, since the `__init__` of a Protocol hides that there are no options."""


class WandB(Tracker):
    """Weights & Biases. The run's id there is its key, so that a resumed run is the same run there."""

    def __init__(
        self,
        project: str,
        entity: str | None,
        group: str | None,
        tags: list[str],
        mode: Literal["offline", "online", "disabled"],
    ):
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                f"logger=wandb: wandb cannot be imported ({error}); pip install wandb, or logger=local"
            ) from error
        self.wandb = wandb
        self.settings: dict[str, Any] = {"project": project, "entity": entity, "group": group, "tags": tags}
        self.mode: Literal["offline", "online", "disabled"] = mode
        self.run: Any = None  # a run of W&B's while it is mirrored
        self.logged: dict[str, int] = {}

    def start(self, key: str, name: str, config: dict[str, Any], folder: Path) -> None:
        about: dict[str, Any] = {"id": key, "name": name, "config": config, "dir": folder, "mode": self.mode}
        bounds: dict[str, Any] = {"init_timeout": SECONDS_TO_START, "finish_timeout": SECONDS_TO_FINISH}
        try:
            self.wandb.setup(self.wandb.Settings(silent=True, console="off", **bounds))
            self.run = self.wandb.init(**about, **self.settings, resume="allow", reinit="create_new")
        except Exception as error:  # the network or the server may fail in any way; the run goes on
            if self.mode != "online":
                return self._lost(error)
            self._lost(error, "recording offline")
            self.mode = "offline"
            self.start(key, name, config, folder)

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        first = sum(seen for name, seen in self.logged.items() if name != stage)
        for row in range(self.logged.get(stage, 0), len(history)):
            values = {f"{stage}/{name}": value for name, value in history[row].items()}
            # W&B skips the steps that it already has from before a run was resumed.
            self._try(lambda values=values, step=first + row: self.run.log(values, step=step))
        self.logged[stage] = len(history)

    def finish(self, record: Path, metrics: dict[str, dict[str, float]]) -> None:
        def mirror() -> None:
            if (embeddings := record.with_name(EMBEDDINGS)).is_file():
                columns, rows = map_of(embeddings)
                self.run.log({"embeddings": self.wandb.Table(columns=columns, data=rows)})
            for rule, values in metrics.items():
                self.run.summary.update({f"test/{rule}/{name}": value for name, value in values.items()})
            artifact = self.wandb.Artifact(f"record-{self.run.id}", type="record")
            artifact.add_file(str(record), policy="immutable")  # a mutable one is copied to the home folder
            self.run.log_artifact(artifact)
            self.run.finish()

        self._try(mirror)

    def stop(self) -> None:
        self._try(lambda: self.run.finish(exit_code=1))

    def _try(self, action: Any) -> None:
        if self.run is None:
            return
        try:
            action()
        except Exception as error:  # the run goes on, as in `start`
            self._lost(error)

    def _lost(self, error: Exception, then: str = "the run goes on without it") -> None:
        print(f"mlbench: W&B gave up ({_first_line(error)}); {then}", file=sys.stderr)
        self.run = None
        with contextlib.suppress(Exception):
            self.wandb.teardown()  # W&B's service would else keep the run's id, and refuse it next time


def map_of(embeddings: Path) -> tuple[list[Any], list[Any]]:
    """Columns and rows for a scatter plot: a row's place by principal components, its number, and whether it
    carries a label, for each of the most frequent labels."""
    shown = plane(embeddings)
    frequent = sorted((-shown.targets.sum(0, dtype=int)).argsort(kind="stable")[:LABELS].tolist())
    rows = [
        [*place.tolist(), int(row), *(carried[frequent] != 0).tolist()]
        for place, row, carried in zip(shown.places, shown.ids, shown.targets)
    ]
    return ["x", "y", "row", *(f"label {shown.labels[label]}" for label in frequent)], rows


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
