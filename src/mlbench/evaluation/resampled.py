"""All metrics of many resamples of the same instances, without a loop over them.

A resample is a row of counts: how often each instance is in it. A metric that is a mean over instances is
then a product of counts and values; one of label sets follows from products of counts and each label's hits;
one of the order of instances from the counts in that order, which is the same in all resamples. What is
sorted or counted is so once, and the metrics' own definitions are applied to the sums of every resample.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from mlbench.evaluation.curves import LabelCurves, PooledCurve, rank_entries, rank_instances
from mlbench.evaluation.label_sets import Counts, Tally, count
from mlbench.evaluation.likelihood import log_likelihood, log_likelihoods
from mlbench.evaluation.metric import Metric, promoted
from mlbench.evaluation.ranking import rank_labels
from mlbench.evaluation.reliability import reliability, squared_errors
from mlbench.evaluation.suite import find

Values = dict[str, Tensor]  # a metric's values, (B,)
Resampled = Callable[[Tensor], Values]  # of (B, N) counts; every row has the same sum

EXACT = 2**24  # up to which float32 holds whole numbers
PIECE = 256  # groups at a time: their sums in a few dozen resamples stay in the processor's cache
LEFT_OUT = {
    "ap_macro_array_order": "it goes by the order of ties, and an instance that is drawn twice is one",
    "ece_micro": "a resample's bins are noisier than those of all instances, so that it lies above",
    "ece_macro": "likewise",
}


def left_out(names: Iterable[str]) -> dict[str, str]:
    """The metrics that cannot be resampled here, and why."""
    known = (count, rank_labels, rank_instances, rank_entries, log_likelihood, reliability)
    forms = {name: find(name).prepare for name in names}
    forms = {name: getattr(form, "func", form) for name, form in forms.items()}  # those of any k are partial
    others = {name: "it is not known how to resample it" for name in names if forms[name] not in known}
    return {name: reason for name, reason in LEFT_OUT.items() if name in names} | others


def resampled(outputs: Tensor, targets: Tensor, names: Iterable[str]) -> Resampled:
    """The metrics named as a function of counts; `outputs` (N, L), label sets or scores, are measured."""
    wanted = [find(name) for name in names]
    assert not left_out([metric.name for metric in wanted]), "say why before"
    of_instances = [metric for metric in wanted if metric.of_instances]
    by_form: dict[Any, list[Metric]] = {}
    for metric in wanted:
        if not metric.of_instances:
            by_form.setdefault(metric.prepare, []).append(metric)
    parts = [_means(outputs, targets, of_instances)] if of_instances else []
    parts += [_SUMS[form](outputs, targets, metrics) for form, metrics in by_form.items()]
    return lambda counts: {name: values for part in parts for name, values in part(counts).items()}


def _means(outputs: Tensor, targets: Tensor, metrics: list[Metric]) -> Resampled:
    """Metrics that are means over the instances that leave them defined."""
    alone = torch.stack([of_each_instance(metric, outputs, targets) for metric in metrics], 1)  # (N, M)
    defined = (~alone.isnan()).double()
    sums = torch.cat([alone.nan_to_num(0), defined], 1)

    def values(counts: Tensor) -> Values:
        above, below = (counts.double() @ sums).chunk(2, dim=1)
        return {metric.name: column for metric, column in zip(metrics, (above / below).unbind(1))}

    return values


def of_each_instance(metric: Metric, outputs: Tensor, targets: Tensor) -> Tensor:
    """(N,) what the metric is of each instance alone; NaN where that is undefined."""
    if metric.prepare is reliability:
        return squared_errors(outputs, targets)
    if metric.prepare is log_likelihood:
        return metric.reduce(log_likelihoods(outputs, targets))
    prepared = metric.prepare(outputs, targets)
    if metric.prepare is count:
        prepared = prepared.by_instance
        return _of_each(lambda tally: metric.reduce(Counts(tally, tally, tally, 1)), _apart(prepared))
    return _of_each(metric.reduce, _apart(prepared))


def _tallies(predictions: Tensor, targets: Tensor, metrics: list[Metric]) -> Resampled:
    """Metrics of label sets that follow from each label's numbers of hits, predicted and relevant entries."""
    predicted, relevant = predictions.bool(), targets.bool()
    columns = torch.cat([predicted & relevant, predicted, relevant], 1).float()  # (N, 3 L)

    def values(counts: Tensor) -> Values:
        exact = columns if len(columns) < EXACT else columns.double()
        sums = (counts.to(exact.dtype) @ exact).double()
        by_label = Tally(*sums.chunk(3, dim=1))
        pooled = Tally(*(each.sum(1) for each in (by_label.hits, by_label.predicted, by_label.relevant)))
        nowhere = torch.full_like(pooled.hits, torch.nan)  # a metric that reads it would be NaN
        entries = int(counts[0].sum()) * predictions.shape[1]
        tallies = Counts(by_label, Tally(nowhere, nowhere, nowhere), pooled, entries)
        return {metric.name: _of_each(metric.reduce, tallies) for metric in metrics}

    return values


