"""Refuses choices that cannot go together, as far as they show without torch and without data."""

import ast
import dataclasses
import itertools
from typing import Any

from mlbench.config import Config, Node, checked, options, target
from mlbench.data.contracts import Dataset, Split
from mlbench.errors import DoesNotFit, UserError, did_you_mean
from mlbench.evaluation.groups import at_depth, grouped
from mlbench.protocols import check_offers
from mlbench.signatures import light, source_of

ML_KNN = "mlbench.methods.classical.mlknn.MLkNN"


def build(node: Node, **supplied: Any) -> Any:
    return target(node)(**supplied, **options(node))


def built(node: Node, role: str) -> Any:
    """A data set or a split; the options of one from another module than ours are checked now."""
    return build(node if light(node["_target_"]) else checked(node, role))


def check_premises(config: Config) -> tuple[Dataset, Split]:
    """The data set and the split, once they are known to fit together."""
    dataset, split = built(config.dataset, "dataset"), built(config.split, "split")
    check_offers(dataset, Dataset, f"dataset._target_={config.dataset['_target_']}")
    check_offers(split, Split, f"split._target_={config.split['_target_']}")
    if config.choices["split"] == "official" and not dataset.official:
        raise DoesNotFit(
            f"split=official: {dataset.name} has no split of its own; split=holdout or split=kfold makes one"
        )
    statistics = getattr(dataset, "statistics", {})
    check_rows(split, statistics.get("instances"))
    check_groups(dataset, split)
    named = config.dataset.get("labels")  # columns of a file of one's own
    check_label_count(config.threshold, len(named) if isinstance(named, list) else statistics.get("labels"))
    check_neighbours(config, dataset, split)
    check_metric(config.selection.metric)
    check_validation(config, dataset, split, config.threshold.get("fit_on"))
    check_batches(config)
    check_pretraining(config)
    return dataset, split


def check_rows(split: Split, rows: int | None) -> None:
    """Refuses a split that cannot divide as many rows as the data set is known to have."""
    check = getattr(split, "check_rows", None)
    if rows is not None and check:
        check(rows)


def check_groups(dataset: Dataset, split: Split) -> None:
    """Refuses a data set without the field by which the split keeps rows together."""
    group, known = getattr(split, "group", None), getattr(dataset, "groups", ())
    if group and group not in known:
        has = f"it has {', '.join(known)}{did_you_mean(group, known)}" if known else "it has none"
        raise DoesNotFit(f"split.group={group}: {dataset.name} has no such field to group rows by; {has}")


def check_label_count(threshold: Node, labels: int | None) -> None:
    """Refuses a rule that predicts k labels where the data set is known to have fewer."""
    k = threshold.get("k")
    if labels is not None and isinstance(k, int) and k > labels:
        raise UserError(f"threshold.k={k}: there are {labels} labels; choose as many or fewer")


def check_neighbours(config: Config, dataset: Dataset, split: Split) -> None:
    """Refuses more neighbours than the known number of training rows lets ML-kNN find."""
    k = config.method.get("k") if config.method["_target_"] == ML_KNN else None
    rows = training_rows(dataset, split, config.seed) if k else None
    if k and rows and k >= rows:
        raise UserError(
            f"method.k={k}: each of the {rows} training rows has {rows - 1} others; choose as many or fewer"
        )


def training_rows(dataset: Dataset, split: Split, seed: int) -> int | None:
    """How many rows a split of this package leaves for training, where the data set says how many it has."""
    import numpy as np  # slow to import, as the splits are: only a command that asks for neighbours waits

    from mlbench.data.splits import Usual

    counts = getattr(dataset, "statistics", {})
    grouped = getattr(split, "group", None)  # how many rows go depends on the groups
    if (
        grouped
        or not isinstance(split, Usual)
        or any(name not in counts for name in ("instances", *dataset.official))
    ):
        return None
    ends = itertools.accumulate(counts[part] for part in dataset.official)
    official = {part: np.arange(end - counts[part], end) for part, end in zip(dataset.official, ends)}
    targets = np.zeros((counts["instances"], 1), np.uint8)  # the sizes of parts do not depend on the labels
    parts = dataclasses.replace(split, stratified=False)(targets, official or None, seed)
    return len(parts["train"])


