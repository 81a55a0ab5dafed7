"""Methods over scikit-learn's classifiers beside scikit-learn by hand, and RAkEL beside plain loops."""

import copy
import functools
import io
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.svm import LinearSVC

from mlbench import experiment
from mlbench.assemble import assemble
from mlbench.compose import configure
from mlbench.config import science
from mlbench.data.rows import Rows
from mlbench.data.sparse import sparse_rows
from mlbench.data.task import Modality, Task
from mlbench.errors import UserError
from mlbench.methods import bases
from mlbench.methods.build import build_method, packed, unpacked
from mlbench.methods.classical import rakel

NAMES = ("br", "cc", "ecc", "rakel")
QUICK = {"base": "sklearn.naive_bayes.BernoulliNB"}
FOREST = {"base": "forest", "options": {"n_estimators": 3}}
BASES = {
    "logistic": LogisticRegression(max_iter=1000),
    "svm": LinearSVC(),
    "forest": RandomForestClassifier(n_estimators=3),
}


def labelled_data(rows=60, width=8, labels=4, seed=0, sparsely=False) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (rows, width)).astype(np.float32) * (rng.random((rows, width)) < 0.5)
    y = (x @ rng.normal(size=(width, labels)) + rng.normal(size=(rows, labels)) > 0.5).astype(np.float32)
    y[0], y[1] = 0, 1  # an instance without labels; every label varies
    held = sparse_rows(sparse.csr_matrix(x)) if sparsely else torch.from_numpy(x)
    return Rows(held, torch.from_numpy(y), torch.arange(rows))


def task_for(data) -> Task:
    labels, width = data.targets.shape[1], data.x.shape[1]
    positives = tuple(data.targets.sum(0).int().tolist())
    return Task("t", tuple(map(str, range(labels))), (Modality("f", 0, width),), len(data), positives)


@functools.cache
def shipped(name):
    return configure([f"method={name}"])


def untrained(data, name, **changes):
    """The method as it is shipped, but for `changes`; of an ensemble only two chains."""
    config = shipped(name)
    changes = ({"chains": 2} if name == "ecc" else {}) | changes
    return build_method(config.method | changes, config.backbone, config.loss, task_for(data))


def fitted(data, name, seed=0, **changes):
    method = untrained(data, name, **changes)
    torch.manual_seed(seed)
    method.solve(data)
    return method


def predicted(method, data) -> torch.Tensor:
    return method.scores(data.batch(torch.arange(len(data))))


def seeds_drawn(count, seed=0) -> list[int]:
    torch.manual_seed(seed)
    return [int(torch.randint(2**31 - 1, ())) for _ in range(count)]


def by_hand(base, seed):
    model = copy.deepcopy(BASES[base])
    return model.set_params(random_state=seed)


def columns_of(base, model, x):
    """Probabilities (N, L) of scikit-learn's meta-estimators."""
    if base != "svm":
        probabilities = model.predict_proba(x)
        return (
            np.stack([own[:, 1] for own in probabilities], 1)
            if isinstance(probabilities, list)
            else probabilities
        )
    if isinstance(model, ClassifierChain):
        return expit(model.decision_function(x))
    return np.stack([expit(own.decision_function(x)) for own in model.estimators_], 1)


def chosen(base):
    return FOREST if base == "forest" else {"base": base}


@pytest.mark.parametrize("base", BASES)
def test_binary_relevance_is_scikit_learns(base):
    data, other = labelled_data(), labelled_data(seed=1)
    (seed,) = seeds_drawn(1)
    x, y = data.x.double().numpy(), data.targets.numpy()
    model = MultiOutputClassifier(by_hand(base, seed)).fit(x, y)
    expected = columns_of(base, model, other.x.double().numpy()).astype(np.float32)
    assert np.array_equal(predicted(fitted(data, "br", **chosen(base)), other), expected)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("order", [None, "random", [3, 1, 0, 2]])
