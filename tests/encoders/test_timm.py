"""Networks of timm: against timm's own preparation and features, where timm can be imported."""

import json

import numpy as np
import pytest

from mlbench.data.raw import Images
from mlbench.encoders.timm import Preparation, Timm
from mlbench.errors import UserError
from pictures import encoded, pixels, tarred

SAID = {
    "input_size": [3, 64, 64],
    "crop_pct": 0.9,
    "interpolation": "bicubic",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.3, 0.4],
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))


def images(folder, *arrays):
    files = {f"{number}.png": encoded(array) for number, array in enumerate(arrays)}
    return Images(tarred(folder / "images.tar", files), tuple(files), tuple(files))


def timm_here():
    """timm, with what lies below it, or a skipped test."""
    return pytest.importorskip(
        "timm", reason="timm is not installed here, or its torchvision does not import", exc_type=Exception
    )


@pytest.fixture
def network(tmp_path):
    """A folder in timm's form, with a small network of drawn weights, and the network."""
    timm = timm_here()
    from safetensors.torch import save_file

    made = timm.create_model("test_vit", num_classes=7).eval()
    folder = tmp_path / "network"
    folder.mkdir()
    save_file(made.state_dict(), folder / "model.safetensors")
    said = SAID | {"input_size": [3, *made.pretrained_cfg["input_size"][1:]]}
    about = {"architecture": "test_vit", "num_classes": 7, "pretrained_cfg": said}
    (folder / "config.json").write_text(json.dumps(about))
    return folder, made, said


def test_features_are_timms_own(tmp_path, network):
    import torch
    from PIL import Image
    from timm.data import create_transform

    folder, made, said = network
    arrays = [pixels(200, 300, seed=1), pixels(90, 70, seed=2)]
    encoder = Timm(path=str(folder), revision=None)
    encoder.check()
    found = encoder.encode(images(tmp_path, *arrays), "cpu")
    sizes = {"input_size": tuple(said["input_size"]), "mean": tuple(said["mean"]), "std": tuple(said["std"])}
    prepare = create_transform(**sizes, interpolation="bicubic", crop_pct=said["crop_pct"])
    with torch.inference_mode():
        made.reset_classifier(0)
        expected = made(torch.stack([prepare(Image.fromarray(each)) for each in arrays])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert encoder.width == found.shape[1] == len(encoder.feature_names())
    again = Timm.from_state(encoder.state())
    np.testing.assert_array_equal(again.encode(images(tmp_path, *arrays), "cpu"), found)


def test_other_weights_and_a_broken_folder_are_refused(tmp_path, network):
    folder, _, _ = network
    state = Timm(path=str(folder), revision=None).state()
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"num_classes": 8}))
    with pytest.raises(UserError, match="its weights here are other ones"):
        Timm.from_state(state)
    with pytest.raises(UserError, match=r"network cannot be loaded by timm: .*state_dict"):
        Timm(path=str(folder), revision=None).loaded()


def test_an_image_is_resized_and_its_middle_is_kept():
    """Without timm: 71 pixels are 64 / .9, and 64 of them are kept."""
    from PIL import Image

    prepared = Preparation.of(SAID)
    image = Image.fromarray(pixels(142, 213))
    resized = np.asarray(image.resize((106, 71), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(prepared(image), resized[4 : 4 + 64, 21 : 21 + 64])
    squashed = np.asarray(image.resize((71, 71), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(Preparation.of(SAID | {"crop_mode": "squash"})(image), squashed[4:68, 4:68])
    with pytest.raises(UserError, match="crop_mode=border is not among those known: center, squash"):
        Preparation.of(SAID | {"crop_mode": "border"})


def test_without_timm_a_line_says_what_to_install(monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "timm" else found(name, *more)
    )
    with pytest.raises(
        UserError, match=r"needs timm, which is not installed here: pip install 'multilabel-bench\[timm\]'"
    ):
        Timm(path="nowhere", revision=None).check()
