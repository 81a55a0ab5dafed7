"""Training and scoring under Lightning."""

import logging
import warnings

import lightning.pytorch  # noqa: F401 (sets its loggers' levels when imported, so before ours)

# Remarks on hardware, workers, logging and processes that end say nothing about a run of ours. Said here,
# and not around a call, because the processes it spawns import this module too.
for name in (
    "lightning.pytorch",
    "lightning.fabric",
    "lightning.pytorch.utilities.rank_zero",
    "torch.multiprocessing.spawn",
):
    logging.getLogger(name).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")