def _label_curves(scores: Tensor, targets: Tensor, metrics: list[Metric]) -> Resampled:
    lists = [Ordered.of(*columns) for columns in zip(scores.unbind(1), targets.unbind(1))]

    def values(counts: Tensor) -> Values:
        table, instances = _table(counts, scores.numel()), int(counts[0].sum())
        summaries = [summary([each], table, instances) for each in lists]
        stacked = {name: torch.stack([each[name] for each in summaries], 1) for name in summaries[0]}
        unknown = torch.full_like(stacked["relevant"], torch.nan)
        curves = LabelCurves(instances, array_order=unknown, **stacked)
        return {metric.name: _of_each(metric.reduce, curves) for metric in metrics}

    return values


def _pooled_curve(scores: Tensor, targets: Tensor, metrics: list[Metric]) -> Resampled:
    labels = scores.shape[1]
    instances = torch.arange(len(scores)).repeat_interleave(labels)
    pieces = Ordered.of(scores.flatten(), targets.flatten(), instances).cut(PIECE)

    def values(counts: Tensor) -> Values:
        pooled = summary(pieces, _table(counts, scores.numel()), int(counts[0].sum()) * labels)
        curve = PooledCurve(pooled["average_precision"], pooled["area_under_roc"])
        return {metric.name: _of_each(metric.reduce, curve) for metric in metrics}

    return values


_SUMS: Mapping[Any, Callable[[Tensor, Tensor, list[Metric]], Resampled]] = {
    count: _tallies,
    rank_instances: _label_curves,
    rank_entries: _pooled_curve,
}


@dataclass(frozen=True)
class Bags:
    """Groups of instances, whose counts are summed."""

    instances: Tensor
    bounds: Tensor  # where each group begins, and the end of the last one

    @property
    def number(self) -> int:
        return len(self.bounds) - 1

    def sums(self, table: Tensor) -> Tensor:
        """(groups, B) from a table of counts (N, B)."""
        if not self.number:
            return table.new_zeros(0, table.shape[1], dtype=torch.float64)
        return embedding_bag(self.instances, table, self.bounds[:-1], mode="sum").double()

    def part(self, start: int, stop: int) -> "Bags":
        bounds = self.bounds[start : stop + 1]
        return Bags(self.instances[bounds[0] : bounds[-1]], bounds - bounds[0])


