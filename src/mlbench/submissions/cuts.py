"""The threshold rule that a command line names, and the scores and labels that its cuts are fitted on."""

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
        """Whether the rule is fitted on scores, and not on true labels alone."""
        rules = [self.rule, *self.rule.others().values()]
        return any(rule.fitted and getattr(rule, "fit_on", rule.part) != "test" for rule in rules)


def cuts_of(options: Mapping[str, str]) -> Cuts:
    """The rule of `threshold=0.3`, or of `threshold=<rule>` and `threshold.<option>=<value>` as in run.py."""
    settings = {key: value for key, value in options.items() if key.partition(".")[0] == "threshold"}
    text = settings.get("threshold", "fixed" if settings else "0.5")
    try:
        cut = float(text)
    except ValueError:
        return _of_conf(settings)
    if not 0 <= cut <= 1 or len(settings) > 1:
        raise UserError(
            f"threshold={text}: give one cut for every label, a number from 0 to 1, or a rule's name"
        )
    return Cuts(Fixed(cut), "fixed", {"_target_": FIXED, "value": cut})


def _of_conf(settings: Mapping[str, str]) -> Cuts:
    from mlbench.compose import configure  # imports Hydra
    from mlbench.premises import build

    config = configure([f"{key}={value}" for key, value in settings.items()])
    return Cuts(build(config.threshold), config.choices["threshold"], config.threshold)


def fitting(
    cuts: Cuts, kind: Kind, options: Mapping[str, str], truth: Truth, data: "Known | None"
) -> tuple[Fitting | None, str]:
    """Scores and targets that the rule is fitted on, and a sentence that says which.

    No scores and targets for a rule that is not fitted, or that is fitted on the very scores that it cuts.
    """
    rule, file = cuts.rule, options.get("fit")
    if not rule.fitted or rule.part == "test":
        if file or "fit_truth" in options:
            raise UserError(f"fit: {cuts.described} is not fitted on other scores; leave it out")
        return None, "at cuts that are best by the very labels that are measured" if rule.fitted else ""
    if not file and cuts.looks_at_scores:
        raise UserError(
            f"threshold={cuts.name} is fitted on scores of the {rule.part} part: give them, fit=FILE"
        )
    labels = _fitting_truth(cuts, options, truth, data)
    targets = torch.from_numpy(np.asarray(labels.values))
    if not file:
        return (targets.double(), targets), f"by these scores and the labels of {labels.name.rstrip(',')}"
    submission = read(Path(file), labels, kind.sets)
    scores = outputs_of(submission, matched(submission, labels), kind).cuttable
    if scores is None:
        raise UserError(f"fit={file}: label sets, or scores that are no probabilities; cuts need these")
    return (scores, targets), f"fitted on {file}"


def _fitting_truth(cuts: Cuts, options: Mapping[str, str], truth: Truth, data: "Known | None") -> Truth:
    """True labels of the part that the rule is fitted on, with the columns of `truth` in their order."""
    if "fit_truth" in options:
        return in_columns(true_labels(Path(options["fit_truth"])), truth.labels)
    if file := options.get("fit"):
        submission = read(Path(file), truth)
        if submission.targets is not None:
            ids = submission.ids or [str(row) for row in range(len(submission.targets))]
            return in_columns(
                Truth(file, ids, submission.labels or truth.labels, submission.targets), truth.labels
            )
    if data is None:
        what = "fit_truth=FILE says them" + (", as does an array targets in an .npz" if file else "")
        raise UserError(f"threshold={cuts.name} needs true labels of the {cuts.rule.part} part: {what}")
    return data.truth(cuts.rule.part)


def in_columns(truth: Truth, labels: list[str]) -> Truth:
    if different := sorted(set(truth.labels) ^ set(labels)):
        raise UserError(f"{truth.name} has other labels than are measured: {some(different)}")
    order = [truth.labels.index(label) for label in labels]
    return replace(truth, labels=labels, values=truth.values[:, order])
