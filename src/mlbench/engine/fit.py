"""One stage, one fit, one file: trains a stage under a Lightning Trainer, or picks up what is there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from mlbench.config import Selection, Train
from mlbench.engine.callbacks import Progress, Save, Select, Watch, catch_signals, restore_signals, write
from mlbench.engine.lit import Lit, Plan
from mlbench.methods.base import Stage
from mlbench.seeding import seed_everything


@dataclass(frozen=True)
class Outcome:
    """What a finished stage left: the last epoch's state, what each selection rule kept, the history."""

    last: dict[str, torch.Tensor]
    kept: dict[str, dict[str, Any]]  # rule -> {epoch, value, state}
    history: list[dict[str, float]]
    seconds: float


def fit(
    stage: Stage,
    train: Train,
    selection: Selection,
    seed: int,
    path: Path,
    watches: list[Watch],
    label: str,
    report: Callable[[list[dict]], None],
) -> Outcome:
    """Trains `stage.module` in place and leaves `<path>.pt`; if interrupted, goes on from `<path>.ckpt`."""
    done, checkpoint = path.with_suffix(".pt"), path.with_suffix(".ckpt")
    if not done.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        seed_everything(seed)
        if stage.solve:
            _solve(stage, done)
        else:
            watches = watches if stage.selects else []
            save = Save(checkpoint, train.checkpoint_seconds, watches, report if train.devices == 1 else None)
            _descend(
                stage, Plan.of(stage, train, seed), [Select(watches, selection.every), save, Progress(label)]
            )
        if not done.exists():  # asked to stop: the checkpoint is there
            raise KeyboardInterrupt
        checkpoint.unlink(missing_ok=True)
    outcome = Outcome(**torch.load(done, map_location="cpu", weights_only=False))
    stage.module.load_state_dict(outcome.last)
    report(outcome.history)
    return outcome


def _solve(stage: Stage, done: Path) -> None:
    started = time.monotonic()
    stage.solve(stage.data)
    write(done, Outcome(stage.module.state_dict(), {}, [], time.monotonic() - started).__dict__)


def _descend(stage: Stage, plan: Plan, callbacks: list[Callback]) -> None:
    train = plan.train
    _, save, _ = callbacks
    state = None
    if save.path.exists():
        state = torch.load(save.path, map_location="cpu", weights_only=False)
        stage.module.load_state_dict(state.pop("module"))
        for watch in save.watches:
            watch.kept = state["kept"][watch.rule]
    lit = Lit(stage, plan, state)
    handlers = catch_signals(save.stop)  # a parent of several processes must outlive them
    try:
        trainer = Trainer(
            max_epochs=plan.epochs - lit.first_epoch,
            accelerator=train.accelerator,
            devices=train.devices,
            strategy="ddp_spawn" if train.strategy == "auto" and train.devices > 1 else train.strategy,
            precision=train.precision,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        trainer.fit(lit)
    finally:
        restore_signals(handlers)
