"""Mirrors a run elsewhere while it goes on. The record on disk is the truth; a tracker never stops a run."""

import contextlib
import contextvars
import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from mlbench.config import Node, fingerprint
from mlbench.errors import UserError
from mlbench.results.repeats import science_of
from mlbench.results.told import told

SECONDS_TO_START = 10  # how long W&B may take to answer before the run goes on without it
SECONDS_TO_FINISH = 60  # what W&B has not sent by then stays in the run's folder, for `wandb sync`


class Begun(NamedTuple):
    """What is known of a run before it is trained."""

    key: str
    name: str  # data set, method, seed
    config: dict[str, Any]
    folder: Path
    group: str = ""  # the same for runs that differ in seed and fold only: `result` of the store's data frame
    method: str = ""


def begun(key: str, config: Node, dataset: str, data: Node, folder: Path) -> Begun:
    """What a tracker is told of a run; `config` and `data` are what its record will hold."""
    choices = config["choices"]
    science = science_of(config, choices, data.get("files"), config["selection"]["rule"])
    name = f"{dataset}/{choices['method']}/{config['seed']}"
    return Begun(key, name, config, folder, fingerprint(science), choices["method"])


class Tracker(Protocol):
    def start(self, run: Begun) -> None: ...

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        """Takes the stage's whole history so far; rows logged before are skipped."""

    def finish(self, record: Path) -> None:
        """Called when all files of the run are there, record.json among them."""

    def stop(self) -> None:
        """Called where the run ends without a record."""


class Local(Tracker):
    """Mirrors nothing: the record is enough."""

    def __init__(self) -> None:
        """Written out, since the `__init__` of a Protocol hides that there are no options."""


class Mirror(Tracker):
    """Sends a run on by `send`; what fails costs a line and the mirror, not the run."""

    called: ClassVar[str]

    def __init__(self) -> None:
        self.run: Any = None  # while it is mirrored
        self.logged: dict[str, int] = {}

    def send(self, values: dict[str, Any], step: int) -> None:
        raise NotImplementedError

    def log(self, stage: str, history: Sequence[dict[str, float]]) -> None:
        first = sum(seen for name, seen in self.logged.items() if name != stage)
        for row in range(self.logged.get(stage, 0), len(history)):
            values = {f"{stage}/{name}": value for name, value in history[row].items()}
            self._try(lambda values=values, step=first + row: self.send(values, step))
        self.logged[stage] = len(history)

    def _try(self, action: Any) -> None:
        if self.run is None:
            return
        try:
            action()
        except Exception as error:  # the network or the server may fail in any way; the run goes on
            self._lost(error)

    def _lost(self, error: Exception, then: str = "the run goes on without it") -> None:
        print(f"mlbench: {self.called} gave up ({_first_line(error)}); {then}", file=sys.stderr)
        self.run = None


