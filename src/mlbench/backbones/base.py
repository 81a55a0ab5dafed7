"""What a method is given to build its network on."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field
from torch import nn

from mlbench.data.task import Kind, Task

Rate = Annotated[float, Field(gt=0)]


class Network(nn.Module):
    """A torch module (..., d) → (..., width), or, if it `gives` logits, (..., d) → (..., L), one a label. One
    of images takes (B, C, H, W), from 0 to 1; `task.shape` is theirs. One of texts takes (B, T), numbers of
    `task.vocabulary`, with 0 where a text has ended.

    `backbone._target_` names its class, which is called with the task and the options of conf/backbone. A
    module that has these attributes need not inherit from Network. A deep one may have `blocks`: parts that
    are called once in a pass each; train.strategy=fsdp has the weights of one whole at a time.
    """

    width: int  # of the feature vectors
    gives: ClassVar[Literal["features", "logits"]] = "features"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"vector"})  # of a task, which it takes
    # Options that only first weights depend on: what a trained one is built with again has null there.
    at_first: ClassVar[tuple[str, ...]] = ()


class Rated(Network):
    """One with a learning rate of its own, of which parts may be frozen: these stay in evaluation mode."""

    def __init__(self, rate: Rate):
        super().__init__()
        self.rate = rate
        self.frozen: tuple[nn.Module, ...] = ()  # a tuple, so that they do not count as parts once more

    def freeze(self, parts: Sequence[nn.Module]) -> None:
        self.frozen = tuple(parts)
        for part in self.frozen:
            part.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": trained, "rate": self.rate}] if trained and self.rate != 1 else []


class Backbone(Protocol):
    def __call__(self, task: Task, **changed: Any) -> Any:
        """A new Network for the task; `changed` replaces options of conf/backbone."""
        ...
