"""Texts as x: their tokens in a map, cut to the longest of a batch."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlbench.data.instances import Instances
from mlbench.data.raw import Texts
from mlbench.data.rows import Rows
from mlbench.data.tokens import Tokens, of_lists
from mlbench.encoders import encode
from mlbench.encoders.tokens import Tokens as Encoder
from mlbench.errors import UserError

SAID = ("Rain and sun", "sun, and Snow", "", "planted snow and rain")
IDS = ("a", "b", "c", "d")
OPTIONS = {"vocabulary": 100, "max_length": 9, "lower": True, "tokenizer": None, "revision": None}


def encoder(**changed):
    return Encoder(**OPTIONS | changed)


def encoded(tmp_path, made, said=SAID, labelled=(0, 1)):
    instances = Instances(
        np.zeros((len(said), 0), np.float32),
        np.ones((len(said), 1), np.uint8),
        ("x",),
        (),
        raw={"text": Texts(said, IDS)},
    )
    made = {"text": made}
    identity = {"files": {}, "encoders": {"text": {}}}
    found = encode.encoded(instances, np.array(labelled), made, identity, tmp_path / "cache", "cpu")
    return found, made["text"]


def texts_of(batch, names):
    return [" ".join(names[number] for number in row if number) for row in batch.tolist()]


def test_words_of_training_rows_alone_are_known(tmp_path):
    found, made = encoded(tmp_path, encoder())
    assert made.names == ("", "?", "and", "sun", "rain", "snow") == found.vocabulary
    rows = Rows.from_instances(found, np.array([3, 2, 0]))
    batch = rows.batch(torch.tensor([0, 1, 2])).x
    assert batch.dtype == torch.int64 and batch.shape == (3, 4), "as wide as its longest text"
    assert texts_of(batch, made.names) == ["? snow and rain", "", "rain and sun"]
    assert rows.batch(torch.tensor([2, 1])).x.shape == (2, 3) and rows.batch(torch.tensor([1])).x.shape == (
        1,
        1,
    )
    other, _ = encoded(tmp_path, encoder(), labelled=(0, 3))
    assert "planted" in other.vocabulary, "other rows, another key"


def test_options_of_the_vocabulary(tmp_path):
    assert encoded(tmp_path / "1", encoder(vocabulary=2))[0].vocabulary == ("", "?", "and", "sun")
    assert "Rain" in encoded(tmp_path / "2", encoder(lower=False))[0].vocabulary
    found, made = encoded(tmp_path / "3", encoder(max_length=2))
    assert found.features.shape == (4, 2) and "planted" not in made.names
    with pytest.raises(UserError, match=r"no word in the 1 training texts"):
        encoded(tmp_path / "4", encoder(), labelled=(2,))
    with pytest.raises(UserError, match=r"encoder.text.max_length=0: a whole number, 1 or larger"):
        encoder(max_length=0)


def test_tokens_are_cut_once_mapped_and_made_again_after_damage(tmp_path, monkeypatch):
    first, _ = encoded(tmp_path, encoder())
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", None)
        again, made = encoded(tmp_path, encoder())
    assert isinstance(again.features.held, np.memmap) and again.features.equal(first.features)
    assert made.encode(Texts(SAID, IDS), "cpu").equal(first.features)
    assert len(pickle.dumps(again.features)) < 2000, "a map goes to another process by name"
    assert pickle.loads(pickle.dumps(again.features)).equal(first.features)
    (path,) = (tmp_path / "cache" / "encoded").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-4])
    damaged, _ = encoded(tmp_path, encoder())
    assert damaged.features.equal(first.features)


def test_what_is_odd_is_said_in_a_line_with_the_row(tmp_path, capsys):
    long = "rain " * 200_000
    found, _ = encoded(tmp_path, encoder(), said=("rain and sun", " .", "", long))
    assert found.features.lengths.tolist() == [3, 0, 0, 9]
    assert capsys.readouterr().err.splitlines() == [
        "mlbench: 2 texts have no words; the first is row b",
        "mlbench: 1 texts are read as far as encoder.text.max_length=9; the longest is row d, of 1,000,000 "
        "characters",
    ]
    encoded(tmp_path, encoder(), said=("rain and sun", " .", "", long))
    assert not capsys.readouterr().err, "once"


ragged = st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=6)


@given(ragged, st.data())
def test_rows_are_those_of_a_padded_matrix(texts, data):
    rows, width = of_lists(texts), max(1, *map(len, texts))
    padded = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=9)))
    batch = rows.index_select(0, index)
    longest = max(1, *(len(texts[row]) for row in index.tolist()))
    assert torch.equal(batch, padded[index][:, :longest])
    some = rows[index]
    assert some.shape == (len(index), max(len(texts[row]) for row in index.tolist()))
    assert torch.equal(some.index_select(0, torch.arange(len(index))), batch)
    apart = replace(rows, held=rows.held.copy())
    for both in (Tokens.joined([rows, some]), Tokens.joined([apart, some])):
        every = both.index_select(0, torch.arange(both.shape[0]))
        assert torch.equal(every, torch.cat([padded, padded[index]])[:, : every.shape[1]])
    assert rows.equal(apart)
    if texts != texts[::-1]:
        assert not rows.equal(rows[torch.arange(len(texts)).flip(0)])
