"""How exact the products of a GPU are."""

import torch

from mlbench.config import Train


def use(train: Train) -> None:
    """TF32, which keeps 10 bits behind the comma of what is multiplied, only where it is asked for."""
    short = train.precision == "tf32"
    torch.set_float32_matmul_precision("high" if short else "highest")
    torch.backends.cudnn.allow_tf32 = short
