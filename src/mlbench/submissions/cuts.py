"""The threshold rule of a command line, and what its cuts are fitted on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.thresholds import Fixed, Threshold
from mlbench.submissions.files import read, true_labels
from mlbench.submissions.given import Truth, some
from mlbench.submissions.matching import matched
from mlbench.submissions.outputs import Kind, outputs_of

if TYPE_CHECKING:
    from mlbench.submissions.known import Known

FIXED = "mlbench.evaluation.thresholds.Fixed"
Fitting = tuple[Tensor, Tensor]  # scores and targets


@dataclass(frozen=True)
class Cuts:
    """A rule, its name and its node in a configuration."""

    rule: Threshold
    name: str
    node: Mapping[str, Any]

    @property
    def described(self) -> str:
        if isinstance(self.rule, Fixed):
            return f"threshold {self.rule.value:g}"
        options = [f"{name} {value}" for name, value in self.node.items() if name != "_target_"]
        return " ".join(["threshold", self.name, *options])

    @property
    def looks_at_scores(self) -> bool:
        """Whether scores of the part that it is fitted on count, and not its true labels alone."""
        rules = [self.rule, *self.rule.others().values()]
        return any(rule.fitted and getattr(rule, "fit_on", rule.part) != "test" for rule in rules)


def cuts_of(given: Mapping[str, str]) -> Cuts:
    """From `threshold=0.3`, or `threshold=<rule>` and `threshold.<option>=<value>` as of run.py."""
    said = {key: value for key, value in given.items() if key.partition(".")[0] == "threshold"}
    text = said.get("threshold", "fixed" if said else "0.5")
    try:
        cut = float(text)
    except ValueError:
        return _of_conf(said)
    if not 0 <= cut <= 1 or len(said) > 1:
        raise UserError(
            f"threshold={text}: give one cut for every label, a number from 0 to 1, or a rule's name"
        )
    return Cuts(Fixed(cut), "fixed", {"_target_": FIXED, "value": cut})


def _of_conf(said: Mapping[str, str]) -> Cuts:
    from mlbench.compose import configure  # imports Hydra
    from mlbench.premises import build

    config = configure([f"{key}={value}" for key, value in said.items()])
    return Cuts(build(config.threshold), config.choices["threshold"], config.threshold)


def fitting(
    cuts: Cuts, kind: Kind, given: Mapping[str, str], truth: Truth, data: "Known | None"
) -> tuple[Fitting | None, str]:
    """Scores and targets that the rule is fitted on, and that in words. None for a rule that is not fitted,
    and for one that is fitted on what it cuts.
    """
    rule, file = cuts.rule, given.get("fit")
    if not rule.fitted or rule.part == "test":
        if file or "fit_truth" in given:
            raise UserError(f"fit: {cuts.described} is not fitted on other scores; leave it out")
        return None, "at cuts that are best by the very labels that are measured" if rule.fitted else ""
    if not file and cuts.looks_at_scores:
        raise UserError(
            f"threshold={cuts.name} is fitted on scores of the {rule.part} part: give them, fit=FILE"
        )
    labels = _fitting_truth(cuts, given, truth, data)
    targets = torch.from_numpy(np.asarray(labels.values))
    if not file:
        return (targets.double(), targets), f"by these scores and the labels of {labels.name.rstrip(',')}"
    submission = read(Path(file), labels, kind.sets)
    scores = outputs_of(submission, matched(submission, labels), kind).cuttable
    if scores is None:
        raise UserError(f"fit={file}: label sets, or scores that are no probabilities; cuts need these")
    return (scores, targets), f"fitted on {file}"


def _fitting_truth(cuts: Cuts, given: Mapping[str, str], truth: Truth, data: "Known | None") -> Truth:
    """True labels of the part that the rule is fitted on, columns as in `truth`."""
    if "fit_truth" in given:
        return in_columns(true_labels(Path(given["fit_truth"])), truth.labels)
    if file := given.get("fit"):
        found = read(Path(file), truth)
        if found.said is not None:
            ids = found.ids or [str(row) for row in range(len(found.said))]
            return in_columns(Truth(file, ids, found.labels or truth.labels, found.said), truth.labels)
    if data is None:
        what = "fit_truth=FILE says them" + (", as does an array targets in an .npz" if file else "")
        raise UserError(f"threshold={cuts.name} needs true labels of the {cuts.rule.part} part: {what}")
    return data.truth(cuts.rule.part)


def in_columns(truth: Truth, labels: list[str]) -> Truth:
    if different := sorted(set(truth.labels) ^ set(labels)):
        raise UserError(f"{truth.name} has other labels than are measured: {some(different)}")
    order = [truth.labels.index(label) for label in labels]
    return replace(truth, labels=labels, values=truth.values[:, order])