class WandB(Mirror):
    """Weights & Biases. The run's id there is its key, so that a resumed run is the same run there."""

    called = "W&B"

    def __init__(
        self,
        project: str,
        entity: str | None,
        group: str | None,
        tags: list[str],
        mode: Literal["offline", "online", "disabled"],
    ):
        super().__init__()
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                f"logger=wandb: wandb cannot be imported ({error}); pip install wandb, or logger=local"
            ) from error
        self.wandb = wandb
        self.settings: dict[str, Any] = {"project": project, "entity": entity, "tags": tags}
        self.group = group
        self.mode: Literal["offline", "online", "disabled"] = mode

    def start(self, run: Begun) -> None:
        about: dict[str, Any] = {"id": run.key, "name": run.name, "config": run.config, "dir": run.folder}
        about |= {"group": self.group or run.group, "job_type": run.method, "mode": self.mode}
        bounds: dict[str, Any] = {"init_timeout": SECONDS_TO_START, "finish_timeout": SECONDS_TO_FINISH}
        try:
            self.wandb.setup(self.wandb.Settings(silent=True, console="off", **bounds))
            self.run = self.wandb.init(**about, **self.settings, resume="allow", reinit="create_new")
        except Exception as error:  # as in `_try`
            if self.mode != "online":
                return self._lost(error)
            self._lost(error, "recording offline")
            self.mode = "offline"
            self.start(run)

    def send(self, values: dict[str, Any], step: int) -> None:
        """W&B skips the steps that it already has from before a run was resumed."""
        self.run.log(values, step=step)

    def finish(self, record: Path) -> None:
        def mirror() -> None:
            summary, sheets = told(record)
            shown: dict[str, Any] = {
                name: self.wandb.Table(columns=[*sheet.columns], data=sheet.rows)
                for name, sheet in sheets.items()
            }
            if "curves" in shown:
                title = "precision at each recall, best and worst labels"
                axes = "recall", "precision", "label"
                shown["curves"] = self.wandb.plot.line(shown["curves"], *axes, title=title)
            with tables_in(record.parent / "wandb"):
                self.run.log(shown)
            self.run.summary.update(summary)
            artifact = self.wandb.Artifact(f"record-{self.run.id}", type="record")
            artifact.add_file(str(record), policy="immutable")  # a mutable one is copied to the home folder
            self.run.log_artifact(artifact)
            self.run.finish()

        self._try(mirror)

    def stop(self) -> None:
        self._try(lambda: self.run.finish(exit_code=1))

    def _lost(self, error: Exception, then: str = "the run goes on without it") -> None:
        super()._lost(error, then)
        with contextlib.suppress(Exception):
            self.wandb.teardown()  # W&B's service would else keep the run's id, and refuse it next time


class Trackio(Mirror):
    """trackio, whose runs lie on this machine. A run's name there has its key: a resumed run is the same."""

    called = "trackio"

    def __init__(self, project: str, group: str | None, space: str | None):
        super().__init__()
        try:
            self.trackio: Any = importlib.import_module("trackio")  # an extra: pyright may lack it
        except ImportError as error:
            raise UserError(
                f"logger=trackio: trackio cannot be imported ({error}); pip install "
                "'multilabel-bench[trackio]', or logger=local"
            ) from error
        self.settings: dict[str, Any] = {"project": project, "space_id": space}
        self.group = group
        self.first = 0  # the first step that is not there from before a run was resumed

    def start(self, run: Begun) -> None:
        about: dict[str, Any] = {"name": f"{run.name}/{run.key}", "group": self.group or run.group}
        about |= {"config": run.config | {"key": run.key, "job_type": run.method}}
        how = {"resume": "allow", "embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        try:
            with silence():
                # In a context of its own: it would else finish the run of the one before it.
                self.run = contextvars.Context().run(self.trackio.init, **about, **self.settings, **how)
            self.first = getattr(self.run, "_next_step", 0)
        except Exception as error:  # as in `_try`
            self._lost(error)

    def send(self, values: dict[str, Any], step: int) -> None:
        if step >= self.first:
            self.run.log(values, step=step)

    def finish(self, record: Path) -> None:
        def mirror() -> None:
            summary, sheets = told(record)
            shown = {
                name: self.trackio.Table(columns=sheet.columns, data=sheet.rows)
                for name, sheet in sheets.items()
            }
            with silence():
                self.run.log(summary | shown)
                self.run.log_artifact(str(record), name=f"record-{record.parent.name}", type="record")
                self.run.finish()

        self._try(mirror)

    def stop(self) -> None:
        def finish() -> None:
            with silence():
                self.run.finish()

        self._try(finish)


@contextlib.contextmanager
def tables_in(folder: Path) -> Iterator[None]:
    """W&B keeps a table as a file, by itself in the home folder; WANDB_DATA_DIR, if set, says where."""
    mine = "WANDB_DATA_DIR" not in os.environ
    if mine:
        os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        if mine:
            del os.environ["WANDB_DATA_DIR"]


def silence() -> contextlib.redirect_stdout[io.StringIO]:
    """trackio speaks on the standard output, which is the run's own."""
    return contextlib.redirect_stdout(io.StringIO())


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
