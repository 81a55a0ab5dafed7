"""What conf/dataset ships is described in full."""

import inspect

import pytest
from omegaconf import OmegaConf

from mlbench.compose import config_dir
from mlbench.data.datasets import Files, OwnFiles, reader_named
from mlbench.errors import UserError


def shipped(target):
    for path in sorted((config_dir() / "dataset").glob("*.yaml")):
        says = OmegaConf.to_container(OmegaConf.load(path))
        if says.pop("_target_") == f"mlbench.data.datasets.{target}":
            yield pytest.param(path.stem, says, id=path.stem)


@pytest.mark.parametrize(("name", "says"), list(shipped("Files")))
def test_a_shipped_data_set_is_described_in_full(name, says):
    defaults = says.pop("defaults", [])
    dataset = Files(**says)
    assert dataset.name == name and dataset.citation
    assert bool(defaults) == (not dataset.official)  # then another split than the official one is the default
    assert all(file.urls and file.sha256 and file.bytes for file in dataset.files.values()) or dataset.where
    assert {"instances", "labels", "cardinality", "label_sets"} <= set(dataset.statistics)
    assert not dataset.official or {"train", "test"} <= set(dataset.statistics)


@pytest.mark.parametrize(("name", "says"), list(shipped("OwnFiles")))
def test_a_shipped_format_names_all_options_of_its_reader(name, says):
    reader = reader_named(says["reader"])
    _, *options = inspect.signature(reader).parameters
    assert says["reader"] == f"mlbench.data.formats.{name}.read"
    assert set(options) <= set(says)
    with pytest.raises(UserError, match=f"dataset={name} reads a file of your own"):
        OwnFiles(**{key: value for key, value in says.items() if key not in ("path", "defaults")})
