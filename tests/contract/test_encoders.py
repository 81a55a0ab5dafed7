"""Every encoder of conf/encoder, as it is configured there, keeps the contract."""

import numpy as np
import pytest
import torch
from scipy import sparse

from mlbench.compose import choices, configure
from mlbench.config import options, target
from mlbench.data.raw import Images, Texts
from mlbench.encoders.base import Encoder
from mlbench.errors import UserError
from mlbench.protocols import check_offers
from pictures import encoded, pixels, tarred

ROWS = 6
# Encoders that read weights, given or from a package: tests/encoders has them.
ALSO_LABELS = {"xmlcnn"}  # learns from labels, too
WITH_WEIGHTS = {"pieces", "word_vectors", "hf_text", "minilm", "hf_image", "efficientnet_lite0", "timm"}
GIVEN = ("word_vectors", "hf_text", "hf_image", "timm")
ALL = [(field, name) for field in ("text", "image") for name in choices(f"encoder/{field}") if name != "none"]
ALONE = [(field, name) for field, name in ALL if name not in WITH_WEIGHTS | ALSO_LABELS]


def made(field, name):
    dataset = {"text": "tmdb10k", "image": "ml2000"}[field]
    asked = [f"encoder.{field}.path=something"] if name in GIVEN else []
    asked += ["backbone=hf_text"] if name == "pieces" else []
    node = configure([f"dataset={dataset}", *asked, f"encoder/{field}={name}"]).encoder[field]
    return target(node)(**options(node))


def rows_of(field, folder):
    ids = tuple(f"row{number}" for number in range(ROWS))
    if field == "text":
        return Texts(tuple("rain and sun " * number for number in range(ROWS)), ids)
    files = {f"{name}.png": encoded(pixels(seed=number)) for number, name in enumerate(ids)}
    return Images(tarred(folder / "images.tar", files), tuple(files), ids)


@pytest.mark.parametrize(("field", "name"), ALL)
def test_it_offers_all_of_the_contract(field, name):
    encoder = made(field, name)
    check_offers(encoder, Encoder, name)
    if name in GIVEN:
        with pytest.raises(UserError, match="needs timm" if name == "timm" else "something"):
            encoder.check()


@pytest.mark.parametrize(("field", "name"), ALONE)
def test_a_row_is_encoded_by_itself_and_alike_from_its_state(field, name, tmp_path):
    encoder, rows = made(field, name), rows_of(field, tmp_path)
    encoder.check()
    encoder.fit(rows[np.arange(4)])
    features = encoder.encode(rows, "cpu")
    if getattr(encoder, "gives", "vector") == "text":
        every = torch.arange(ROWS)
        again = type(encoder).from_state(encoder.state()).encode(rows[np.array([5, 2])], "cpu")
        assert again.equal(features[every[[5, 2]]]) and features.shape[0] == ROWS
        return
    if getattr(encoder, "gives", "vector") == "image":
        assert features.dtype == np.uint8 and features.ndim == 4 and not encoder.feature_names()
    else:
        assert features.dtype == np.float32 and features.shape == (ROWS, len(encoder.feature_names()))
    assert isinstance(features, np.ndarray | sparse.csr_matrix)
    again = type(encoder).from_state(encoder.state())
    alone = again.encode(rows[np.array([5, 2])], "cpu")
    assert not (alone != features[[5, 2]]).sum() and again.feature_names() == encoder.feature_names()
