"""A module that is trained before there is a method, as an encoder's: a stage that belongs to no run."""

from pathlib import Path
from typing import Any, cast

from torch import nn

from mlbench.config import MACHINE, Selection, Train
from mlbench.data.rows import Rows
from mlbench.engine.fit import fit, silent
from mlbench.engine.job import Job
from mlbench.methods.base import Learner, Stage


def train_apart(
    module: nn.Module,
    rows: Rows,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    path: Path,
    like: Train,
) -> None:
    """Trains `module`, which has `loss(batch)`, by Adam, on one device; interrupted, it goes on where `path`
    says. Of `like` count the options that say how a training goes, none that says what is learned: who asks
    with other settings of a run's own training gets the same.
    """
    machine = like.model_dump(include={*MACHINE}) | {"devices": 1, "strategy": "auto"}
    train = Train(
        epochs=epochs,
        batch_size=batch_size,
        optimizer={"_target_": "torch.optim.Adam", "lr": lr},
        scheduler={"_target_": None},
        shuffle=True,
        drop_last=False,
        walk="passes",
        gradient_clip=None,
        clip_by="norm",
        decay_on="all",
        warmup=0,
        schedule_every="epoch",
        ema=None,
        accumulate=1,
        precision="32-true",
        **cast(Any, machine),
    )
    stage = Stage("encoder", cast(Learner, module), rows, selects=False)
    selection = Selection(rule="last", metric="f1_macro", every=1, patience=None)
    fit(Job(stage, train, selection, seed, path, [], f"{type(module).__name__} · encoder", silent))
