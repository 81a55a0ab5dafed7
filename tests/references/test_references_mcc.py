"""The plain reference of the multi-modal classifier chain, against the page's values and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import ClassifierChain

from references import mcc

WIDTHS = (2, 1, 3)


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 6))
    y = (x @ random.normal(size=(6, 3)) * 3 + random.normal(size=(60, 3)) > 0).astype(int)
    return x, y


def test_the_rule():
    assert mcc.confidence((0.9, 0.2, 0.6)) == pytest.approx(0.766667, abs=1e-6)
    assert mcc.goes_on((0.9, 0.2, 0.6))
    assert mcc.confidence((0.97, 0.04, 0.95)) == pytest.approx(0.96, abs=1e-12)
    assert not mcc.goes_on((0.97, 0.04, 0.95))


def test_a_chain_is_that_of_scikit_learn():
    x, y = data()
    learner = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    expected = ClassifierChain(learner).fit(x[:40], y[:40]).predict_proba(x[40:])
    links = mcc.chain(x[:40], y[:40], c=1.0)
    np.testing.assert_allclose([mcc.linked(links, row) for row in x[40:]], expected, atol=1e-6)


def test_rows_stop_where_they_are_sure():
    x, y = data()
    chains = mcc.chains(x[:40], y[:40], WIDTHS, c=10.0)
    found, taken = mcc.predicted(chains, x[40:], WIDTHS, theta=0.85)
    assert {*taken} == {1, 2, 3}
    for row, probabilities, count in zip(x[40:], found, taken):
        tried = [mcc.linked(chains[k], row[: sum(WIDTHS[: k + 1])]) for k in range(count)]
        assert probabilities == tried[-1]
        assert all(mcc.goes_on(before, 0.85) for before in tried[:-1])
        assert count == 3 or not mcc.goes_on(probabilities, 0.85)


def test_the_cut_decides_how_many_are_taken():
    x, y = data()
    chains = mcc.chains(x, y, WIDTHS)
    assert mcc.predicted(chains, x, WIDTHS, theta=0.5)[1] == [1] * 60
    assert mcc.predicted(chains, x, WIDTHS, theta=1.0)[1] == [3] * 60


def test_a_label_of_one_class():
    links = mcc.chain([[0.0], [1.0], [2.0]], [(1, 0), (1, 1), (1, 1)])
    assert links[0] == 1.0 and mcc.linked(links, [0.5])[0] == 1.0
