"""One job that Hydra composed: checked, then run. The import of torch waits for the cheap checks."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mlbench.compose import settled
from mlbench.premises import check_premises

if TYPE_CHECKING:
    from mlbench.results.record import Record


def execute(composed: DictConfig, chosen: Mapping[str, str | None]) -> "tuple[Record, Path]":
    check_premises(settled(composed, chosen, importing=False))
    from mlbench.runs.sweep import run  # imports torch

    return run(settled(composed, chosen))
