"""`encoder.text=xmlcnn`: a network that learns from the training rows and their labels, then its features."""

import functools

import numpy as np
import pytest

from mlbench.compose import configure
from mlbench.data.instances import Instances
from mlbench.data.raw import Texts
from mlbench.encoders import encode
from mlbench.encoders.xmlcnn import XMLCNN
from mlbench.engine.apart import train_apart
from mlbench.errors import UserError

OPTIONS = {"vocabulary": 50, "max_length": 9, "lower": True, "embedding": 8, "vectors": None}
OPTIONS |= {"windows": [2, 4], "maps": 8, "pools": 2, "width": 12, "dropout": 0.1}
OPTIONS |= {"epochs": 30, "batch_size": 8, "lr": 0.02, "seed": 0}
SAID = tuple(f"drawing of {'rain' if row % 2 else 'sun'} number {row}" for row in range(40))
TARGETS = np.array([[row % 2] for row in range(40)], np.uint8)


def encoder(**changed):
    return XMLCNN(**OPTIONS | changed)


def encoded(tmp_path, made, said=SAID, labelled=range(30)):
    ids = tuple(f"row{row}" for row in range(len(said)))
    instances = Instances(np.zeros((40, 0), np.float32), TARGETS, ("x",), (), raw={"text": Texts(said, ids)})
    train = functools.partial(train_apart, like=configure(["train.progress=false"]).train)
    identity = {"files": {}, "encoders": {"text": {}}}
    made = {"text": made}
    found = encode.encoded(
        instances, np.array(labelled), made, identity, tmp_path / "cache", "cpu", train=train
    )
    return found.features, made["text"]


def test_its_features_tell_the_labels_of_rows_that_it_never_saw(tmp_path):
    features, made = encoded(tmp_path, encoder())
    assert (
        features.shape == (40, 12) and features.dtype == np.float32 and made.feature_names()[0] == "xmlcnn1"
    )
    centres = np.stack([features[:30][TARGETS[:30, 0] == label].mean(0) for label in (0, 1)])
    nearest = np.linalg.norm(features[30:, None] - centres, axis=-1).argmin(1)
    assert (nearest == TARGETS[30:, 0]).all()
    again = XMLCNN.from_state(made.state()).encode(Texts(SAID[:3], ("a", "b", "c")), "cpu")
    np.testing.assert_allclose(again, features[:3], rtol=1e-5, atol=1e-6)


def test_it_is_fitted_on_training_rows_alone_and_once(tmp_path, monkeypatch):
    planted = (*SAID[:-1], "planted sun")
    first, made = encoded(tmp_path, encoder(epochs=1), planted)
    assert "planted" not in made.cut.names and "sun" in made.cut.names
    with monkeypatch.context() as patch:
        patch.setattr(XMLCNN, "fit", lambda *given, **named: pytest.fail("it is kept"))
        kept, _ = encoded(tmp_path, encoder(epochs=1), planted)
    np.testing.assert_array_equal(kept, first)
    _, other = encoded(tmp_path, encoder(epochs=1), planted, labelled=range(20, 40))
    assert "planted" in other.cut.names, "other rows, another key"
    names = {path.name for path in (tmp_path / "cache" / "encoded").iterdir()}
    assert len([name for name in names if name.endswith(".npz")]) == 2
    assert not [name for name in names if "training" in name], "what it learned from is gone"
    alone, _ = encoded(tmp_path / "other", encoder(epochs=1), planted)
    np.testing.assert_array_equal(alone, first), "the same seed, the same features"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"width": 0}, "encoder.text.width=0: a whole number, 1 or larger"),
        ({"windows": []}, r"encoder.text.windows=\[\]: widths"),
        ({"dropout": 1}, "encoder.text.dropout=1: 0 or more"),
        ({"vectors": "none.txt"}, "encoder.text.vectors=none.txt: there is no such file"),
    ],
)
def test_what_cannot_be_is_one_sentence(changed, said):
    with pytest.raises(UserError, match=said):
        encoder(**changed).check()
