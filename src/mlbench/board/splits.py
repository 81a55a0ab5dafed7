"""Writes the index files of published splits, the same bytes whenever and wherever."""

import json
from pathlib import Path

from mlbench.compose import configure
from mlbench.config import options, target
from mlbench.data.published import folder, made
from mlbench.files import write


def write_splits(words: list[str], out: Path | None = None) -> Path:
    """The index file of the data set that words such as dataset=emotions choose; `out`: not in conf/."""
    config = configure(["method=prior", *words])
    dataset = target(config.dataset)(**options(config.dataset))
    targets = dataset.load(config.paths.cache).instances.targets
    path = out or folder() / f"{dataset.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, json.dumps(made(dataset.name, targets), indent=1) + "\n")
    return path
