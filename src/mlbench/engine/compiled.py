"""A loss compiled by torch.compile: fewer and fused operations, for a minute before the first step."""

from collections.abc import Callable

import torch
from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.errors import UserError, one_line


def compiled(loss: Callable[[Batch], Tensor]) -> Callable[[Batch], Tensor]:
    """The loss, compiled anew for each shape of batches."""
    from torch._dynamo.exc import TorchDynamoException  # what any failure of the compiler is

    torch.compiler.reset()  # torch compiles a function a few times only, and counts those of other stages
    made = torch.compile(loss, dynamic=False)

    def act(batch: Batch) -> Tensor:
        try:
            return made(batch)
        except TorchDynamoException as error:
            raise UserError(
                f"train.compile=true: this step cannot be compiled here ({one_line(str(error))[:200]}); "
                "train.compile=false computes it as it is"
            ) from error

    return act