def test_a_chain_is_scikit_learns(base, order):
    data, other = labelled_data(), labelled_data(seed=1)
    seed, second = seeds_drawn(2)
    model = ClassifierChain(by_hand(base, seed), order=order, random_state=second)
    model.fit(data.x.double().numpy(), data.targets.numpy())
    expected = columns_of(base, model, other.x.double().numpy()).astype(np.float32)
    assert np.array_equal(predicted(fitted(data, "cc", order=order, **chosen(base)), other), expected)


def test_an_ensemble_is_the_mean_of_chains_in_random_orders():
    data, other = labelled_data(), labelled_data(seed=1)
    seeds = seeds_drawn(6)
    models = [
        ClassifierChain(by_hand("logistic", own), order="random", random_state=drawn).fit(
            data.x.double().numpy(), data.targets.numpy()
        )
        for own, drawn in zip(seeds[::2], seeds[1::2])
    ]
    expected = np.mean([model.predict_proba(other.x.double().numpy()) for model in models], axis=0)
    method = fitted(data, "ecc", chains=3)
    np.testing.assert_array_equal(predicted(method, other), expected.astype(np.float32))
    assert len({tuple(model.order_) for model in method.learned["learner"]}) > 1


def votes_by_loops(data, other, labelsets):
    """Label powersets by hand: a class is a string of zeros and ones."""
    x, y = data.x.double().numpy(), data.targets.int().numpy()
    yes, votes = Counter(), Counter()
    for labelset in labelsets:
        classes = ["".join(str(row[label]) for label in labelset) for row in y]
        model = LogisticRegression(max_iter=1000).fit(x, classes)
        for row, word in enumerate(model.predict(other.x.double().numpy())):
            for place, label in enumerate(labelset):
                yes[row, label] += word[place] == "1"
                votes[row, label] += 1
    return [[yes[row, label] / votes[row, label] for label in range(y.shape[1])] for row in range(len(other))]


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({}, [3] * 10),
        ({"k": 2, "subsets": 4}, [2] * 4),
        ({"overlapping": False}, [3, 2]),
        ({"k": 5}, [5]),
        ({"k": 9, "overlapping": False}, [5]),
    ],
)
def test_rakel_is_the_papers(changes, sizes):
    data, other = labelled_data(labels=5), labelled_data(labels=5, seed=1)
    method = fitted(data, "rakel", **changes)
    labelsets = [labelset for labelset, _, _ in method.learned["learner"]]
    assert [len(labelset) for labelset in labelsets] == sizes
    assert len(set(labelsets)) == len(labelsets)
    assert {label for labelset in labelsets for label in labelset} == set(range(5))
    expected = torch.tensor(votes_by_loops(data, other, labelsets))
    assert torch.equal(predicted(method, other), expected)


