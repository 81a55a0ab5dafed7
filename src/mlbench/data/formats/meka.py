"""MEKA: an ARFF file whose @relation says how many columns are labels."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mlbench.data.formats import arff
from mlbench.data.instances import Instances
from mlbench.errors import UserError

LABELS_OPTION = re.compile(r"(?:^|[\s:])-C\s+(-?\d{1,9})")


def read(
    path: Path, labels: int | None = None, missing: str = "refuse", drop: Sequence[str | int] = ()
) -> Instances:
    """`labels` > 0: the first columns; < 0: the last ones; None: as `-C` in @relation says.

    A filter of WEKA that moves the labels keeps the old `-C` in the relation's name: then give `labels`.
    """
    return arff.read(path, lambda header: label_columns(path, header, labels), missing, drop)


def label_columns(path: Path, header: arff.Header, labels: int | None) -> list[int]:
    option = LABELS_OPTION.search(header.relation)
    if labels is None and option:
        labels = int(option[1])
    attributes = len(header.attributes)
    if not labels:
        raise UserError(
            f"{path} does not say how many columns are labels: no -C in its @relation; give dataset.labels, "
            f"n for the first n columns, -n for the last n"
        )
    if abs(labels) > attributes:
        raise UserError(f"{path} is said to have {abs(labels)} labels, but has only {attributes} columns")
    chosen = list(range(labels)) if labels > 0 else list(range(attributes + labels, attributes))
    name, times = Counter(header.attributes[column].name for column in chosen).most_common(1)[0]
    if times > 1:
        raise UserError(f"{path} has {times} labels named {name!r}: each label must have a name of its own")
    return chosen
