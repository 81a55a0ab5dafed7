"""What the scores of a part are worth: their label sets under a rule, and all metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mlbench.evaluation.suite import find, per_label
from mlbench.evaluation.thresholds import Threshold, evaluate_under


@dataclass(frozen=True)
class Measures:
    metrics: dict[str, float]
    per_label: dict[str, list]
    cuts: Any  # of the threshold rule, for the record


def measure(
    rule: Threshold,
    scores: Tensor,
    targets: Tensor,
    fitting: tuple[Tensor, Tensor] | None = None,
    orders: Mapping[str, list[int]] | None = None,
) -> Measures:
    """Of (N, L) scores and targets. A rule that is fitted is fitted on `fitting`, scores and targets of the
    part that it names; on the test part itself (oracle) its metrics say so.

    `orders` maps an ending to an order of the columns of scores and label sets: all metrics are given once
    more under it, their names with that ending.
    """
    if rule.fitted:
        assert fitting is not None, "this rule is fitted on labelled scores"
        rule.fit(*fitting)
    ending = {"label_sets": rule.suffix, "scores": ""}
    metrics = {
        f"{name}{ending[find(name).needs]}{suffix}": value
        for suffix, columns in ({"": slice(None)} | dict(orders or {})).items()
        for name, value in evaluate_under(rule, scores, targets, columns=columns).items()
    }
    by_label = {
        f"{name}{rule.suffix if name == 'f1' else ''}": values
        for name, values in per_label(scores, rule.label_sets(scores), targets).items()
    }
    return Measures(metrics, by_label, rule.cuts(scores))