@pytest.mark.parametrize("seed", range(20))
def test_every_label_is_in_a_labelset_and_no_labelset_comes_twice(seed):
    torch.manual_seed(seed)
    for labels, k, count in ((7, 3, 3), (100, 3, 34), (5, 2, 50), (4, 3, 8), (30, 1, 60), (983, 3, 1966)):
        if labels > 100 and seed:
            continue
        sets = rakel.overlapping(labels, k, count)
        assert len(sets) == len(set(sets)) and {label for own in sets for label in own} == set(range(labels))
        assert all(len(set(own)) == k and own == tuple(sorted(own)) for own in sets)
        apart = rakel.disjoint(labels, k)
        assert sorted(label for own in apart for label in own) == list(range(labels))
        assert [len(own) for own in apart] == [k] * (labels // k) + [labels % k] * (labels % k > 0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [*((name, {}) for name in NAMES), ("br", {"base": "svm"}), ("cc", QUICK), ("rakel", FOREST)],
)
def test_sparse_features_are_worth_as_much(name, changes):
    dense, thin = labelled_data(), labelled_data(sparsely=True)
    scores = predicted(fitted(dense, name, **changes), dense)
    torch.testing.assert_close(predicted(fitted(thin, name, **changes), thin), scores, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_sparse_features_stay_sparse(name):
    """Dense, 20,000 rows of 200,000 columns would fill 32 GB."""
    rows = labelled_data(rows=20_000, width=2, labels=3)
    cells = np.ones(40_000), np.arange(40_000) * 4, np.arange(0, 40_001, 2)
    data = replace(rows, x=sparse_rows(sparse.csr_matrix(cells, (20_000, 200_000))))
    method = fitted(data, name, **QUICK)
    assert method.scores(data.batch(torch.arange(2))).shape == (2, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_label_that_never_varies_keeps_its_value_and_the_others_are_as_without_it(name):
    data = labelled_data(labels=6)
    data.targets[:, 0], data.targets[:, 3] = 1, 0
    rest = replace(data, targets=data.targets[:, [1, 2, 4, 5]])
    orders = ({"order": [3, 5, 0, 1, 4, 2]}, {"order": [3, 0, 2, 1]}) if name == "cc" else ({}, {})
    scores = predicted(fitted(data, name, **QUICK, **orders[0]), data)
    assert (scores[:, 0] == 1).all() and (scores[:, 3] == 0).all()
    assert torch.equal(scores[:, [1, 2, 4, 5]], predicted(fitted(rest, name, **QUICK, **orders[1]), rest))


@pytest.mark.parametrize("name", NAMES)
def test_with_nothing_to_learn_scores_are_the_labels(name):
    data = labelled_data()
    data = replace(data, targets=torch.tensor([0.0, 1, 1, 0]).repeat(len(data), 1))
    assert torch.equal(predicted(fitted(data, name), data), data.targets)
    one = data.rows(torch.tensor([3]))
    assert torch.equal(predicted(fitted(one, name), one), one.targets)


@pytest.mark.parametrize("name", NAMES)
def test_a_forest_repeats_to_the_bit_and_another_seed_is_another(name):
    data = labelled_data(rows=40)
    first, again, other = (predicted(fitted(data, name, seed, **FOREST), data) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_all_of_it(name):
    data, file = labelled_data(), io.BytesIO()
    method, other = fitted(data, name, **QUICK), untrained(data, name, **QUICK)
    torch.save(method.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for same in (other, copy.deepcopy(other)):
        assert torch.equal(predicted(same, data), predicted(method, data))


def test_a_base_with_neither_probabilities_nor_a_decision_function_says_yes_or_no():
    class Plain(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, x):
            return (x[:, 0] > 1).astype(int)

    model = Plain().fit(np.zeros((2, 1)), [0, 1])
    assert bases.confidence(model, np.array([[0.0], [2.0]])).tolist() == [0, 1]


def test_fits_that_fall_short_are_counted():
    data = labelled_data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(data, "br", options={"max_iter": 1}).facts() == {"fits_not_converged": 4}
    assert fitted(data, "br").facts() == {"fits_not_converged": 0}


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("forrest", "there are logistic, svm, forest, .* did you mean forest"),
        ("sklearn.svm.LinearSVM", "cannot be imported: .* did you mean LinearSV"),
        ("no.such.Thing", "cannot be imported"),
        ("sklearn.svm.SVR", "is no classifier"),
        ("os.path.join", "is no classifier of scikit-learn's kind"),
        ("sklearn.multioutput.ClassifierChain", "cannot be built from options alone"),
    ],
)
def test_what_is_no_base_is_said(base, said):
    with pytest.raises(ValueError, match=said):
        bases.known(base)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=br", "method.base=forrest"], "method.base=forrest: there are .* did you mean forest"),
        (["method=br", "method.options={c: 1}"], "base=logistic has no c; did you mean C"),
        (["method=br", "method.options={C: -1}"], "The 'C' parameter of LogisticRegression must be a float"),
        (["method=ecc", "method.options={random_state: 1}"], "follows from the run's seed"),
        (["method=cc", "method.order=reverse"], "method.order=reverse: is random, null .* or a list"),
        (
            ["method=rakel", "method.subsets=3", "method.overlapping=false"],
            "leave it null, or overlapping=true",
        ),
    ],
)
def test_a_mistake_is_said_in_one_line_before_anything_is_read(words, said):
    with pytest.raises(UserError, match=said) as error:
        configure(words)
    assert "\n" not in str(error.value)


