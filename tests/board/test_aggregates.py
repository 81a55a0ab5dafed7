"""Aggregates of a board beside plain loops, closed forms and scikit-learn, with ties and missing cells."""

import itertools
import math

import numpy as np
import pandas
import pytest

import made_up_board
from mlbench.board import aggregates, by_frequency, elo, sensitivity, standing
from mlbench.board.grid import Grid, Row, block, duels, grid

NAN = math.nan


def made_up_grid(seed=0, datasets=6, splits=3, rows=5, better="high", missing=0.25, levels=8):
    """Few levels, so that there are ties; a prior first; a share of the cells is missing."""
    draws = np.random.default_rng(seed)
    values = draws.integers(0, levels, (datasets, splits, rows)) / levels
    values[draws.random(values.shape) < missing] = NAN
    named = [Row("prior"), *(Row(f"m{number}") for number in range(1, rows))]
    names = [f"d{number}" for number in range(datasets)]
    return Grid("f1_macro", better, names, named, values, np.zeros(values.shape, bool))


def known(values):
    return [value for value in values if not math.isnan(value)]


def average(values):
    values = known(values)
    return sum(values) / len(values) if values else NAN


@pytest.mark.parametrize("metric", ["f1_macro", "brier"])
def test_a_grid_is_the_means_of_the_records_and_failures_have_the_score_of_the_prior(metric):
    frame = made_up_board.records()
    frame = frame[~((frame["dataset"] == "scene") & (frame["method"] == "prior"))]
    failed = (frame["dataset"] == "scene") & (frame["method"] == "br")
    frame.loc[failed & (frame["variant"] == "tuned"), ["state", metric]] = ["memory", NAN]
    made = grid(frame, metric)
    assert made.better == ("low" if metric == "brier" else "high")
    lines = {
        tuple(line[:4]): line
        for line in frame[["dataset", "split", "method", "variant", "state", metric]].values
    }
    for (d, dataset), split, (r, row) in itertools.product(
        enumerate(made.datasets), (0, 1), enumerate(made.rows)
    ):
        *_, state, value = lines.get((dataset, split, *row), (None, NAN))
        imputed = state in ("timeout", "memory")
        if imputed:
            value = lines.get((dataset, split, "prior", "default"), (NAN,))[-1]
        assert made.values[d, split, r] == pytest.approx(value, nan_ok=True)
        assert made.imputed[d, split, r] == (imputed and dataset != "scene")
    assert made.imputed.sum() == 1
    assert math.isnan(made.means[made.datasets.index("birds"), made.rows.index(Row("flem"))])


def test_seeds_of_a_split_are_averaged():
    frame = made_up_board.records(datasets=["scene"], splits=1, tuned=())
    twice = frame.copy()
    twice["f1_macro"] += 0.02
    both = grid(pandas.concat([frame, twice], ignore_index=True), "f1_macro")
    assert both.values == pytest.approx(grid(frame, "f1_macro").values + 0.01)


@pytest.mark.parametrize("better", ["high", "low"])
def test_duels_are_a_plain_loop_over_the_splits_that_both_have(better):
    made = made_up_grid(better=better, missing=0.4)
    found = duels(made)
    outcomes = set()
    for d, i, j in itertools.product(range(6), range(5), range(5)):
        apart = average([one - other for one, other in zip(made.values[d, :, i], made.values[d, :, j])])
        expected = NAN if i == j or math.isnan(apart) else 0.5 if abs(apart) < 1e-9 else float(apart > 0)
        if better == "low" and not math.isnan(expected):
            expected = 1 - expected
        assert found[d, i, j] == pytest.approx(expected, nan_ok=True)
        outcomes.add(str(expected))
    assert outcomes == {"nan", "0.0", "0.5", "1.0"}


def test_of_two_rows_the_ratings_are_the_logarithm_of_the_odds():
    won = np.full((10, 2, 2), NAN)
    won[:, 0, 1], won[:, 1, 0] = [1] * 7 + [0] * 2 + [0.5], [0] * 7 + [1] * 2 + [0.5]
    made = elo.ratings(won, anchor=1)
    assert made.elo == pytest.approx([1000 + 400 * math.log10((7.5 + 0.5) / (2.5 + 0.5)), 1000])
    assert made.low[0] < made.elo[0] < made.high[0] and made.low[1] == made.high[1] == pytest.approx(1000)


