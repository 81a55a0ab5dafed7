"""What a method is given to build its network on."""

from typing import Any, ClassVar, Literal, Protocol

from torch import nn

from mlbench.data.task import Task


class Network(nn.Module):
    """A torch module of (..., d) → (..., width); one that `gives` logits makes (..., L) of it, one a label.

    It is what `backbone._target_` names, called with the task and the options of conf/backbone. Nobody need
    inherit it: any module with these will do.
    """

    width: int  # of the features it gives
    gives: ClassVar[Literal["features", "logits"]] = "features"


class Backbone(Protocol):
    def __call__(self, task: Task, **changed: Any) -> Any:
        """A new Network for the task; `changed` takes the place of options of conf/backbone."""
        ...
