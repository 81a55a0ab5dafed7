"""CS3G: worked values, what it sees of a modality, that the order of modalities is of no account."""

import numpy as np
import pytest
import torch

from mlbench.compose import configure
from mlbench.data.rows import Batch
from mlbench.methods.multimodal.cs3g import CS3G
from modalities import batch_of, doubles, random_data, task_of
from references import cs3g as reference

X = [(1, -1, 0.5, 2), (0.3, 0.2, -0.6, -1)]
Y = [(1, 0), (0, 1)]


def made(widths, labels, **weights):
    given = {"row_weight": 0.001, "interaction_weight": 0.001} | weights
    return CS3G(task_of(widths, labels), **given).double()


@pytest.fixture
def worked():
    module = made([3, 1], 2, interaction_weight=0.01)
    with torch.no_grad():
        module.own.weight.copy_(doubles([(0.5, 0, -0.4, 0.2), (-0.2, 0.3, 0.1, 0.6)]))
        module.own.bias.copy_(doubles([0.1, -0.3]))
        module.interactions.copy_(doubles([(0.7, 0.8), (-0.5, 0.9)]))  # the diagonal is not looked at
    return module


def test_probabilities_and_loss(worked):
    batch = batch_of(X, Y)
    expected = doubles([(0.783895, 0.526229), (0.625159, 0.223394)])
    torch.testing.assert_close(worked.scores(batch), expected, rtol=0, atol=1e-5)
    assert worked.penalty().item() == pytest.approx(0.014883, abs=1e-5)
    assert worked.loss(batch).item() == pytest.approx(0.867646 + 0.014883, abs=1e-5)


def test_a_label_has_nothing_to_do_with_itself(worked):
    found = worked.findings()["label_interactions"]["interactions"]
    assert found.tolist() == [[0, 0.8], [-0.5, 0]]
    worked.loss(batch_of(X, Y)).backward()
    gradient = worked.interactions.grad
    assert not gradient.diagonal().any() and gradient[0, 1] != 0 != gradient[1, 0]


def test_the_order_of_the_modalities_is_of_no_account():
    torch.manual_seed(0)
    module, x = made([3, 2, 4], 5), torch.randn(7, 9).double()
    y = (torch.rand(7, 5) < 0.5).double()
    torch.nn.init.normal_(module.interactions)
    order = [*range(5, 9), *range(3), *range(3, 5)]
    other = made([4, 3, 2], 5)
    other.load_state_dict(module.state_dict() | {"own.weight": module.own.weight[:, order]})
    batch = Batch(x, y, torch.arange(7))
    torch.testing.assert_close(other.scores(batch._replace(x=x[:, order])), module.scores(batch))
    torch.testing.assert_close(other.loss(batch._replace(x=x[:, order])), module.loss(batch))


def test_it_asks_for_several_modalities(at_once):
    done = at_once("dataset=libsvm", f"dataset.path={__file__}", "dataset.labels=2", "method=cs3g")
    assert done.status == 2 and "method=cs3g needs 2 modalities or more" in done.err


def test_scene_is_three_blocks_for_it():
    config = configure(["method=cs3g", "dataset=scene"])
    assert [*config.dataset["modalities"].values()] == [[0, 97], [98, 195], [196, 293]]
    assert configure(["method=br", "dataset=scene"]).dataset.get("modalities") is None


@pytest.mark.parametrize("block", range(4))
def test_it_is_the_reference(block):
    """On 200 random models of 2 to 5 modalities in all."""
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(seed)
        widths, x, y = random_data(rng)
        shapes = reference.shapes(widths, y.shape[1])
        parameters = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        module = made(widths, y.shape[1])
        with torch.no_grad():
            blocks = [parameters[f"W_{number + 1}"] for number in range(len(widths))]
            module.own.weight.copy_(doubles(np.concatenate(blocks).T))
            module.own.bias.copy_(doubles(parameters["b"]))
            module.interactions.copy_(doubles(parameters["R"]))
        expected = reference.probabilities(parameters, x, widths)
        np.testing.assert_allclose(module.scores(batch_of(x, y)).detach(), expected, atol=1e-9)
        assert module.loss(batch_of(x, y)).item() == pytest.approx(
            reference.loss(parameters, x, y, widths), abs=1e-9
        )
