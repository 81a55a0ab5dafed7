"""One job that Hydra composed: checked, then run. The import of torch waits for the cheap checks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mlbench.compose import settled
from mlbench.premises import check_premises

if TYPE_CHECKING:
    from mlbench.results.record import Record


def execute(
    composed: DictConfig, chosen: Mapping[str, str | None], asked: Sequence[str] = ()
) -> "tuple[Record, Path]":
    """`asked` are the words that a person typed; a message names those of them that change nothing."""
    check_premises(settled(composed, chosen, importing=False))
    from mlbench.assemble import tell_untrained  # imports torch
    from mlbench.runs.sweep import run

    config = settled(composed, chosen)
    tell_untrained(config, tuple(asked))
    return run(config)
