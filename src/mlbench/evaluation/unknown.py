"""`mlbench.metrics` takes targets that are NaN for labels that are not known, and leaves their entries out.

- A metric of the entries in one list is that of the known ones: the micro metrics, hamming_loss, bce, brier.
- A mean over instances is one over those of which a label is known, each with its known labels alone.
- A mean over labels is one over those that are known of an instance, each with these instances alone.

An instance or a label that leaves a metric undefined is left out of the mean, such as an instance with fewer
than k known labels of a metric of the top k. psp_at_k is refused: its sums need every label.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mlbench.errors import UserError
from mlbench.evaluation.frequency import Frequencies, group_of
from mlbench.evaluation.groups import grouped
from mlbench.evaluation.metric import Metric
from mlbench.evaluation.resampled import of_each_instance
from mlbench.evaluation.suite import METRICS, find

POOLED = {"hamming_loss", "hamming_accuracy", "bce", "brier"}  # and all that end in _micro


def of_known(
    metric: Metric, outputs: Tensor, targets: Tensor, known: Tensor, frequencies: Frequencies | None = None
) -> Tensor:
    """The metric of the entries (N, L) for which `known` is true."""
    stem, group = grouped(METRICS).get(metric.name, (metric.name, None))
    if not known.any():
        return targets.new_tensor(torch.nan, dtype=torch.float64)
    if metric.counted and group is None:
        raise UserError(f"{metric.name} needs every label of an instance, and some targets are NaN")
    if group is None and (stem in POOLED or stem.endswith("_micro")):
        return metric(outputs[known].unsqueeze(1), targets[known].unsqueeze(1))
    if bool(outputs[known].isnan().any()):
        return targets.new_tensor(torch.nan, dtype=torch.float64)
    if metric.of_instances and group is None:
        return of_blocks(lambda *block: of_each_instance(metric, *block), outputs, targets, known).nanmean()
    base = find(stem)
    values = of_blocks(lambda *block: of_each_label(base, *block), outputs.T, targets.T, known.T)
    if group is not None:
        assert frequencies is not None, f"{metric.name} needs the labels' frequencies in training"
        values = values[group_of(frequencies, group).to(values.device)]
    if stem == "f1_weighted":
        weights = (targets.bool() & known).sum(0).double()
        return (values.nan_to_num(0) * weights).sum() / weights.sum().clamp(min=1)
    return values.nanmean()


def of_blocks(
    measure: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor, known: Tensor
) -> Tensor:
    """(N,) what `measure` says of each row's known entries; NaN where a row has none.

    Rows with equally many known entries are a block without gaps, and are measured at once.
    """
    values = torch.full((len(known),), torch.nan, dtype=torch.float64, device=outputs.device)
    sizes = known.sum(1)
    for size in sizes[sizes > 0].unique().tolist():
        rows = sizes == size
        block = [part[rows][known[rows]].view(-1, size) for part in (outputs, targets)]
        values[rows] = measure(*block)
    return values


def of_each_label(metric: Metric, outputs: Tensor, targets: Tensor) -> Tensor:
    """(L,) what a mean over labels is of each label alone; `outputs` (L, n)."""
    prepared = metric.prepare(outputs.T.contiguous(), targets.T.contiguous())
    labels = torch.arange(len(outputs), device=outputs.device)
    return torch.stack([metric.reduce(prepared.narrowed(label)) for label in labels.split(1)])
