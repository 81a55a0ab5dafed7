"""Visual words, Fisher vectors and the three modalities made with them: against plain loops, learned from
training images alone.
"""

import dataclasses

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from mlbench.compose import configure
from mlbench.data.instances import Instances
from mlbench.data.raw import Images
from mlbench.encoders import encode
from mlbench.encoders.classical import Classical
from mlbench.encoders.descriptors import NUMBERS, descriptors, grey
from mlbench.encoders.fisher_vector import FisherVector
from mlbench.encoders.hog import HOG
from mlbench.encoders.pictures import pictures
from mlbench.encoders.visual_words import VisualWords
from mlbench.errors import UserError
from pictures import encoded, tarred

SHARED = {"size": 40, "step": 3, "sample": 60, "seed": 0}
SMALL = SHARED | {"words": 5, "gaussians": 3, "components": 4, "cell": 10, "block": 1, "orientations": 9}


def noise(seed, sides=(40, 40)):
    return np.random.default_rng(seed).integers(0, 256, (*sides, 3)).astype(np.uint8)


@pytest.fixture
def images(tmp_path):
    """Five images; the last two are of another kind than the rest: stripes."""
    arrays = [noise(seed) for seed in range(3)]
    stripes = np.repeat(np.tile([0, 255], 20)[None], 40, 0)
    arrays += [np.stack([each] * 3, -1).astype(np.uint8) for each in (stripes, stripes.T)]
    files = {f"{number}.png": encoded(array) for number, array in enumerate(arrays)}
    return Images(tarred(tmp_path / "images.tar", files), tuple(files), tuple(files))


def fitted(kind, images, rows=(0, 1, 2), **options):
    made = kind(**options)
    made.fit(images[np.array(rows)])
    return made


def test_descriptors_are_roots_of_shares_at_every_step():
    found = descriptors(noise(0)[..., 0], 3)
    assert found.shape == (4 * 4, NUMBERS) and NUMBERS == 104  # 40 - 2 · 15 places, every third
    np.testing.assert_allclose((found**2).sum(1), 1, rtol=1e-4)


def test_visual_words_by_a_loop(images):
    encoder = fitted(VisualWords, images, **SHARED, words=5)
    found, centres = encoder.encode(images, "cpu"), encoder.learned["centres"]
    assert found.shape == (5, 5) == (5, len(encoder.feature_names())) and found.dtype == np.float32
    for row, image in zip(found, pictures(images, lambda each: grey(each, 40))):
        expected = np.zeros(5)
        places = descriptors(image, 3)
        for place in places:
            expected[min(range(5), key=lambda word: ((place - centres[word]) ** 2).sum())] += 1
        np.testing.assert_allclose(row, expected / len(places), atol=1e-6)


def test_a_fisher_vector_by_a_loop(images):
    """The gradients of Perronnin et al. (2010), Eq. 16 to 18, before roots and length;
    scikit-image has the last ones with the other sign.
    """
    encoder = fitted(FisherVector, images, **SHARED, gaussians=3, components=4)
    mixture = encoder.mixture
    found = descriptors(noise(7)[..., 0], 3)
    within = np.array([(each - encoder.learned["mean"]) @ encoder.learned["directions"] for each in found])
    weights, means, deviations = mixture.weights_, mixture.means_, np.sqrt(mixture.covariances_)
    of_weights, of_means, of_deviations = np.zeros(3), np.zeros((3, 4)), np.zeros((3, 4))
    for x in within:
        density = [
            weights[k] * np.prod(np.exp(-(((x - means[k]) / deviations[k]) ** 2) / 2) / deviations[k])
            for k in range(3)
        ]
        for k in range(3):
            share = density[k] / sum(density)
            z = (x - means[k]) / deviations[k]
            of_weights[k] += (share - weights[k]) / np.sqrt(weights[k]) / len(within)
            of_means[k] += share * z / np.sqrt(weights[k]) / len(within)
            of_deviations[k] += share * (1 - z**2) / np.sqrt(2 * weights[k]) / len(within)
    expected = np.concatenate([of_weights, of_means.ravel(), of_deviations.ravel()])
    expected = np.sign(expected) * np.sqrt(abs(expected))
    np.testing.assert_allclose(encoder.vector(found), expected / np.linalg.norm(expected), atol=1e-5)


def test_components_are_the_principal_ones_and_gaussians_scikit_learns(images):
    encoder = FisherVector(**SHARED, gaussians=2, components=3)
    sample = np.random.default_rng(1).normal(size=(200, NUMBERS)) * np.linspace(3, 0.1, NUMBERS)
    encoder.learn(sample)
    within = (sample - encoder.learned["mean"]) @ encoder.learned["directions"]
    spread = np.linalg.svd(sample - sample.mean(0), compute_uv=False)[:3] ** 2 / 199
    np.testing.assert_allclose(np.cov(within, rowvar=False), np.diag(spread), atol=1e-8)
    fresh = GaussianMixture(2, covariance_type="diag", random_state=0).fit(within)
    np.testing.assert_allclose(encoder.mixture.predict_proba(within), fresh.predict_proba(within), atol=1e-6)


