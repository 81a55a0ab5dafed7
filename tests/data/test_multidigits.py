"""The embedded data set: the same bytes everywhere, labels that depend on one another, images used once."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from mlbench.data.instances import statistics
from mlbench.data.multidigits import CELLS, LABELS, MultiDigits, draw_digits, raw_draws
from mlbench.errors import UserError

YAML = Path(__file__).parents[2] / "conf" / "dataset" / "multidigits.yaml"


def described(**instead) -> MultiDigits:
    says = OmegaConf.to_container(OmegaConf.load(YAML))
    return MultiDigits(**{name: value for name, value in says.items() if name != "_target_"} | instead)


@pytest.fixture(scope="module")
def embedded() -> MultiDigits:
    return described()


@pytest.fixture(scope="module")
def canvases(embedded, tmp_path_factory):
    return embedded.load(tmp_path_factory.mktemp("cache"))


def cell_images(features: np.ndarray) -> np.ndarray:
    """(rows, 4, 64), in sixteenths."""
    return (features.reshape(-1, 4, 64) * 16).astype(int)


def test_the_bytes_are_those_of_the_checksum(embedded, canvases):
    instances = canvases.instances
    data = instances.features.astype("<f4").tobytes() + instances.targets.tobytes()
    assert hashlib.sha256(data).hexdigest() == embedded.sha256


def test_the_statistics_are_those_stated(embedded, canvases):
    found = statistics(canvases.instances) | {part: len(rows) for part, rows in canvases.official.items()}
    assert {name: found[name] for name in embedded.statistics} == dict(embedded.statistics)
    assert set(embedded.statistics) == set(found)


def test_it_offers_what_a_data_set_from_files_offers(embedded, canvases):
    assert (embedded.name, embedded.kind, embedded.official) == ("multidigits", "vector", ("train", "test"))
    assert embedded.modality_names == tuple(canvases.instances.modalities) == CELLS
    assert tuple(canvases.official) == embedded.official
    assert embedded.identity() == {
        "name": "multidigits",
        "sha256": embedded.sha256,
        "modalities": {
            "top_left": [0, 64],
            "top_right": [64, 128],
            "bottom_left": [128, 192],
            "bottom_right": [192, 256],
        },
        "scaling": "none",
    }
    ranges = {cell: list(columns) for cell, columns in canvases.instances.modalities.items()}
    assert ranges == embedded.identity()["modalities"]
    assert canvases.instances.labels == LABELS


def test_an_unknown_scaling_is_refused_before_anything_is_made():
    with pytest.raises(UserError, match=r"did you mean minmax\?"):
        described(scaling="min-max")


def test_other_bytes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"^multidigits: the canvases made have SHA-256 [0-9a-f]{64}, not 00"):
        described(sha256="00").load(tmp_path)


def test_the_official_parts_cover_the_rows(canvases):
    train, test = canvases.official["train"], canvases.official["test"]
    assert np.array_equal(np.concatenate([train, test]), np.arange(len(canvases.instances)))


def test_the_labels_are_the_digits_to_be_seen(canvases):
    digits = load_digits()
    shown = {tuple(image): digit for image, digit in zip(digits.data.astype(int).tolist(), digits.target)}
    assert len(shown) == len(digits.target), "no two images are alike"
    for cells, target in zip(cell_images(canvases.instances.features), canvases.instances.targets):
        seen = [shown[tuple(cell)] for cell in cells.tolist() if any(cell)]
        assert sorted(seen) == np.flatnonzero(target).tolist(), "every label in one cell, once"


def test_no_image_is_in_both_parts(canvases):
    cells = cell_images(canvases.instances.features)
    used = [
        {tuple(cell) for cell in cells[rows].reshape(-1, 64).tolist() if any(cell)}
        for rows in (canvases.official["train"], canvases.official["test"])
    ]
    assert not used[0] & used[1]
    assert len(used[0]) > 1000 and len(used[1]) > 500


def test_the_canvas_is_four_cells(canvases):
    x = canvases.instances.features[canvases.instances.targets.sum(axis=1) == 4][0]
    canvas = x.reshape(2, 2, 8, 8).transpose(0, 2, 1, 3).reshape(16, 16)
    assert np.array_equal(canvas[:8, 8:], x[64:128].reshape(8, 8))
    assert np.array_equal(canvas[8:, :8], x[128:192].reshape(8, 8))
    assert x.min() == 0 and x.max() == 1


def test_some_labels_depend_on_one_another(canvases):
    targets = canvases.instances.targets.astype(float)
    correlation = np.corrcoef(targets.T)
    successors = [correlation[digit, digit + 1] for digit in range(9)]
    opposites = targets.T @ targets
    assert min(successors) > 0.1, "neighbours attract each other"
    assert all(opposites[digit, digit + 5] == 0 for digit in range(5)), "digits five apart exclude each other"
    assert correlation[0, 5] < -0.3
    shares = targets.mean(axis=0)
    assert shares.max() / shares.min() > 5, "labels are of different frequency"


def test_draws_keep_the_rules():
    draws = raw_draws(1)
    sets = [draw_digits(draws) for _ in range(6000)]
    sizes = np.bincount([len(digits) for digits in sets])[1:] / 6000
    np.testing.assert_allclose(sizes, [1 / 6, 1 / 3, 1 / 3, 1 / 6], atol=0.02)
    assert all(len(set(digits)) == len(digits) for digits in sets)
    first = np.bincount([digits[0] for digits in sets], minlength=10) / 6000
    np.testing.assert_allclose(first, np.arange(10, 0, -1) / 55, atol=0.02)
    assert all((digit + 5) % 10 not in digits for digits in sets for digit in digits)


def test_the_raw_stream_is_the_one_numpy_promises():
    draws = raw_draws(0)
    assert [next(draws) for _ in range(2)] == [11749869230777074271, 4976686463289251617]


def test_a_linear_model_learns_it_in_part(canvases):
    instances = canvases.instances
    train, test = canvases.official["train"], canvases.official["test"]
    predicted = np.stack(
        [
            LogisticRegression(C=1.0, max_iter=200)
            .fit(instances.features[train], labelled)
            .predict(instances.features[test])
            for labelled in instances.targets[train].T
        ],
        axis=1,
    )
    assert 0.7 < f1_score(instances.targets[test], predicted, average="macro") < 0.9
