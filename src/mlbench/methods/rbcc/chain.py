"""RBCC: a network over labels says which others a label looks at, and a recurrent unit that all labels share
goes over these (Gerych et al., Recurrent Bayesian Classifier Chains for Exact Multi-Label Classification,
NeurIPS 2021).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mlbench.data.rows import Batch, Rows
from mlbench.data.task import Task
from mlbench.errors import UserError
from mlbench.layers import Embedding, Linear, beside, each, gated, pieces
from mlbench.methods.base import Learner, Loss, Method, Parts, Stage
from mlbench.methods.rbcc.network import climbed, levels_of

Positive = Annotated[int, Field(ge=1)]
MOST_LABELS = 200
ENTRIES = (
    2**24
)  # of the largest tensor that scoring makes, 64 MB: fewer rows at once where there are many labels


class PredictorSettings(BaseModel):
    """Options of the networks that predict one half of the rows from the other."""

    model_config = ConfigDict(extra="forbid")

    epochs: Positive
    batch_size: Positive
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    hidden: Positive


class RBCC(Method):
    parents: Tensor  # (L, L), whether the label of a row has that of a column for a parent
    order: Tensor  # (L,) labels, those with more parents first
    position: Tensor  # (L,) where a label stands in that order
    walked: Tensor  # (L, L) the parents of each label in that order, in the labels' order; then others
    given: Tensor  # (L, L) 1 for those that are parents
    steps: list[int]  # how many labels have a first, second, … input; the first one all
    levels: list[tuple[list[int], list[int]]] | None  # parents first: places in that order, and their steps

    def __init__(
        self,
        task: Task,
        loss: Loss,
        hidden: Positive,
        halves: Literal["file", "random"],
        max_parents: Positive | None,
        drop_unlabelled: bool,
        residuals: PredictorSettings,
    ):
        super().__init__()
        labels = len(task.labels)
        if labels > MOST_LABELS:
            raise UserError(
                f"method=rbcc looks for a network over labels, of which {task.name} has {labels}: each move "
                f"is chosen among all pairs, counted over all rows, so it takes {MOST_LABELS} labels at most"
            )
        self.values = Embedding(labels, 3 * hidden)  # the GRU's input weight, of each label's value
        self.features = Linear(task.features, 3 * hidden)  # that of x, and its bias
        self.states = Linear(hidden, 3 * hidden)
        for parameter in (*self.values.parameters(), *self.features.parameters(), *self.states.parameters()):
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)  # as of torch's GRU
        self.output = Linear(hidden, labels)
        self.objective = loss
        self.halves, self.max_parents, self.drop_unlabelled = halves, max_parents, drop_unlabelled
        self.settings = PredictorSettings.model_validate(residuals)
        self.at_once = max(ENTRIES // (labels * 3 * hidden), 1)
        self.register_buffer("parents", torch.zeros(labels, labels, dtype=torch.bool))
        for name in ("order", "position", "walked", "given"):
            self.register_buffer(name, None, persistent=False)
        arrange(self)
        self.register_load_state_dict_post_hook(arrange)

    def stages(self, data: Parts) -> Iterator[Stage]:
        train, labels = data["train"], len(self.parents)
        labelled = train.targets.any(1)
        if self.drop_unlabelled and labelled.any():
            train = train.rows(labelled.nonzero().flatten())
        if len(train) > 1 and labels > 1:
            order = torch.randperm(len(train)) if self.halves == "random" else train.ids.argsort()
            halves = [train.rows(rows) for rows in order.to(train.device).tensor_split([len(train) // 2])]
            predictors = [Predictors(train.x.shape[1], labels, self.settings) for _ in halves]
            for name, predictor, half in zip(("first_half", "second_half"), predictors, halves):
                yield predictor.stage(name, half, awaited=name == "second_half")

            def solve(_: Rows) -> None:
                residuals = [
                    by.to(half.device).residuals(half) for by, half in zip(predictors, reversed(halves))
                ]
                network = climbed(torch.cat(residuals).cpu().numpy(), self.max_parents)
                self.parents.copy_(torch.from_numpy(network))
                arrange(self)

            yield Stage("network", self, train, solve=solve)
        yield Stage("train", self, train)

    def findings(self) -> dict[str, dict[str, Tensor]]:
        return {"label_network": {"parents": self.parents}}

    def facts(self) -> dict[str, float]:
        return {"edges": int(self.parents.sum()), "most_parents": int(self.parents.sum(-1).max())}

    def loss(self, batch: Batch) -> Tensor:
        logits = self.logits_at(self.features(batch.x), batch.targets, slice(None), self.steps)
        position = self.position.unsqueeze(-2).expand(logits.shape)
        return self.objective(logits.gather(-1, position), batch.targets)

    def scores(self, batch: Batch) -> Tensor:
        return torch.cat([self.probabilities(x) for x in pieces(batch.x, self.at_once)])

    def probabilities(self, x: Tensor) -> Tensor:
        """Level by level, parents first: children see 1 where a parent's probability is above .5, else 0."""
        if self.levels is None:
            raise UserError("its network over labels goes round in a circle: run again with force=true")
        features, predicted = self.features(x), x.new_zeros(x.shape[0], len(self.parents))
        for level, steps in self.levels:
            places = torch.tensor(level, device=x.device)
            logits = self.logits_at(features, (predicted > 0.5).to(x), places, steps)
            predicted[:, self.order[places]] = logits.sigmoid()
        return predicted

    def logits_at(
        self, features: Tensor, values: Tensor, places: slice | Tensor, steps: Sequence[int]
    ) -> Tensor:
        """Logits (..., B, n) of the labels at these places of the order, from x's input to the unit's gates,
        `features` (..., B, 3H), and the values of all labels (..., B, L).

        The unit takes a step for each parent of a label and sees x and the parent's value; a label without
        parents takes one step and sees x alone. All labels that have a step left take it at once.
        """
        longest = len(steps)
        labels, walked = self.order[..., places], self.walked[..., places, :longest]
        shown = values.gather(-1, across(walked.flatten(-2), values)).unflatten(-1, walked.shape[-2:])
        shown = shown * self.given[..., places, :longest].unsqueeze(-3)
        weights = self.values(walked).unsqueeze(-4)  # (..., 1, n, T, 3H)
        state, ended = None, []
        for step, (count, later) in enumerate(zip(steps, [*steps[1:], 0])):
            value = shown[..., :count, step].unsqueeze(-1)
            seen = features.unsqueeze(-2) + value * weights[..., :count, step, :]
            state = self.moved(seen, state)
            ended.append(state[..., later:, :])
            state = state[..., :later, :]
        states = torch.cat(ended[::-1], -2)
        weight = self.output.weight.gather(-2, labels.unsqueeze(-1).expand(*labels.shape, states.shape[-1]))
        bias = self.output.bias.gather(-1, labels)
        return (states * weight.unsqueeze(-3)).sum(-1) + bias.unsqueeze(-2)

    def moved(self, seen: Tensor, state: Tensor | None) -> Tensor:
        """The state (..., B, n, H) after one more input; None stands for a state of 0."""
        if state is None:
            return gated(seen, beside(self.states.bias, seen), seen.new_zeros(()))
        return gated(seen, self.states(state), state)


