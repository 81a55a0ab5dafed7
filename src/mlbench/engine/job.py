"""A stage of one run with all it takes to train it, and the outcome."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import BaseFileLock
from torch import Tensor, nn

from mlbench.config import Selection, Train
from mlbench.engine.plan import Plan
from mlbench.engine.watch import Watch
from mlbench.errors import UserError
from mlbench.files import write
from mlbench.locks import lock
from mlbench.methods.base import Stage


@dataclass(frozen=True)
class Outcome:
    """What a finished stage left: the last epoch's state, what each selection rule kept, the history."""

    last: dict[str, Tensor]
    kept: dict[str, dict[str, Any]]  # rule -> {epoch, value, state}
    history: list[dict[str, float]]
    seconds: float
    trained: str = ""  # "alone", "stacked" or "compiled" where another way would have left other last digits
    processor_seconds: float = 0.0  # of this process, whatever else the machine was at


@dataclass(frozen=True)
class Job:
    stage: Stage
    train: Train
    selection: Selection
    seed: int
    path: Path  # of its files: the outcome is <path>.pt, a checkpoint until then <path>.ckpt
    watches: list[Watch]
    label: str
    report: Callable[[list[dict]], None]

    @property
    def plan(self) -> Plan:
        return Plan.of(self.stage, self.train, self.seed)

    @property
    def done(self) -> Path:
        return self.path.with_suffix(".pt")

    @property
    def lock(self) -> BaseFileLock:
        """Held while the stage is trained, since another process may want a shared stage, too."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return lock(self.path.with_suffix(".lock"))

    def note(self, epoch: int, epochs: int) -> None:
        """Leaves how far the stage is, for a person who asks; a training goes on by its checkpoint alone."""
        write(self.path.with_suffix(".progress"), json.dumps({"epoch": epoch, "epochs": epochs}))

    def clear(self) -> None:
        """Removes half-written files of killed processes. The caller holds the lock."""
        self._remove("{}.*.tmp", "{}-together-*.tmp")

    def forget_checkpoints(self) -> None:
        """Removes the checkpoint of the finished job, and those of stacks it was to be trained in."""
        self._remove("{}.ckpt", "{}-together-*.ckpt", "{}.progress")

    def _remove(self, *names: str) -> None:
        for name in names:
            for leftover in self.path.parent.glob(name.format(self.path.name)):
                leftover.unlink(missing_ok=True)

    def take(self, state: dict[str, Tensor], path: Path) -> None:
        """Loads the state that an earlier process left; refused if the module has changed."""
        load(self.stage.module, state, path, "remove it to train it again" if self.stage.shared else AGAIN)


AGAIN = "run again with force=true"


def load(module: nn.Module, state: dict[str, Tensor], path: Path, cure: str = AGAIN) -> None:
    """Loads a state read from `path`; if it does not fit the module, the error advises `cure`."""
    for name, buffer in module.named_buffers():
        kept = state.get(name, buffer)
        if kept.shape != buffer.shape and not takes_sizes(module):
            kind, begins, had = type(module).__name__, [*buffer.shape], [*kept.shape]
            raise UserError(
                f"{path}: the buffer {name} of {kind} begins with the shape {begins} and had {had} when it "
                "was saved, so that it cannot be taken up: register it in __init__ in the shape that it "
                f"keeps, and {cure}"
            )
    try:
        module.load_state_dict(state)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip().rstrip(".")
        raise UserError(f"{path} does not fit {type(module).__name__} any more ({reason}): {cure}") from error


def takes_sizes(module: nn.Module) -> bool:
    """Whether a part of the module sees to it, by a hook, that its buffers have the sizes of a state."""
    return any(part._load_state_dict_pre_hooks for part in module.modules())