@dataclass(frozen=True)
class Ordered:
    """A list of entries, best first, in groups: those of equal score in which an entry is relevant.

    An irrelevant entry belongs to the first such group whose score is not above its own; one below all of
    them to none, as no metric asks for it.
    """

    relevant: Bags
    irrelevant: Bags
    tied: (
        Bags | None
    )  # those irrelevant entries that have the score of their group; None where there are none

    @classmethod
    def of(cls, scores: Tensor, targets: Tensor, instances: Tensor | None = None) -> "Ordered":
        """`instances` are those to which the entries belong, where they are not in their order."""
        ordered, order = promoted(scores).sort(descending=True)
        relevant = targets.bool()[order]
        with_relevant = ordered[relevant].unique_consecutive()
        group = torch.searchsorted(-with_relevant, -ordered)  # searchsorted takes what ascends
        within = group < len(with_relevant)
        tied = ~relevant & within
        tied[within] &= with_relevant[group[within]] == ordered[within]
        of = order if instances is None else instances[order]

        def bags(chosen: Tensor) -> Bags:
            sizes = torch.bincount(group[chosen], minlength=len(with_relevant))
            return Bags(of[chosen], torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]))

        return cls(bags(relevant), bags(~relevant & within), bags(tied) if tied.any() else None)

    def cut(self, size: int) -> list["Ordered"]:
        """The list in pieces of so many groups."""
        starts = range(0, max(1, self.relevant.number), size)
        parts = [
            [None if bags is None else bags.part(start, start + size) for start in starts]
            for bags in (self.relevant, self.irrelevant, self.tied)
        ]
        return [Ordered(*piece) for piece in zip(*parts)]  # pyright: ignore[reportArgumentType]


def summary(pieces: list[Ordered], table: Tensor, entries: int) -> Values:
    """What `curves` needs to know of a list of so many entries, for each column of a table of counts (N, B).

    A list in several pieces, which are small enough for the processor's cache, has no interpolated precision.
    """
    relevant_above, irrelevant_above, precise, misordered = table.new_zeros(4, table.shape[1]).double()
    best = torch.full_like(precise, torch.nan)
    for piece in pieces:
        relevant, irrelevant = piece.relevant.sums(table), piece.irrelevant.sums(table)
        relevant_within = relevant.cumsum(0).add_(relevant_above)
        irrelevant_within = irrelevant.cumsum(0).add_(irrelevant_above)
        precision = (relevant_within + irrelevant_within).clamp_(min=1).reciprocal_().mul_(relevant_within)
        if len(pieces) == 1:
            best = precision.flip(0).cummax(0).values.mul_(relevant.flip(0)).sum(0)
        relevant_above = relevant_above + relevant.sum(0)
        irrelevant_above = irrelevant_above + irrelevant.sum(0)
        if piece.tied is not None:
            irrelevant_within -= piece.tied.sums(table) / 2
        precise += precision.mul_(relevant).sum(0)
        misordered += irrelevant_within.mul_(relevant).sum(0)
    number = relevant_above
    return {
        "relevant": number,
        "average_precision": precise / number.clamp(min=1),
        "interpolated": best / number.clamp(min=1),
        "area_under_roc": 1 - misordered / (number * (entries - number)),
    }


def _table(counts: Tensor, entries: int) -> Tensor:
    """(N, B) counts in the smallest type in which sums over so many entries are exact."""
    exact = torch.float32 if entries * int(counts.max()) < EXACT else torch.float64
    return counts.T.to(exact).contiguous()


def _of_each(reduce: Callable[[Any], Tensor], prepared: Any) -> Tensor:
    """`reduce` of each entry of the first dimension that all tensors in `prepared` have."""
    return torch.vmap(lambda tensors: reduce(_with(prepared, tensors)))(_tensors(prepared))


def _apart(prepared: Any) -> Any:
    """Each instance as a list of one."""
    return _with(prepared, {name: tensor.unsqueeze(1) for name, tensor in _tensors(prepared).items()})


def _tensors(prepared: Any) -> dict[str, Any]:
    """The tensors of a prepared form, those of a form within it as a dictionary of their own."""
    values = {name: value for name, value in vars(prepared).items() if not isinstance(value, int | tuple)}
    return {name: v if isinstance(v, Tensor) else _tensors(v) for name, v in values.items()}


def _with(prepared: Any, tensors: dict[str, Any]) -> Any:
    forms = {n: t if isinstance(t, Tensor) else _with(getattr(prepared, n), t) for n, t in tensors.items()}
    return replace(prepared, **forms)
