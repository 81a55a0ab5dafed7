"""A method as scikit-learn's estimator: its conventions, its mistakes, and the numbers of the command line.

That every shipped method gives the scores of a run stands in tests/engine/test_together.py.
"""

import pickle
import random

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mlbench import Classifier, experiment
from mlbench.compose import configure
from mlbench.errors import UserError

ONE_COLUMN = "it gives labels other than 0 and 1, or one column of classes, where a label set is a row of 0/1"
NOT_PASSED = {
    "check_estimators_dtypes": ONE_COLUMN,
    "check_dtype_object": ONE_COLUMN,
    "check_estimator_sparse_array": ONE_COLUMN,
    "check_estimator_sparse_matrix": ONE_COLUMN,
    "check_classifier_data_not_an_array": ONE_COLUMN,
    "check_classifiers_one_label": ONE_COLUMN,
    "check_classifiers_classes": ONE_COLUMN,
    "check_classifiers_train": ONE_COLUMN,
    "check_classifier_not_supporting_multiclass": ONE_COLUMN,
    "check_fit2d_1feature": ONE_COLUMN,
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 6)).astype(np.float32)
    return X, (X @ rng.normal(size=(6, 3)) > 0.3).astype(int)


def quick(**how):
    return Classifier(**{"backbone": "linear", "epochs": 3} | how)


def test_what_scikit_learn_asks_of_an_estimator():
    """All of its checks that a method for label sets can be asked; the others are named, with the reason."""
    results = check_estimator(quick(epochs=2), expected_failed_checks=NOT_PASSED, on_fail=None, on_skip=None)
    by_status = {status: {r["check_name"] for r in results if r["status"] == status} for status in STATUSES}
    assert by_status["failed"] == set() and by_status["xfail"] == NOT_PASSED.keys()
    assert len(by_status["passed"]) > 30


STATUSES = ("passed", "failed", "xfail")


def test_a_run_of_the_same_rows_gives_the_same_scores_and_label_sets(tmp_path, data):
    """With a validation part, the best epoch, a scaler and a fitted threshold."""
    X, Y = data
    for name, rows in {"train": slice(60), "test": slice(60, None)}.items():
        np.savez(tmp_path / f"{name}.npz", features=X[rows], targets=Y[rows].astype(np.uint8))
    words = ["train.epochs=4", "split.validation=0.2", "seed=3", "threshold=cardinality", "backbone=linear"]
    words += ["train.progress=false", "selection.rule=best", "loss=focal"]
    own = ["dataset=npz", f"dataset.path={tmp_path}/train.npz", f"dataset.test={tmp_path}/test.npz"]
    own += ["split=official", "dataset.scaling=zscore"]
    config = configure([*own, *words, f"paths.outputs={tmp_path}/o", f"paths.cache={tmp_path}/c"])
    record, path = experiment.run(config)

    how = {"loss": "focal", "epochs": 4, "scaling": "zscore", "threshold": "cardinality", "validation": 0.2}
    ours = Classifier(backbone="linear", seed=3, options=["selection.rule=best"], **how).fit(X[:60], Y[:60])
    with np.load(path.with_name("scores.npz")) as kept:
        np.testing.assert_array_equal(ours.predict_proba(X[60:]), kept["best"])
    assert ours.score(X[60:], Y[60:]) == pytest.approx(record.metrics["best"]["subset_accuracy"], abs=1e-12)


def test_sparse_matrices_and_data_frames(data):
    X, Y = data
    X = np.where(X > 0, X, 0)
    dense = quick().fit(X, Y).predict_proba(X)
    thin = quick().fit(sparse.csc_array(X), sparse.csr_matrix(Y))
    np.testing.assert_allclose(thin.predict_proba(sparse.coo_matrix(X)), dense, atol=1e-6)
    columns = [f"column {number}" for number in range(6)]
    framed = quick().fit(pd.DataFrame(X, columns=columns), pd.DataFrame(Y, columns=["sun", "rain", "wind"]))
    assert list(framed.classes_) == ["sun", "rain", "wind"]
    np.testing.assert_array_equal(framed.predict_proba(pd.DataFrame(X, columns=columns)), dense)
    with pytest.raises(ValueError, match="feature names"):
        framed.predict(pd.DataFrame(X, columns=columns[::-1]))


def test_within_scikit_learn(data):
    X, Y = data
    within = make_pipeline(StandardScaler(), quick())
    assert cross_val_predict(within, X, Y, cv=3, method="predict_proba").shape == Y.shape
    searched = GridSearchCV(quick(), {"epochs": [1, 2], "loss": ["bce", "asl"]}, cv=2).fit(X, Y)
    assert searched.best_params_.keys() == {"epochs", "loss"}
    fitted = quick(method="flem", backbone="mlp").fit(X, Y)
    assert clone(fitted).get_params() == fitted.get_params()
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_the_seed_decides_and_the_callers_random_numbers_go_on(data):
    X, Y = data
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (the caller's own)
    torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    first = quick(backbone="mlp").fit(X, Y)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected  # noqa: NPY002
    second, other = quick(backbone="mlp").fit(X, Y), quick(backbone="mlp", seed=1).fit(X, Y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert (first.predict_proba(X) != other.predict_proba(X)).any()


def test_modalities(data):
    X, Y = data
    both = {"one": [0, 1], "two": [2, 5]}
    fitted = Classifier("mcc", modalities=both).fit(X, Y)
    assert fitted.predict_proba(X).shape == Y.shape
    with pytest.raises(UserError, match="method=mcc needs 2 modalities or more, dataset=memory has 1"):
        Classifier("mcc").fit(X, Y)


@pytest.mark.parametrize(
    "how, sentence",
    [
        ({"method": "fle"}, "method=fle: no such method.*did you mean flem"),
        ({"method": "ant", "backbone": None}, "method=ant needs a part teacher_0"),
        ({"threshold": "oracle"}, "threshold=oracle is fitted on a test part"),
        ({"options": ["selection.rule=oracle"]}, "selection.rule=oracle looks at a test part"),
        ({"options": ["selection.rule=best"]}, "selection.rule=best needs a validation part"),
        ({"options": ["split=holdout"]}, "an estimator trains on all rows"),
        ({"options": ["train.epoch=3"]}, "train.epoch: no such key"),
        ({"scaling": "zscor"}, "dataset.scaling=zscor: choose"),
        ({"modalities": {"one": [0, 2]}}, "modalities"),
    ],
)
def test_what_cannot_be_trained(how, sentence, data):
    with pytest.raises(UserError, match=sentence):
        quick(**how).fit(*data)


@pytest.mark.parametrize(
    "Y, sentence",
    [
        (np.full((90, 3), 2), "Y holds 2, and a label is 0 or 1"),
        (np.full((90, 3), np.nan), "Y holds no 1"),
        (np.zeros((90, 3)), "Y holds no 1"),
        (np.ones(90), r"Y has 1 dimension\(s\)"),
        (np.ones((7, 3)), "X has 90 rows, Y has 7"),
        (np.array([["a"] * 3] * 90), "Y holds 'a'"),
    ],
)
def test_labels_that_are_none(Y, sentence, data):
    with pytest.raises(ValueError, match=sentence):
        quick().fit(data[0], Y)
