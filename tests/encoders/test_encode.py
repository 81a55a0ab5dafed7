"""From raw fields to modalities: fitted on training rows, kept on disk, as often as not sparse."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from mlbench.data.instances import Instances
from mlbench.data.raw import Images, Texts
from mlbench.encoders import encode
from mlbench.encoders.bow import BagOfWords
from mlbench.encoders.colour_histogram import ColourHistogram
from mlbench.encoders.tfidf import TfIdf
from pictures import encoded as png
from pictures import pixels, tarred

SAID = ("rain and sun", "sun and snow", "snow and planted")


@pytest.fixture
def instances(tmp_path):
    ids = ("a", "b", "c")
    files = {f"{name}.png": png(pixels(seed=number)) for number, name in enumerate(ids)}
    source = tarred(tmp_path / "images.tar", files)
    return Instances(
        features=np.zeros((3, 0), np.float32),
        targets=np.array([[1], [0], [1]], np.uint8),
        labels=("x",),
        feature_names=(),
        raw={"text": Texts(SAID, ids), "image": Images(source, tuple(files), ids)},
    )


def words():
    return BagOfWords(words=100, least=1, ngrams=1, binary=False)


IDENTITY = {"files": {"all": "1234"}, "encoders": {"text": {"a": 1}, "image": {"a": 2}}}


def run(instances, tmp_path, encoders, labelled=(0, 1), identity=IDENTITY):
    return encode.encoded(instances, np.array(labelled), encoders, identity, tmp_path / "cache", "cpu")


def test_a_word_of_test_rows_alone_is_no_feature(instances, tmp_path):
    encoders = {"text": words()}
    found = run(instances, tmp_path, encoders)
    assert found.feature_names == ("and", "rain", "snow", "sun") and "planted" not in found.feature_names
    assert found.features.toarray()[2].tolist() == [1, 0, 1, 0] and not found.raw
    assert "planted" in run(instances, tmp_path, {"text": words()}, labelled=(0, 2)).feature_names
    assert len([*(tmp_path / "cache" / "encoded").glob("*.npz")]) == 2, "other rows, another key"
    tfidf = {"text": TfIdf(words=100, least=1, ngrams=1, sublinear=False)}
    run(instances, tmp_path, tfidf, identity={"files": {}, "encoders": {"text": {}}})
    weights = dict(zip(tfidf["text"].feature_names(), tfidf["text"].state()["idf"]))
    assert weights["snow"] == pytest.approx(np.log(3 / 2) + 1), "how rare a word is, too, is of training rows"


def test_two_encoders_make_two_modalities(instances, tmp_path):
    found = run(instances, tmp_path, {"text": words(), "image": ColourHistogram(bins=2)})
    assert found.modalities == {"text": (0, 4), "image": (4, 12)}
    assert isinstance(found.features, sparse.csr_matrix) and found.features.shape == (3, 12)
    assert found.feature_names[0] == "text and" and found.feature_names[4] == "image colourhistogram1"
    np.testing.assert_allclose(found.features[:, 4:].sum(axis=1), 1, rtol=1e-6)
    alone = run(instances, tmp_path, {"image": ColourHistogram(bins=2)})
    assert isinstance(alone.features, np.ndarray) and alone.modalities == {"image": (0, 8)}


@pytest.mark.parametrize("field", ["text", "image"])
def test_what_is_kept_is_read_and_gives_the_fitted_encoder(instances, tmp_path, monkeypatch, field):
    kind = BagOfWords if field == "text" else ColourHistogram
    first, second = ({field: words() if field == "text" else ColourHistogram(bins=2)} for _ in range(2))
    made = run(instances, tmp_path, first)
    with monkeypatch.context() as patch:
        patch.setattr(kind, "encode", None)
        kept = run(instances, tmp_path, second)
    assert (made.features != kept.features).sum() == 0 and made.feature_names == kept.feature_names
    again = second[field].encode(instances.raw[field], "cpu")
    assert (again != made.features).sum() == 0
    path = next((tmp_path / "cache" / "encoded").glob("*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    assert (run(instances, tmp_path, first).features != made.features).sum() == 0, "damaged: made again"


def test_a_frozen_encoder_has_one_key_for_all_splits(instances, tmp_path):
    for labelled in ((0, 1), (1, 2)):
        run(instances, tmp_path, {"image": ColourHistogram(bins=2)}, labelled)
    assert len([*(tmp_path / "cache" / "encoded").glob("*.npz")]) == 1
    other = {"files": {"all": "5678"}, "encoders": IDENTITY["encoders"]}
    run(instances, tmp_path, {"image": ColourHistogram(bins=2)}, identity=other)
    assert len([*(tmp_path / "cache" / "encoded").glob("*.npz")]) == 2


def test_a_cache_that_cannot_be_written_stops_nothing(instances, tmp_path):
    (tmp_path / "cache").write_text("a file")
    found = run(instances, tmp_path, {"text": words()})
    assert dataclasses.replace(found).features.shape == (3, 4)


def test_an_interrupted_encoder_goes_on_where_it_stood(instances, tmp_path, monkeypatch):
    monkeypatch.setattr(encode, "BLOCK", 1)
    seen, whole = [], ColourHistogram.encode
    patience = 2

    def counting(self, rows, device):
        seen.extend(rows.ids)
        if len(seen) > patience:
            raise KeyboardInterrupt
        return whole(self, rows, device)

    monkeypatch.setattr(ColourHistogram, "encode", counting)
    with pytest.raises(KeyboardInterrupt):
        run(instances, tmp_path, {"image": ColourHistogram(bins=2)})
    assert seen == ["a", "b", "c"]
    patience = 9
    found = run(instances, tmp_path, {"image": ColourHistogram(bins=2)})
    assert seen == ["a", "b", "c", "c"], "the first two were kept"
    np.testing.assert_array_equal(
        found.features, whole(ColourHistogram(bins=2), instances.raw["image"], "cpu")
    )
    assert len([*(tmp_path / "cache" / "encoded").glob("*.npz")]) == 1, "blocks are gone when all are there"
