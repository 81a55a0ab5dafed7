"""Where a run is mirrored while it goes on. The record on disk is the truth; a tracker never stops a run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol


class Tracker(Protocol):
    def start(self, key: str, name: str, config: dict[str, Any], folder: Path) -> None: ...

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        """The stage's whole history so far; rows seen before are skipped."""

    def finish(self, record: Path, metrics: dict[str, dict[str, float]]) -> None: ...

    def stop(self) -> None:
        """The run ended without a record."""


class Local:
    """Nothing beyond the record."""

    def start(self, key: str, name: str, config: dict[str, Any], folder: Path) -> None:
        pass

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        pass

    def finish(self, record: Path, metrics: dict[str, dict[str, float]]) -> None:
        pass

    def stop(self) -> None:
        pass


class WandB:
    """Weights & Biases. The run's id is its key, so that a resumed run is the same run there."""

    def __init__(
        self,
        project: str,
        entity: str | None,
        group: str | None,
        tags: list[str],
        mode: Literal["offline", "online", "disabled"],
    ):
        self.settings = {"project": project, "entity": entity, "group": group, "tags": tags, "mode": mode}
        self.run = None
        self.logged: dict[str, int] = {}

    def start(self, key: str, name: str, config: dict[str, Any], folder: Path) -> None:
        import wandb

        common = {"id": key, "name": name, "config": config, "dir": folder, "resume": "allow"}
        silent = {"silent": True, "init_timeout": 20, "console": "off"}
        try:
            self.run = wandb.init(**common, **self.settings, settings=wandb.Settings(**silent))
        except Exception as error:  # whatever the network or the server does, the run goes on
            if self.settings["mode"] != "online":
                return self._lost(error)
            print(
                f"mlbench: W&B cannot be reached ({_first_line(error)}); recording offline", file=sys.stderr
            )
            self.settings["mode"] = "offline"
            self.start(key, name, config, folder)

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        for row in history[self.logged.get(stage, 0) :]:
            self._try(lambda row=row: self.run.log({f"{stage}/{name}": value for name, value in row.items()}))
        self.logged[stage] = len(history)

    def finish(self, record: Path, metrics: dict[str, dict[str, float]]) -> None:
        import wandb

        def mirror() -> None:
            for rule, values in metrics.items():
                self.run.summary.update({f"test/{rule}/{name}": value for name, value in values.items()})
            artifact = wandb.Artifact(f"record-{self.run.id}", type="record")
            artifact.add_file(str(record))
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
        except Exception as error:  # see start
            self._lost(error)

    def _lost(self, error: Exception) -> None:
        print(f"mlbench: W&B gave up ({_first_line(error)}); the run goes on without it", file=sys.stderr)
        self.run = None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
