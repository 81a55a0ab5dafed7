"""All metrics that a file's predictions allow, and the outputs that are resampled for intervals."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mlbench.evaluation.frequency import Frequencies, group_of
from mlbench.evaluation.groups import GROUPS, grouped
from mlbench.evaluation.intervals import Part
from mlbench.evaluation.measure import Measures, measure
from mlbench.evaluation.suite import METRICS, evaluate, every, find, of_label_sets, per_label
from mlbench.evaluation.thresholds import Threshold, strictly_above
from mlbench.submissions.cuts import Fitting
from mlbench.submissions.given import Truth
from mlbench.submissions.outputs import Outputs

NEEDS_COUNTS = ("psp_at_1", "psp_at_3", "psp_at_5")


def frequencies_of(truth: Truth) -> Frequencies | None:
    if truth.positives is None:
        return None
    return Frequencies(torch.from_numpy(truth.positives), truth.instances)


def measured(
    outputs: Outputs, rule: Threshold, fitting: Fitting | None, truth: Truth, also: Sequence[str] = ()
) -> Measures:
    """The metrics of a run, as far as the outputs allow them; a rule that is to be fitted is fitted here.
    `also` are further metrics of order.
    """
    targets, frequencies = torch.from_numpy(truth.values), frequencies_of(truth)

    def of(*families: str) -> list[str]:
        return [name for name, metric in every(frequencies).items() if metric.family in families]

    metrics, by_label, cuts = {}, {}, []
    sets = outputs.sets
    if outputs.cuttable is not None:
        if rule.fitted and fitting is None:
            fitting = outputs.cuttable, targets  # the rule is fitted on the scores that it cuts
        measures = measure(rule, outputs.cuttable, targets, fitting, frequencies=frequencies)
        metrics, by_label, cuts = measures.metrics, measures.per_label, measures.cuts
        sets = rule.label_sets(outputs.cuttable)
    elif sets is not None:
        metrics = evaluate(None, sets, targets, of_label_sets(frequencies), frequencies)
    metrics = {name: value for name, value in metrics.items() if name not in of("likelihood")}
    if outputs.ranking is not None:
        metrics |= evaluate(outputs.ranking, None, targets, [*of("ranking", "curves"), *also], frequencies)
    if outputs.probabilities is not None:
        metrics |= evaluate(outputs.probabilities, None, targets, of("likelihood"), frequencies)
    by_label |= _of_labels(outputs, sets, targets, [*by_label])
    return Measures(metrics, by_label, cuts)


def _of_labels(
    outputs: Outputs, sets: Tensor | None, targets: Tensor, known: list[str]
) -> dict[str, list[float]]:
    """Metrics of each label: those that `known` lacks, and those by rank, which a sigmoid's rounding changes.

    NaN where the file has no outputs for a metric.
    """
    nothing = torch.zeros(targets.shape)
    ranking = nothing if outputs.ranking is None else outputs.ranking
    values = per_label(ranking, nothing.bool() if sets is None else sets, targets)
    undefined = [float("nan")] * targets.shape[1]
    if outputs.ranking is None:
        values |= {"ap": undefined, "auc": undefined}
    if sets is None:
        values |= {"f1": undefined}
    return {name: column for name, column in values.items() if name != "f1" or not known}


def parts_of(outputs: Outputs, rule: Threshold, truth: Truth, also: Sequence[str] = ()) -> list[Part]:
    """Outputs with the metrics that are computed of them, and `also`; `rule` is fitted before the call.

    Metrics of frequent and of rare labels are computed of these labels' columns.
    """
    whole = [part for part in _whole(outputs, rule) if part.names]
    tops = [name for name in also if not find(name).counted]
    if outputs.ranking is not None and tops:
        whole.append(Part(outputs.ranking, tops))
    frequencies = frequencies_of(truth)
    if frequencies is None:
        return whole
    groups = {group: group_of(frequencies, group) for group in GROUPS}
    return [*whole, *(narrow for part in whole for narrow in _by_group(part, groups))]


def _whole(outputs: Outputs, rule: Threshold) -> Iterator[Part]:
    if outputs.sets is not None:
        yield _part(outputs.sets, "label_sets")
    if outputs.cuttable is not None:
        for ending, each in {rule.suffix: rule, **rule.others()}.items():
            yield from _of_rule(outputs.cuttable, each, ending)
    if outputs.ranking is not None:
        yield _part(outputs.ranking, "ranking", "curves")
    if outputs.probabilities is not None:
        yield _part(outputs.probabilities, "likelihood")


def _of_rule(scores: Tensor, rule: Threshold, ending: str) -> Iterator[Part]:
    """The rule's label sets: one for all metrics, or one for each, where the rule has a cut for each."""
    if not hasattr(rule, "evaluate"):
        yield Part(rule.label_sets(scores), _part(scores, "label_sets").names, ending)
        return
    for name, cut in rule.cuts(scores).items():
        metric = name.removesuffix(ending)
        if cut is not None and metric in METRICS:
            yield Part(strictly_above(scores, cut), [metric], ending)


def _by_group(part: Part, groups: dict[str, Tensor]) -> Iterator[Part]:
    for group, columns in groups.items():
        names = [name for name, of in grouped(part.names).values() if of == group]
        if names and columns.any():
            yield Part(part.outputs, names, f"_{group}{part.ending}", columns)


def _part(outputs: Tensor, *families: str) -> Part:
    return Part(outputs, [name for name in METRICS if find(name).family in families])
