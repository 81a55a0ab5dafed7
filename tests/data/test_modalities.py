"""Some modalities of a data set in place of all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from mlbench.data.cache import load, save
from mlbench.data.formats import npz
from mlbench.data.instances import Instances, concatenate
from mlbench.data.modalities import check_cover, chosen, kept
from mlbench.data.multidigits import MultiDigits
from mlbench.errors import UserError

WIDTHS = {"a": 2, "b": 1, "c": 3}
RANGES = {"a": (0, 2), "b": (2, 3), "c": (3, 6)}
WORDS = ("n", "wind=calm", "wind=storm", "m", "side=luv", "k")


def instances(sparsely=False, **more):
    random = np.random.default_rng(0)
    features = (random.normal(size=(5, 6)) * (random.random((5, 6)) < 0.6)).astype(np.float32)
    return Instances(
        features=sparse.csr_matrix(features) if sparsely else features,
        targets=np.ones((5, 1), np.uint8),
        labels=("rain",),
        feature_names=WORDS,
        modalities=dict(RANGES),
        values={"side": ("lee", "luv")},
        **more,
    )


@given(st.permutations([*WIDTHS]), st.integers(1, 3), st.booleans())
def test_the_columns_of_some_modalities_in_the_order_of_the_data_set(names, count, sparsely):
    use, whole = names[:count], instances(sparsely)
    found = kept("made up", whole, use)
    columns = [column for name in sorted(use) for column in range(*RANGES[name])]
    dense = [each.features.toarray() if sparsely else each.features for each in (found, whole)]
    np.testing.assert_array_equal(dense[0], dense[1][:, columns])
    assert sparse.issparse(found.features) == sparsely and found.features.dtype == np.float32
    assert found.feature_names == tuple(WORDS[column] for column in columns)
    stops = np.cumsum([WIDTHS[name] for name in sorted(use)]).tolist()
    assert found.modalities == dict(zip(sorted(use), zip([0, *stops], stops)))
    assert ("side" in found.values) == ("c" in use)


def test_all_of_them_are_the_data_set_as_it_is():
    assert chosen("made up", ["c", "a", "b"], [*WIDTHS]) == ()
    assert kept("made up", whole := instances(), ["b", "a", "c"]) is whole
    assert kept("made up", whole, ()) is whole


def test_what_an_instance_has_is_kept_of_the_modalities_that_are(tmp_path):
    present = np.array([(1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 1)], np.uint8)
    whole = instances(present=present)
    found = kept("made up", whole, ["a", "b"])
    np.testing.assert_array_equal(found.present, present[:, :2])
    save(tmp_path / "kept.npz", found)
    np.testing.assert_array_equal(load(tmp_path / "kept.npz").present, found.present)
    both = concatenate([whole, replace(whole, present=None)])
    np.testing.assert_array_equal(both.present, np.concatenate([present, np.ones_like(present)]))
    with pytest.raises(UserError, match=r"use=\[b\]: 2 instances of dataset=made up have none of these"):
        kept("made up", whole, ["b"])


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ([], r"dataset.use=\[\]: name a modality or more"),
        (["a", "bb"], r"use=\[a,bb\]: dataset=made up has no modality bb; it has a, b, c; did you mean b\?"),
    ],
)
def test_a_name_that_there_is_not(use, said):
    with pytest.raises(UserError, match=said):
        chosen("made up", use, [*WIDTHS])


def test_one_block_has_no_modalities():
    with pytest.raises(UserError, match=r"the features of dataset=made up are one block; dataset.modalities"):
        kept("made up", replace(instances(), modalities={}), ["a"])


@pytest.mark.parametrize(
    ("modalities", "said"),
    [
        ({"a": (0, 2), "b": (1, 6)}, "modality b begins at column 1, which modality a has"),
        ({"a": (0, 2), "b": (3, 6)}, "no modality has column 2; modality b is to begin there"),
        ({"a": (0, 2), "b": (2, 2)}, "modality b has no columns"),
        ({"a": (0, 2), "b": (2, 5)}, "the modalities end at column 4, and there are 6"),
    ],
)
def test_modalities_that_share_or_leave_out_columns(modalities, said, tmp_path):
    with pytest.raises(UserError, match=f"^here: {said}"):
        check_cover("here", modalities, 6)
    rows = [(name, *map(str, columns)) for name, columns in modalities.items()]
    np.savez(tmp_path / "my.npz", features=np.ones((3, 6)), targets=np.ones((3, 1)), modalities=rows)
    with pytest.raises(UserError, match="modalit"):
        npz.read(tmp_path / "my.npz")


def test_a_choice_has_a_key_of_its_own_whatever_its_order():
    given = {"name": "multidigits", "sha256": "", "scaling": "none", "statistics": {}, "citation": ""}
    plain = MultiDigits(**given).identity()
    one, other = (
        MultiDigits(**given, use=use) for use in (["top_right", "top_left"], ["top_left", "top_right"])
    )
    assert one.identity() == other.identity() == plain | {"use": ["top_left", "top_right"]}
    assert one.modality_names == ("top_left", "top_right")
