"""What a method is given to build its network on."""

from typing import Any, ClassVar, Literal, Protocol

from torch import nn

from mlbench.data.task import Kind, Task


class Network(nn.Module):
    """A torch module (..., d) → (..., width), or, if it `gives` logits, (..., d) → (..., L), one a label. One
    of images takes (B, C, H, W), from 0 to 1; `task.shape` is theirs.

    `backbone._target_` names its class, which is called with the task and the options of conf/backbone. A
    module that has these attributes need not inherit from Network.
    """

    width: int  # of the feature vectors
    gives: ClassVar[Literal["features", "logits"]] = "features"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"vector"})  # of a task, which it takes


class Backbone(Protocol):
    def __call__(self, task: Task, **changed: Any) -> Any:
        """A new Network for the task; `changed` replaces options of conf/backbone."""
        ...
