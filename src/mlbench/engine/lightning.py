"""Lightning, as the engine uses it. Whoever only scores does not wait for it."""

import logging
import os
import warnings

import lightning.pytorch  # noqa: F401 (sets its loggers' levels when imported, so before ours)
import torch
from lightning import LightningModule
from lightning.fabric import Fabric

__all__ = ["Fabric", "LightningModule"]

# Remarks on hardware, workers, logging and processes that end say nothing about a run of ours. Said here,
# and not around a call, because the processes that it spawns import this module too.
for name in (
    "lightning.pytorch",
    "lightning.fabric",
    "lightning.pytorch.utilities.rank_zero",
    "torch.multiprocessing.spawn",
):
    logging.getLogger(name).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")

# Lightning has torch ask a GPU's driver, not its runtime, whether there is a GPU. Where there is no driver,
# each step of an optimiser would search the disk for it: .16 ms, more than Adam takes for 10,000 weights.
if not torch.cuda.is_available():
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