def test_ratings_are_the_likeliest_as_a_plain_loop_finds_them():
    """The loop is Zermelo's: a strength becomes the wins over Σ games / (strength + the other's)."""
    made = duels(made_up_grid(datasets=9, missing=0.3))
    size = made.shape[1]
    met = ~np.isnan(made)
    won = np.nansum(made, 0) + elo.ADDED * met.any(0)
    games = won + won.T
    strength = [1.0] * size
    for _ in range(5000):
        for i in range(size):
            others = [j for j in range(size) if j != i]
            strength[i] = sum(won[i, j] for j in others) / sum(
                games[i, j] / (strength[i] + strength[j]) for j in others
            )
    expected = [1000 + 400 * math.log10(each / strength[2]) for each in strength]
    assert elo.rating(made, np.ones((1, 9)), 2)[0] == pytest.approx(expected, abs=1e-4)


def test_ratings_equal_those_of_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    made = duels(made_up_grid(seed=3, datasets=8, missing=0))
    lines, answers, weights = [], [], []
    for i, j in itertools.permutations(range(5), 2):
        line = np.zeros(5)
        line[i], line[j] = 1, -1
        lines.append(line)
        answers.append(1)
        weights.append(made[:, i, j].sum() + elo.ADDED)
        lines.append(-line)
        answers.append(0)
        weights.append(made[:, i, j].sum() + elo.ADDED)
    fitted = LogisticRegression(fit_intercept=False, C=1e9, tol=1e-8)
    strengths = fitted.fit(lines, answers, sample_weight=weights).coef_[0] * 400 / math.log(10)
    assert elo.ratings(made, 0).elo == pytest.approx(1000 + strengths - strengths[0], abs=0.05)


def test_a_row_is_rated_with_three_data_sets_and_an_interval_narrows_with_more():
    made = made_up_grid(datasets=40, missing=0, levels=1000)
    made.values[2:, :, 4] = NAN
    all_of_them, few = elo.ratings(duels(made), 0), elo.ratings(duels(made)[:6], 0)
    assert np.isnan(all_of_them.elo).tolist() == [False, False, False, False, True]
    assert np.isnan(all_of_them.low[4]) and np.isnan(few.elo[4])
    assert (all_of_them.high - all_of_them.low)[1:4].max() < (few.high - few.low)[1:4].min()
    mean = elo.ratings(duels(made)[:, :4, :4], None)
    assert mean.elo.mean() == pytest.approx(1000)
    nothing = elo.ratings(np.full((0, 3, 3), NAN), None)
    assert np.isnan(nothing.elo).all()


def test_data_sets_on_which_nothing_was_run_do_not_widen_the_intervals():
    frame = made_up_board.records(splits=1, tuned=())
    planned = frame.assign(dataset="planned", state="not_run", f1_macro=NAN)
    one, other = (standing.standing(each, "f1_macro") for each in (frame, pandas.concat([frame, planned])))
    for name in ("elo", "low", "high"):
        assert getattr(other.ratings, name) == pytest.approx(getattr(one.ratings, name), nan_ok=True)
    assert other.best_place == pytest.approx(one.best_place, nan_ok=True)
    names = {row: row.method for row in other.grid.rows}
    (first, part), (second, _) = (each.compared("default", names) for each in (other, one))
    assert first == second and "planned" not in part.datasets


def test_who_always_wins_has_a_finite_rating():
    won = np.full((5, 2, 2), NAN)
    won[:, 0, 1], won[:, 1, 0] = 1, 0
    assert elo.ratings(won, 1).elo[0] == pytest.approx(1000 + 400 * math.log10(5.5 / 0.5))


def test_win_rates_count_ties_half():
    made = duels(made_up_grid(missing=0.5, seed=2))
    found = aggregates.win_rates(made)
    for i, j in itertools.product(range(5), range(5)):
        assert found[i, j] == pytest.approx(average(made[:, i, j]), nan_ok=True)
        assert math.isnan(found[i, j]) or found[i, j] + found[j, i] == pytest.approx(1)


@pytest.mark.parametrize("better", ["high", "low"])
def test_improvability_and_the_normalised_score_are_plain_loops(better):
    made = made_up_grid(better=better, missing=0.5, seed=4, datasets=12)
    made.values[0], made.values[1, :, 1:], made.values[2, :, 0] = 0.25, 0.0 if better == "high" else 1.0, NAN
    gaps, scores = aggregates.improvability(made), aggregates.normalised(made)
    for d in range(12):
        means = [average(made.values[d, :, r]) for r in range(5)]
        errors = means if better == "low" else [1 - value for value in means]
        best, floor = min(known(errors)), errors[0]
        for r, error in enumerate(errors):
            if math.isnan(error):
                assert math.isnan(gaps[d, r]) and math.isnan(scores[d, r])
                continue
            assert gaps[d, r] == pytest.approx(100 * (error - best) / error if error else 0)
            if math.isnan(floor):
                assert math.isnan(scores[d, r])
            elif floor == best:
                assert scores[d, r] == (error == best)
            else:
                assert scores[d, r] == pytest.approx(min(1, max(0, (floor - error) / (floor - best))))
    assert scores[0].tolist() == [1] * 5 and np.isnan(scores[2]).all()


