"""All metrics of a part's scores, and of the label sets that a threshold rule makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mlbench.evaluation.frequency import Frequencies
from mlbench.evaluation.suite import find, of_label_sets, per_label
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
    frequencies: Frequencies | None = None,
) -> Measures:
    """Measures (N, L) scores against targets; with the labels' frequencies in training also by frequency.

    A rule that is fitted is fitted on `fitting`, scores and targets of the part that the rule names. Rules
    that it has beside it are measured on the same scores. `orders` maps a suffix to an order of the columns
    of scores and label sets: all metrics are measured once more in that order, their names with that suffix.
    """
    if rule.fitted:
        assert fitting is not None, "this rule is fitted on labelled scores"
        rule.fit(*fitting)
    of_rule = {"label_sets": rule.suffix, "scores": ""}
    in_order = {"": slice(None)} | dict(orders or {})
    metrics = {
        f"{name}{of_rule[find(name).needs]}{suffix}": value
        for suffix, columns in in_order.items()
        for name, value in evaluate_under(
            rule, scores, targets, columns=columns, frequencies=frequencies
        ).items()
    }
    metrics |= {
        f"{name}{called}{suffix}": value
        for called, other in rule.others().items()
        for suffix, columns in in_order.items()
        for name, value in evaluate_under(
            other, scores, targets, of_label_sets(frequencies), columns, frequencies
        ).items()
    }
    by_label = {
        f"{name}{rule.suffix if name == 'f1' else ''}": values
        for name, values in per_label(scores, rule.label_sets(scores), targets).items()
    }
    return Measures(metrics, by_label, rule.cuts(scores))