def test_the_sizes_are_those_of_ml2000():
    node = configure(["dataset=ml2000", "encoder/image=classical"]).encoder["image"]
    made = Classical(**{name: value for name, value in node.items() if name != "_target_"})
    assert made.blocks() == {"visual_words": 500, "hog": 576, "fisher_vector": 1040}
    assert 16 * (2 * 32 + 1) == 1040 and made.width == 2116 == len(set(made.feature_names()))


def test_three_modalities_are_those_of_the_three_encoders(images):
    made = fitted(Classical, images, **SMALL)
    found = made.encode(images, "cpu")
    widths = made.blocks()
    assert widths == {"visual_words": 5, "hog": 4 * 4 * 9, "fisher_vector": 3 * (2 * 4 + 1)}
    words, hog, fisher = np.split(found, np.cumsum([*widths.values()])[:-1], axis=1)
    alone = fitted(VisualWords, images, **SHARED, words=5)
    np.testing.assert_array_equal(words, alone.encode(images, "cpu"))
    alone = fitted(FisherVector, images, **SHARED, gaussians=3, components=4)
    np.testing.assert_array_equal(fisher, alone.encode(images, "cpu"))
    alone = HOG(size=40, cell=10, block=1, orientations=9)
    np.testing.assert_array_equal(hog, alone.encode(images, "cpu"))


def instances_of(images):
    targets = np.array([[1], [0], [1], [0], [1]], np.uint8)
    none = np.zeros((5, 0), np.float32)
    return Instances(none, targets, ("x",), (), raw={"image": images})


def run(images, folder, kind, options, labelled):
    encoders, identity = {"image": kind(**options)}, {"files": {}, "encoders": {"image": options}}
    made = encode.encoded(instances_of(images), np.array(labelled), encoders, identity, folder, "cpu")
    return made, encoders["image"]


KINDS = [
    (VisualWords, SHARED | {"words": 5}),
    (FisherVector, SHARED | {"gaussians": 3, "components": 4}),
    (Classical, SMALL),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_an_image_of_the_test_part_teaches_nothing(tmp_path, images, kind, options):
    """The striped images are planted in the test part: another one there, and what is learned is the same."""
    _, encoder = run(images, tmp_path / "cache", kind, options, (0, 1, 2))
    files = {f"{n}.png": encoded(noise(n if n < 3 else n + 90)) for n in range(5)}
    other = dataclasses.replace(images, source=tarred(tmp_path / "other.tar", files))
    _, same = run(other, tmp_path / "elsewhere", kind, options, (0, 1, 2))
    assert encoder.learned.keys() == same.learned.keys() and encoder.learned
    assert all(np.array_equal(each, same.learned[name]) for name, each in encoder.learned.items())
    _, planted = run(images, tmp_path / "cache", kind, options, (0, 1, 3))
    assert not all(np.array_equal(each, planted.learned[name]) for name, each in encoder.learned.items())
    assert len([*(tmp_path / "cache" / "encoded").glob("*.npz")]) == 2, "other rows, another key"


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_what_is_kept_gives_the_fitted_encoder(tmp_path, images, kind, options):
    made, _ = run(images, tmp_path, kind, options, (0, 1, 2))
    kept, encoder = run(images, tmp_path, kind, options, (0, 1, 2))
    np.testing.assert_array_equal(made.features, kept.features)
    np.testing.assert_array_equal(encoder.encode(images, "cpu"), made.features)
    assert made.modalities == kept.modalities and np.isfinite(made.features).all()
    if kind is Classical:
        assert made.modalities == {"visual_words": (0, 5), "hog": (5, 149), "fisher_vector": (149, 176)}


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (VisualWords, {"size": 30, "words": 5}, "size=30 is to be more than 30 pixels"),
        (VisualWords, {"words": 1}, r"words=1: 2 or more"),
        (FisherVector, {"gaussians": 3, "components": 105}, "components=105 1 to 104"),
        (FisherVector, {"gaussians": 0, "components": 5}, "gaussians=0 is to be 1 or more"),
    ],
)
def test_a_wrong_option_is_a_line(kind, options, said):
    with pytest.raises(UserError, match=said):
        kind(**SHARED | options)


def test_too_few_descriptors_are_said(images):
    with pytest.raises(UserError, match=r"encoder.image.words=90: the training images gave 48 descriptors"):
        fitted(VisualWords, images, **SHARED, words=90)
