"""Threshold rules that maximise F1 on the part they are fitted on: one cut for all labels, or one each."""

import torch
from torch import Tensor

from mlbench.evaluation.label_sets import ratio
from mlbench.evaluation.thresholds import FittedCuts, cuts_below, just_under


def best_counts(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of (C, M), how many of its highest scores give the best F1; and the scores, highest first.

    Every number that separates no equal scores is tried; of the best, the smallest is taken, and 0 for a row
    without positives.
    """
    ordered, order = scores.sort(dim=1, descending=True)
    hits = targets.bool().gather(1, order).cumsum(1).double()
    chosen = torch.arange(1, scores.shape[1] + 1, device=scores.device)
    f1 = ratio(2 * hits, chosen + hits[:, -1:])
    f1[:, :-1].masked_fill_(ordered[:, :-1] == ordered[:, 1:], -1)  # the next score is as high
    fewest = f1.argmax(dim=1) + 1  # the first of the highest
    return fewest.where(hits[:, -1] > 0, 0), ordered


class F1Averaging(FittedCuts):
    """One cut for every label: the mean over instances of the score that is the best cut for the instance.

    Threshold averaging of Decubber et al. 2018; sigmoidF1's Table 4. The best cut of an instance is the
    score for which the labels that score at least as high have the highest F1, the highest such score if
    there are several. That score belongs to a label that is to be predicted, so the cut lies just under the
    mean of these scores, and a score that equals the mean is predicted. (sigmoidF1's code never predicts the
    candidate itself, and uses the position that is best for the first instance for all instances.)

    Instances without labels are left out: every cut is as good as every other for their F1. Where no
    instance has a label the cut is the highest score of all, so that none is predicted.
    """

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        labelled = targets.bool().any(dim=1)
        if not labelled.any():
            return scores.max()
        chosen, ordered = best_counts(scores[labelled], targets[labelled])
        best = ordered.gather(1, (chosen - 1).unsqueeze(1)).squeeze(1)
        mean = best.double().mean().to(best.dtype).clamp(best.min(), best.max())  # rounding stays between
        return just_under(mean)


class F1PerLabel(FittedCuts):
    """One cut a label: where the label's F1 is highest on the part fitted on, the highest of several cuts.

    Equal scores cannot be separated; `cuts_below` says where between two scores a cut lies. A label that no
    instance carries is cut at its highest score, and so never predicted there.
    """

    def find(self, scores: Tensor, targets: Tensor) -> Tensor:
        chosen, ordered = best_counts(scores.T.contiguous(), targets.T)
        return cuts_below(ordered, chosen)
