"""A task seen in part: by some of its labels, by one of its modalities."""

import numpy as np
import torch

from mlbench.data.task import Modality, Task

TASK = Task(
    "small",
    ("a", "b", "c"),
    (Modality("left", 0, 2), Modality("middle", 2, 3), Modality("right", 3, 7)),
    9,
    (5, 2, 0),
)


def test_labels_count_by_name_and_in_the_order_given():
    assert TASK.columns(["c", "a"]) == [2, 0]
    other = TASK.narrowed(["c", "a"])
    assert (other.labels, other.positives, other.modalities) == (("c", "a"), (0, 5), TASK.modalities)


def test_a_modality_sees_its_own_columns_from_0_on():
    for modality in TASK.modalities:
        alone = TASK.only(modality.name)
        assert alone.modalities == (Modality(modality.name, 0, modality.width),)
        assert (alone.features, alone.labels, alone.instances) == (modality.width, TASK.labels, 9)


def test_what_is_read_is_cut_in_its_last_dimension():
    for x in (torch.rand(4, 7), torch.rand(3, 4, 7)):  # alone, and side by side with other replicas
        views = TASK.views(x)
        assert [view.shape for view in views] == [(*x.shape[:-1], width) for width in (2, 1, 4)]
        assert torch.equal(torch.cat(views, dim=-1), x)
    assert np.array_equal(TASK.modalities[2].of(np.arange(7)), [3, 4, 5, 6])
