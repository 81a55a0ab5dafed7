"""One training step of MulSupCon's first stage: who follows, looks and enters, and in which order.

Parameters are those that `mulsupcon.backbone`, `projection` and `distributions` name, of the online encoder
(`query`) and of the momentum encoder (`key`, which has no need of fc). Both begin as the same. The views
`first` and `second` are B × d, `y` B × c. Dropout is off.
"""

from dataclasses import dataclass

from references.arithmetic import Matrix, Parameters
from references.mulsupcon import (
    MOMENTUM,
    Queue,
    backbone,
    distributions,
    followed,
    of_length_one,
    projection,
)


@dataclass(frozen=True)
class Step:
    """`key` and `queue` are as the step leaves them; the others are what its loss is of."""

    key: Parameters
    queue: Queue
    z: Matrix
    keys: Matrix
    labels: Matrix
    d: Matrix
    stored: Matrix


def step(
    query: Parameters,
    key: Parameters,
    queue: Queue,
    first: Matrix,
    second: Matrix,
    y: Matrix,
    momentum: float = MOMENTUM,
    source: str = "backbone",
) -> Step:
    """The key encoder follows before the forward; the step's keys enter the queue after its loss."""
    key = followed(key, query, momentum)
    h = backbone(query, first)
    z, d = of_length_one(projection(query, h)), distributions(query, h, source)
    own = of_length_one(projection(key, backbone(key, second)))
    keys, labels, stored = queue.references(own, y, d)
    return Step(key, queue.after(own, y, d), z, keys, labels, d, stored)
