"""A threshold rule that looks at one instance at a time: its k best labels."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.metric import promoted
from mlbench.evaluation.thresholds import cuts_for_counts


class TopK:
    """The k labels of each instance with the highest scores.

    Labels that share a score are predicted together or not at all, so that the order of the columns is
    without influence: as in `cuts_for_counts` their group is taken in where that comes nearer to k than
    leaving it out. An instance whose best scores are all equal may so be left without a label.
    """

    fitted: ClassVar[bool] = False
    suffix: ClassVar[str] = ""

    def __init__(self, k: Annotated[int, Field(ge=1)]):
        self.k = k

    def fit(self, scores: Tensor, targets: Tensor) -> None:
        pass

    def label_sets(self, scores: Tensor) -> Tensor:
        scores = promoted(scores)
        instances, labels = scores.shape
        if self.k > labels:
            raise UserError(f"threshold.k={self.k}: there are {labels} labels; choose as many or fewer")
        cuts = cuts_for_counts(scores, torch.full((instances,), self.k, device=scores.device))
        return scores > cuts.unsqueeze(1)

    def cuts(self, scores: Tensor) -> list[float]:
        return []
