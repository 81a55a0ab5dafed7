"""Every data set whose files are in MLBENCH_DATA loads and has the statistics that its YAML states."""

import os

import numpy as np
import pytest
from omegaconf import OmegaConf

from mlbench.compose import config_dir
from mlbench.data.datasets import Files
from mlbench.data.sources import find
from mlbench.encoders.pictures import pictures

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("MLBENCH_DATA"), reason="MLBENCH_DATA names no folder with data"),
]


def described_in_files():
    for path in sorted((config_dir() / "dataset").glob("*.yaml")):
        says = OmegaConf.to_container(OmegaConf.load(path))
        if says.pop("_target_") == "mlbench.data.datasets.Files":
            says.pop("defaults", None)
            yield pytest.param(says, id=path.stem)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("says", list(described_in_files()))
def test_loads_with_the_stated_statistics(says, shared_cache):
    dataset = Files(**says)
    if not all(find(file, dataset.folder, shared_cache) for file in dataset.files.values()):
        pytest.skip(f"{dataset.name} is not in MLBENCH_DATA")
    loaded = dataset.load(shared_cache)
    described = {"instances", "labels", "cardinality", "label_sets"} | (
        set() if dataset.raw else {"features"}
    )
    assert described <= set(dataset.statistics)
    assert (loaded.official is not None) == bool(dataset.official)
    assert tuple(loaded.instances.raw or loaded.instances.modalities) == dataset.modality_names
    again = Files(**says).load(shared_cache)
    assert again.instances.labels == loaded.instances.labels
    assert (again.instances.targets == loaded.instances.targets).all()
    ids, again_ids = ([each.ids for each in part.instances.raw.values()] for part in (loaded, again))
    assert ids == again_ids


@pytest.mark.parametrize("says", [each for each in described_in_files() if "image" in each.values[0]])
def test_every_image_that_the_index_names_is_there(says, shared_cache):
    """The first and the last of them are whole; no archive ends too early for any."""
    dataset = Files(**says)
    if not all(find(file, dataset.folder, shared_cache) for file in dataset.files.values()):
        pytest.skip(f"{dataset.name} is not in MLBENCH_DATA")
    images = dataset.load(shared_cache).instances.raw["image"]
    assert min(map(len, images.contents())) > 100
    for image in pictures(images[np.array([0, len(images) - 1])], lambda image: image):
        assert image.mode == "RGB" and min(image.size) >= 90
