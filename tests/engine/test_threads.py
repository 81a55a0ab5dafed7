"""One thread for small models, torch's own number for large ones, and whatever a person asks for."""

import pytest
import torch
from torch import nn

from mlbench.engine import threads


@pytest.fixture(autouse=True)
def as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("asked", "width", "batch_size", "replicas", "expected"),
    [
        ("auto", 100, 64, 1, 1),
        ("auto", 1000, 100, 1, 3),
        ("auto", 100, 100, 100, 3),  # a stack is as large as all in it
        ("auto", 1000, 99, 1, 1),
        (2, 1000, 1000, 1, 2),
        (2, 1, 1, 1, 2),
        (None, 1, 1, 1, 4),
    ],
)
def test_the_model_decides_where_nobody_does(
    asked, width, batch_size, replicas, expected, problem, monkeypatch
):
    monkeypatch.setattr(threads, "ALL", 3)
    torch.set_num_threads(4)
    threads.use(problem.settings(threads=asked), nn.Linear(width, width, bias=False), batch_size, replicas)
    assert torch.get_num_threads() == expected


def test_one_thread_where_there_is_no_model(problem):
    torch.set_num_threads(2)
    threads.use(problem.settings(threads="auto"))
    assert torch.get_num_threads() == 1