def check_metric(name: str) -> None:
    known = metric_names()
    if name not in known and not at_depth(name, known):
        near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise UserError(f"selection.metric={name}: no such metric{near}")


def metric_names() -> list[str]:
    """The functions that are made metrics, in the order of their files, from the source."""
    metrics = of_modules("label_sets", "ranking", "curves", "likelihood", "reliability")
    return [*metrics, *of_modules("propensity"), *grouped(metrics)]


def of_modules(*modules: str) -> list[str]:
    return [
        name
        for module in modules
        for name, statement in source_of(f"mlbench.evaluation.{module}").statements.items()
        if isinstance(statement, ast.FunctionDef)
        and any(
            ast.unparse(decorator).partition("(")[0].endswith("metric")
            for decorator in statement.decorator_list
        )
    ]


def has_validation(config: Config, dataset: Dataset, split: Split) -> bool:
    official = dataset.official if config.choices["split"] == "official" else ()
    return "validation" in (*split.parts, *official)


def check_patience(config: Config, dataset: Dataset, split: Split) -> None:
    """Refuses patience where no epoch is measured; with a method in closed form patience changes nothing."""
    looks = config.selection.rule == "oracle" or has_validation(config, dataset, split)
    if (patience := config.selection.patience) and not looks and target(config.method).train_options:
        raise UserError(f"selection.patience={patience} needs a validation part: add split.validation=0.1")


def check_validation(config: Config, dataset: Dataset, split: Split, fit_on: str | None) -> None:
    """Refuses a selection or a threshold that needs a validation part if there is none."""
    if has_validation(config, dataset, split):
        return
    if config.selection.rule == "best":
        raise UserError("selection.rule=best needs a validation part: add split.validation=0.1")
    if config.calibration["_target_"]:
        asked = f"calibration={config.choices['calibration']}"
        raise UserError(f"{asked} needs a validation part: add split.validation=0.1")
    if fit_on == "validation":
        choice = config.choices["threshold"]
        asked = "threshold.fit_on=validation" if "fit_on" in config.threshold else f"threshold={choice}"
        raise UserError(f"{asked} needs a validation part: add split.validation=0.1")


def check_batches(config: Config) -> None:
    train = config.train
    if train.batch_size % train.devices:
        raise UserError(
            f"train.batch_size={train.batch_size} cannot be shared equally by train.devices={train.devices}; "
            "choose a multiple"
        )
    if train.graph is True and (train.accelerator == "cpu" or train.devices > 1):
        raise UserError(
            "train.graph=true needs train.accelerator=gpu and train.devices=1: a step is captured there"
        )
    if train.graph is True and train.compile:
        raise UserError("train.graph=true and train.compile=true: a step is captured or compiled; choose one")
    if train.precision == "tf32" and train.accelerator == "cpu":
        raise UserError("train.precision=tf32 is a precision of GPUs: add train.accelerator=gpu")
    if train.precision == "16-mixed" and train.gradient_clip:
        raise UserError("train.gradient_clip does not go with train.precision=16-mixed; bf16-mixed does")


def check_pretraining(config: Config) -> None:
    """A first stage with a queue of keys takes whole batches, the same share of them on every device."""
    pretrain, train = config.method.get("pretrain"), config.train
    if not isinstance(pretrain, dict) or not pretrain.get("epochs"):
        return
    if train.accumulate > 1:
        raise UserError(
            f"train.accumulate={train.accumulate}: the queue of method={config.choices['method']} takes the "
            "keys of one batch a step; method.pretrain.batch_size says how many rows it has"
        )
    if train.devices > 1 and pretrain.get("walk") == "passes" and not train.drop_last:
        raise UserError(
            "method.pretrain.walk=passes: the last batch of a pass may be one that "
            f"train.devices={train.devices} cannot share equally; choose "
            "method.pretrain.walk=endless, which has no short batch, or train.drop_last=true"
        )
    size = pretrain.get("batch_size")
    if isinstance(size, int) and size % train.devices:
        raise UserError(
            f"method.pretrain.batch_size={size} cannot be shared equally by train.devices={train.devices}; "
            "choose a multiple"
        )
