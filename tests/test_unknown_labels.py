"""NaN in Y: labels that are not known are left out of the loss, and their rows of what is fitted later."""

import numpy as np
import pandas as pd
import pytest

from mlbench import Classifier
from mlbench.errors import UserError

SGD = ["train/optimizer=sgd", "train.optimizer.momentum=0", "train.batch_size=64"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    Y = (X @ rng.normal(size=(4, 3)) > 0.3).astype(float)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def trained(data, rate, **how):
    options = [*SGD, f"train.optimizer.lr={rate}", *how.pop("options", [])]
    return Classifier("erm", backbone="linear", epochs=1, options=options, **how).fit(*data)


def test_a_step_is_down_the_gradient_of_the_known_entries(data):
    """Of plain loops: Σ over known entries of (σ(z) − y) x, over their number."""
    X, Y = data
    start, after = (trained(data, rate).model_.head for rate in (0.0, 1.0))
    weight, bias = start.weight.detach().double().numpy(), start.bias.detach().double().numpy()
    by_weight, by_bias, known = np.zeros_like(weight), np.zeros_like(bias), 0
    for x, y in zip(X, Y):
        for label in range(3):
            if not np.isnan(y[label]):
                error = 1 / (1 + np.exp(-(x @ weight[label] + bias[label]))) - y[label]
                by_weight[label] += error * x
                by_bias[label] += error
                known += 1
    np.testing.assert_allclose(after.weight.detach(), weight - by_weight / known, atol=1e-5)
    np.testing.assert_allclose(after.bias.detach(), bias - by_bias / known, atol=1e-5)


def test_what_stands_in_the_place_of_nan_is_of_no_account(data):
    X, Y = data
    frame = pd.DataFrame(Y, columns=["a", "b", "c"])
    first, second = (trained((X, own), 0.5).predict_proba(X) for own in (Y, frame))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, trained((X, np.nan_to_num(Y)), 0.5).predict_proba(X))


def test_rows_with_an_unknown_label_train_and_validate_nothing(data):
    """The best epoch and the cuts are those of the rows that are known, whatever the others would say."""
    X, Y = data
    whole = ~np.isnan(Y).any(1)
    model = trained(
        data, 0.5, validation=0.5, threshold="cardinality", options=["selection.rule=best", "train.epochs=3"]
    )
    assert model.task_.instances == len(Y) - whole.sum() // 2
    assert all(0 <= row["validation_f1_macro"] <= 1 for row in model.history_["train"])
    on_training = trained(data, 0.5, threshold="lcard_global", options=["threshold.fit_on=training"])
    share = on_training.predict(X[whole]).mean()
    assert share == pytest.approx(Y[whole].mean(), abs=1 / whole.sum())


def test_what_cannot_leave_them_out_says_so(data):
    X, Y = data
    for how, said in (
        ({"method": "br"}, "method=br needs to know every label of every row"),
        ({"loss": "ranking"}, "loss=ranking is no sum over single entries"),
        ({"loss": "r_focal"}, "loss=bce, focal, asl, cb_focal and cb_ntr can"),
    ):
        with pytest.raises(UserError, match=said):
            Classifier(**{"method": "erm", "epochs": 1} | how).fit(X, Y)
    never = Y.copy()
    never[:, 1] = np.nan
    with pytest.raises(UserError, match="label 'label2' is NaN in every row: leave it out"):
        Classifier(epochs=1).fit(X, never)
    nowhere = np.where(np.arange(3) == np.arange(60)[:, None] % 3, np.nan, np.nan_to_num(Y))
    with pytest.raises(UserError, match="threshold=lcard_global is fitted on rows without NaN"):
        trained((X, nowhere), 0.5, threshold="lcard_global", options=["threshold.fit_on=training"])


@pytest.mark.parametrize("loss", ["focal", "asl", "cb_focal", "cb_ntr"])
def test_every_loss_that_can_learns_from_what_is_known(loss, data):
    X, Y = data
    model = Classifier("erm", backbone="linear", loss=loss, epochs=40, options=["train.optimizer.lr=0.05"])
    scores = model.fit(X, Y).predict_proba(X)
    assert scores[Y == 1].mean() > scores[Y == 0].mean() + 0.1
