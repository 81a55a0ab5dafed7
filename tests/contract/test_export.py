"""Every method of conf/method is a graph that onnxruntime runs with PyTorch's scores, or says why not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mlbench.compose import choices
from mlbench.errors import UserError
from mlbench.export.graph import Scores
from mlbench.export.write import onnx_of, session_of
from mlbench.seeding import seed_everything

SAYS_WHY = {
    "cc": "scikit-learn's classifiers",
    "ecc": "scikit-learn's classifiers",
    "rakel": "scikit-learn's classifiers",
    "mcc": "scikit-learn's classifiers",
    "mlknn": "neighbours",
}
TWO = "dataset.modalities={m0:[0,5],m1:[6,11]}"


class Beside(nn.Module):
    """The scores of several methods in one graph: an export takes most of its time whatever is in it."""

    def __init__(self, methods):
        super().__init__()
        self.outputs = [*methods]
        self.scores = nn.ModuleList(Scores(method.as_graph(), 2) for method in methods.values())

    def forward(self, x):
        return tuple(scores(x) for scores in self.scores)


@pytest.fixture
def trained(problem, pieces, learn):
    def train(name):
        task, data = problem(labels=2, modalities=2)
        seed_everything(0)
        method = pieces(f"method={name}", TWO).method(task)
        learn(method, data, pieces(f"method={name}", TWO), steps=1)
        return method

    return train


def runs_otherwise(method):
    """Methods for which this is the same do the same with a row: only their training differs."""
    kind = type(method)
    student = type(getattr(method, "student", None))
    return kind.scores, kind.as_graph, student, getattr(kind, "probabilities", None)


def test_onnxruntime_finds_the_scores_of_every_method(trained, pytestconfig):
    methods, seen = {}, set()
    for name in choices("method"):
        method = trained(name)
        if name not in SAYS_WHY and (pytestconfig.option.thorough or runs_otherwise(method) not in seen):
            methods[name] = method
        seen.add(runs_otherwise(method))
    assert len(methods) > 10
    graph = Beside(methods).eval()
    session = session_of(onnx_of(graph, torch.randn(3, 12), Path("all"), optimize=False).SerializeToString())
    for rows in (1, 2, 7, 2000):
        x = torch.randn(rows, 12, generator=torch.Generator().manual_seed(rows))
        for name, found, expected in zip(methods, session.run(None, {"x": x.numpy()}), graph(x)):
            np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", SAYS_WHY)
def test_a_method_that_is_no_graph_says_why_and_is_none(name, trained):
    method = trained(name)
    with pytest.raises(UserError, match=SAYS_WHY[name]):
        method.as_graph()
    method.as_graph = lambda: method
    with pytest.raises(UserError, match="cannot be exported: its scores are no graph"):
        onnx_of(Beside({name: method}), torch.randn(3, 12), Path("it"))
