"""Builds what a configuration names, and refuses what cannot work together before any data is read."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from mlbench.config import Config, Node, options, target
from mlbench.data.task import Task
from mlbench.engine.lit import build_optimizer
from mlbench.errors import UserError
from mlbench.evaluation.suite import find
from mlbench.evaluation.thresholds import Threshold
from mlbench.methods.base import Method
from mlbench.results.tracking import Tracker


@dataclass(frozen=True)
class Pieces:
    """The parts of an experiment, known to fit together."""

    dataset: Any
    split: Any
    method: Callable[[Task], Method]
    threshold: Callable[[], Threshold]
    tracker: Tracker


def assemble(config: Config) -> Pieces:
    pieces = Pieces(
        dataset=build(config.dataset),
        split=build(config.split),
        method=functools.partial(build_method, config),
        threshold=functools.partial(build, config.threshold),
        tracker=build(config.logger),
    )
    check_data(config, pieces)
    check_selection(config, pieces)
    check_training(config)
    return pieces


def build(node: Node, **supplied: Any) -> Any:
    return target(node)(**supplied, **options(node))


def build_method(config: Config, task: Task) -> Method:
    """The method for a task; it gets the backbone and the loss if it asks for them."""
    backbone = functools.partial(target(config.backbone), **options(config.backbone))
    loss = functools.partial(target(config.loss), **options(config.loss))
    asked = inspect.signature(target(config.method)).parameters
    supplied = {"backbone": backbone, "loss": loss}
    return build(
        config.method, task=task, **{name: value for name, value in supplied.items() if name in asked}
    )


def check_data(config: Config, pieces: Pieces) -> None:
    """The data set offers what the split and the method ask for."""
    dataset, requires = pieces.dataset, target(config.method).requires
    method, modalities = config.choices["method"], max(len(dataset.modality_names), 1)
    if config.choices["split"] == "official" and not dataset.official:
        raise UserError(
            f"split=official: {dataset.name} has no split of its own; split=holdout or split=kfold makes one"
        )
    if dataset.kind not in requires.kinds:
        raise UserError(
            f"method={method} works on {' or '.join(sorted(requires.kinds))} data, dataset={dataset.name} is "
            f"{dataset.kind}"
        )
    if modalities < requires.modalities:
        raise UserError(
            f"method={method} needs {requires.modalities} modalities or more, dataset={dataset.name} has "
            f"{modalities}; dataset=multidigits has 4"
        )


def check_selection(config: Config, pieces: Pieces) -> None:
    find(config.selection.metric)
    official = pieces.dataset.parts if config.choices["split"] == "official" else ()
    if "validation" in (*pieces.split.parts, *official):
        return
    if config.selection.rule == "best":
        raise UserError("selection.rule=best needs a validation part: add split.validation=0.1")
    if getattr(pieces.threshold(), "fit_on", None) == "validation":
        raise UserError("threshold.fit_on=validation needs a validation part: add split.validation=0.1")


def check_training(config: Config) -> None:
    train = config.train
    build_optimizer(train.optimizer, train.scheduler, [torch.nn.Parameter(torch.zeros(1))])
    if train.batch_size % train.devices:
        raise UserError(
            f"train.batch_size={train.batch_size} cannot be shared equally by train.devices={train.devices}; "
            "choose a multiple"
        )
    if train.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("train.accelerator=gpu: torch sees no GPU here; use train.accelerator=cpu")
    if train.precision == "16-mixed" and train.gradient_clip:
        raise UserError("train.gradient_clip does not go with train.precision=16-mixed; bf16-mixed does")