def test_the_front_is_who_is_beaten_by_nobody():
    draws = np.random.default_rng(0)
    cost, score = draws.integers(0, 8, 40).astype(float), draws.integers(0, 8, 40).astype(float)
    cost[3], score[4] = NAN, NAN
    points = list(zip(cost, score))

    def beaten(one):
        return any(c <= one[0] and s >= one[1] and (c, s) != one for c, s in points if c == c and s == s)

    expected = {
        at for at, one in enumerate(points) if one[0] == one[0] and one[1] == one[1] and not beaten(one)
    }
    found = aggregates.front(cost, score)
    assert set(found) == expected and list(cost[found]) == sorted(cost[found])


def test_a_block_has_no_gap_and_loses_no_more_than_it_must():
    there = np.ones((6, 5), bool)
    there[:4, 4] = there[5, 1] = False
    assert block(there) == ([0, 1, 2, 3, 4], [0, 1, 2, 3])
    assert block(np.zeros((2, 2), bool)) == ([0, 1], [])
    made = made_up_grid(missing=0.5)
    assert not np.isnan(aggregates.whole(made).means).any()


def test_mean_ranks_are_those_of_a_complete_grid():
    made = made_up_grid(missing=0, levels=1000)
    compared = aggregates.ranked(made, [row.method for row in made.rows])
    expected = (-made.means).argsort(1).argsort(1).mean(0) + 1
    assert [*compared.mean_ranks.values()] == pytest.approx(expected)
    assert 0 <= compared.p <= 1 and compared.critical_difference > 0 and not compared.nemenyi


def test_the_geometric_mean_leaves_out_what_is_unknown_and_knows_nothing_below_a_millisecond():
    assert aggregates.geometric(np.array([[1, NAN], [100, 8], [NAN, 0]])) == pytest.approx([10, 0.008**0.5])


def test_places_and_what_becomes_of_them_without_one_data_set():
    assert sensitivity.places(np.array([900, NAN, 1100, 900])).tolist() == pytest.approx(
        [2, NAN, 1, 2], nan_ok=True
    )
    made = duels(made_up_grid(datasets=7, missing=0.2))
    best, worst = sensitivity.left_out(made, 0)
    placed = [sensitivity.places(elo.ratings(np.delete(made, d, 0), 0).elo) for d in range(7)]
    assert best.tolist() == np.min(placed, 0).tolist() and worst.tolist() == np.max(placed, 0).tolist()
    assert np.isnan(sensitivity.left_out(made[:3], 0)).all()


def test_agreement_is_kendalls_over_what_both_have():
    one, other = np.array([1, 2, 3, NAN]), np.array([3, 2, 1, 1])
    assert sensitivity.agreement([one, other]) == pytest.approx(np.array([[1, -1], [-1, 1]]))
    assert np.isnan(sensitivity.agreement([one * NAN, other])[0]).all()


def test_tuning_is_counted_over_the_data_sets_that_have_both():
    frame = made_up_board.records(splits=1)
    made = grid(frame, "f1_macro")
    found = {each.method: each for each in sensitivity.tuning(made)}
    assert found.keys() == {"br", "flem"}
    table = frame.pivot_table(index=["dataset", "method"], columns="variant", values="f1_macro").dropna()
    for method, each in found.items():
        rows = table.xs(method, level="method")
        apart = rows["tuned"] - rows["default"]
        assert (each.datasets, each.better, each.worse) == (len(rows), (apart > 0).sum(), (apart < 0).sum())
        assert each.gain == pytest.approx(float((100 * apart / (1 - rows["default"])).mean()))
    assert found["flem"].datasets == 3 and found["br"].datasets == 4


def test_labels_are_binned_by_their_training_rows():
    edges = {0: 0, 9: 0, 10: 1, 29.5: 1, 30: 2, 999: 4, 1000: 5, 10**6: 5}
    assert {support: by_frequency.bin_of(support) for support in edges} == edges
    assert [by_frequency.name_of(at) for at in (0, 4, 5)] == ["0–9", "300–999", "1,000 and more"]
    labels = made_up_board.labels(made_up_board.records())
    found = by_frequency.bins(labels)
    inside = labels[(labels["method"] == "br") & (labels["variant"] == "default")]
    inside = inside[(inside["support"] >= 10) & (inside["support"] < 30)]
    line = found[(found["method"] == "br") & (found["variant"] == "default") & (found["bin"] == 1)].iloc[0]
    assert line["f1"] == pytest.approx(inside.groupby("dataset")["f1"].mean().mean())
    assert (line["labels"], line["datasets"]) == (len(inside), inside["dataset"].nunique())
