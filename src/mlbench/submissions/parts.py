"""What is measured of predictions: which metrics, of label sets, scores or probabilities; why not others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlbench.evaluation.intervals import Part
from mlbench.evaluation.suite import METRICS
from mlbench.evaluation.thresholds import Threshold
from mlbench.submissions.files import Submission, matched


@dataclass(frozen=True)
class Kind:
    """What the numbers of a file are taken for."""

    logits: bool = False
    sets_as_scores: bool = False  # a file of 0 and 1 alone holds scores, too


def parts_of(
    submission: Submission, truth: Submission, rule: Threshold, cut: str, kind: Kind
) -> tuple[list[Part], list[str]]:
    """The parts to measure, and in words what the predictions were taken for and what is left out.

    Logits are ranked as they are: a sigmoid rounds large ones to the same probability.
    """
    scores = torch.from_numpy(matched(submission, truth))
    if submission.are_sets and not kind.logits:
        parts, notes = [_part(scores.bool(), "label_sets")], ["label sets"]
        if kind.sets_as_scores:
            return [*parts, _part(scores, "ranking", "curves"), _part(scores, "likelihood")], notes
        return parts, [*notes, "metrics of scores are left out, treat=scores gives them"]
    if not kind.logits and not submission.are_probabilities:
        return [_part(scores, "ranking", "curves")], [
            "scores are no probabilities: metrics of label sets and likelihoods are left out, "
            "scores=logits gives them"
        ]
    probabilities = scores.sigmoid() if kind.logits else scores
    parts = [
        _part(rule.label_sets(probabilities), "label_sets"),
        _part(scores, "ranking", "curves"),
        _part(probabilities, "likelihood"),
    ]
    return parts, [f"{'logits, ' if kind.logits else ''}threshold {cut}"]


def _part(outputs: Tensor, *families: str) -> Part:
    return Part(outputs, [name for name, metric in METRICS.items() if metric.family in families])
