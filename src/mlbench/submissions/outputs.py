"""What the numbers of a file are taken for: label sets, probabilities, logits, or scores that only rank."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlbench.submissions.given import Submission


@dataclass(frozen=True)
class Kind:
    """What a person says that the numbers are."""

    logits: bool = False  # their sigmoid is a probability
    decisions: bool = False  # their sign decides, as of a support vector machine; no probabilities
    sets_as_scores: bool = False  # a file of 0 and 1 alone holds scores, too
    sets: bool = False  # the labels that a line lists are its label set

    @property
    def squashed(self) -> bool:
        return self.logits or self.decisions


@dataclass(frozen=True)
class Outputs:
    """A file's numbers as each kind of output, (N, L); None for a kind that they are not."""

    sets: Tensor | None = None  # booleans, as given
    ranking: Tensor | None = None  # scores as given
    cuttable: Tensor | None = None  # in [0, 1], in the same order as the scores
    probabilities: Tensor | None = None
    taken_for: str = ""
    left_out: str = ""  # which metrics, and what gives them

    @property
    def words(self) -> list[str]:
        """What a person is told; nothing of probabilities, which a file is expected to have."""
        known = [] if self.taken_for in ("probabilities", "scores") else [self.taken_for]
        return [*known, *([self.left_out] if self.left_out else [])]


def outputs_of(submission: Submission, values: np.ndarray, kind: Kind) -> Outputs:
    """Matched values as outputs. Logits are ranked as they are: a sigmoid rounds large ones to 1."""
    scores = torch.from_numpy(np.ascontiguousarray(values))
    if kind.squashed and not submission.listed:
        squashed, word = scores.sigmoid(), "logits" if kind.logits else "decision values"
        likely = squashed if kind.logits else None
        return Outputs(ranking=scores, cuttable=squashed, probabilities=likely, taken_for=word)
    if submission.are_sets and kind.sets_as_scores:
        return Outputs(sets=scores.bool(), ranking=scores, probabilities=scores, taken_for="label sets")
    if submission.are_sets:
        hint = "metrics of scores are left out, treat=scores gives them"
        return Outputs(sets=scores.bool(), taken_for="label sets", left_out=hint)
    if not submission.are_probabilities:
        hint = (
            "scores are no probabilities: metrics of label sets and likelihoods are left out, "
            "scores=logits gives them, scores=decisions those of label sets"
        )
        return Outputs(ranking=scores, taken_for="scores", left_out=hint)
    return Outputs(ranking=scores, cuttable=scores, probabilities=scores, taken_for="probabilities")