def test_what_does_not_go_with_the_data_is_said_in_one_line():
    data = labelled_data()
    with pytest.raises(UserError, match="name each of the 4 labels of t once"):
        untrained(data, "cc", order=[0, 1, 2])
    with pytest.raises(UserError, match="it takes 2 or more"):
        untrained(data, "rakel", subsets=1)
    below = replace(data, x=data.x - 1)
    with pytest.raises(UserError, match="MultinomialNB: Negative values"):
        fitted(below, "br", base="sklearn.naive_bayes.MultinomialNB")
    with pytest.raises(UserError, match="GaussianNB takes no sparse features"):
        fitted(labelled_data(sparsely=True), "br", base="sklearn.naive_bayes.GaussianNB")


@pytest.mark.parametrize("name", ["br", "cc"])
def test_hard_scores_are_what_the_classifiers_say(name):
    data = labelled_data()
    said = predicted(fitted(data, name, scores="hard"), data)
    sure = predicted(fitted(data, name), data)
    assert torch.equal(said, (sure > 0.5).float()) and not torch.equal(said, sure)
    x, y = data.x.double().numpy(), data.targets.numpy()
    by_hand = {"br": MultiOutputClassifier, "cc": ClassifierChain}[name](BASES["logistic"]).fit(x, y)
    assert np.array_equal(said, by_hand.predict(x))


def test_probabilities_go_without_saying_so_that_keys_stay():
    plain, hard = shipped("br"), configure(["method=br", "method.scores=hard"])
    assert "scores" not in science(plain, {})["method"] and plain.method["scores"] == "probability"
    assert science(hard, {})["method"]["scores"] == "hard"


def test_a_whole_run_and_the_model_it_leaves(tmp_path):
    overrides = [f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}", f"method.base={QUICK['base']}"]
    config = configure(["method=rakel", "dataset=multidigits", *overrides])
    record, path = experiment.run(config)
    assert record.metrics["last"]["f1_macro"] > 0.3 and record.facts == {"fits_not_converged": 0}
    method, task = unpacked(path.parent / "model.pt")
    saved = np.load(path.parent / "scores.npz")
    instances = assemble(config).dataset.load(config.paths.cache).instances
    data = Rows.from_instances(instances, saved["ids"])
    assert len(task.labels) == 10
    assert np.array_equal(predicted(method, data).numpy(), saved["last"])


WIDELY = [
    *(("br", {"base": base}) for base in ("logistic", "svm", "sklearn.svm.SVC")),
    ("br", FOREST),
    ("cc", FOREST),
    ("ecc", {"base": "svm"}),
    ("rakel", FOREST),
    ("br", {"base": "sklearn.ensemble.GradientBoostingClassifier", "options": {"n_estimators": 3}}),
    ("br", {"base": "sklearn.neural_network.MLPClassifier", "options": {"max_iter": 3}}),
    ("br", {"base": "sklearn.neighbors.KNeighborsClassifier"}),
    ("br", {"base": "sklearn.linear_model.SGDClassifier"}),
]


@pytest.mark.parametrize("sparsely", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(("name", "changes"), WIDELY, ids=lambda given: str(given))
def test_what_is_loaded_scores_as_what_was_saved(name, changes, sparsely, tmp_path):
    """To the last bit, on features of any size, with hundreds of columns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 300)).astype(np.float32) * 10.0 ** rng.integers(-3, 3, 300)
    x[rng.random(x.shape) < 0.7] = 0
    y = torch.from_numpy((x[:, :3] > np.median(x[:, :3], axis=0)).astype(np.float32))
    x = x.astype(np.float32)
    held = sparse_rows(sparse.csr_matrix(x)) if sparsely else torch.from_numpy(x)
    data = Rows(held, y, torch.arange(90))
    config = configure([f"method={name}"])
    nodes = {"method": config.method | changes, "backbone": config.backbone, "loss": config.loss}
    method = build_method(**nodes, task=task_for(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method.solve(data)
    torch.save(packed(method, nodes, task_for(data)), tmp_path / "model.pt")
    again, _ = unpacked(tmp_path / "model.pt")
    torch.save(packed(again, nodes, task_for(data)), tmp_path / "again.pt")
    third, _ = unpacked(tmp_path / "again.pt")
    for other in (again, third):
        assert torch.equal(predicted(other, data), predicted(method, data))
