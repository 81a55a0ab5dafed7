"""A threshold rule that predicts the k best labels of each instance."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.thresholds import Threshold, cuts_for_counts


class TopK(Threshold):
    """The k labels of each instance with the highest scores.

    Labels that share a score are predicted together or not at all, so that the order of the columns does not
    matter. `cuts_for_counts` includes such a group if that comes nearer to k than leaving it out; so an
    instance whose best scores are all equal may get no label.
    """

    def __init__(self, k: Annotated[int, Field(ge=1)]):
        self.k = k

    def label_sets(self, scores: Tensor) -> Tensor:
        scores = promoted(scores)
        instances, labels = scores.shape
        if self.k > labels:
            raise UserError(f"threshold.k={self.k}: there are {labels} labels; choose as many or fewer")
        cuts = cuts_for_counts(scores, torch.full((instances,), self.k, device=scores.device))
        return scores > cuts.unsqueeze(1)

    def cuts(self, scores: Tensor) -> list[float]:
        return []