class Predictors(Learner):
    """A network with one hidden layer for each label, side by side."""

    def __init__(self, features: int, labels: int, settings: PredictorSettings):
        super().__init__()
        self.settings, self.labels = settings, labels
        self.inner = Linear(features, labels * settings.hidden)
        bound = settings.hidden**-0.5  # as of a linear layer
        self.weight = nn.Parameter(torch.empty(labels, settings.hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(labels).uniform_(-bound, bound))

    def stage(self, name: str, data: Rows, awaited: bool) -> Stage:
        settings = self.settings
        return Stage(
            name,
            self,
            data,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            walk="passes",
            optimizer=settings.optimizer,
            scheduler=settings.scheduler,
            selects=False,
            awaited=awaited,
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Biases are decayed as weights, whatever conf/train says."""
        decay = self.settings.optimizer.get("weight_decay", 0.0)
        return [{"params": [*self.parameters()], "weight_decay": decay}]

    def logits(self, x: Tensor) -> Tensor:
        hidden = each(torch.sigmoid, 2, self.inner(x)).unflatten(-1, (self.labels, -1))
        return (hidden * beside(self.weight, hidden, 2)).sum(-1) + self.bias.unsqueeze(-2)

    def loss(self, batch: Batch) -> Tensor:
        """The sum over labels of each label's mean: the labels' networks have no gradient in common."""
        return each(entropies, 2, self.logits(batch.x), batch.targets).mean(-2).sum(-1)

    @torch.no_grad()
    def residuals(self, data: Rows) -> Tensor:
        """Labels minus hard predictions, (N, L) in −1, 0, 1."""
        blocks = torch.arange(len(data), device=data.device).split(4096)
        predicted = [(self.logits(batch.x) > 0).to(batch.targets) for batch in map(data.batch, blocks)]
        return (data.targets - torch.cat(predicted)).to(torch.int8)


def arrange(module: RBCC, *_: Any) -> None:
    """Sets what follows from `parents`, after these were learned or loaded from a file."""
    with torch.no_grad():
        counts = module.parents.sum(-1)
        module.order = counts.argsort(descending=True, stable=True)
        module.position = module.order.argsort()
        parents_in_order = module.parents[module.order]
        module.walked = (~parents_in_order).to(torch.uint8).argsort(dim=-1, stable=True)
        module.given = parents_in_order.gather(-1, module.walked).float()
        module.steps = steps_of(counts.tolist())
        module.levels = levels_in(module.parents.tolist(), module.position.tolist())


def levels_in(parents: list[list[bool]], position: list[int]) -> list[tuple[list[int], list[int]]] | None:
    """Each level's positions in the order, ascending, and how many of its labels take each step."""
    levels = levels_of(parents)
    if levels is None:
        return None
    ordered = [sorted(level, key=position.__getitem__) for level in levels]
    return [
        ([position[label] for label in level], steps_of([sum(parents[label]) for label in level]))
        for level in ordered
    ]


def steps_of(counts: Sequence[int]) -> list[int]:
    """Of labels with these counts of parents, how many take each step; a label without parents takes one."""
    inputs = np.maximum(counts, 1)
    return [int((inputs > step).sum()) for step in range(inputs.max(initial=1))]


def across(index: Tensor, like: Tensor) -> Tensor:
    """An index (..., n), repeated for every row of `like` (..., B, L)."""
    return index.unsqueeze(-2).expand(*like.shape[:-1], index.shape[-1])


def entropies(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
