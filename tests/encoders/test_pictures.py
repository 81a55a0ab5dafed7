"""Image files of every kind, good and bad."""

import zlib

import numpy as np
import pytest
from PIL import Image

from mlbench.data.raw import Images
from mlbench.encoders.pictures import picture, pictures
from mlbench.errors import UserError
from pictures import encoded, pixels, tarred

PIXELS = pixels()


def array(data):
    image = picture(data)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def near(found, expected, by=6):
    assert found.shape == expected.shape and np.abs(found - expected).max() <= by


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_colours_are_as_they_are(form):
    np.testing.assert_array_equal(array(encoded(PIXELS, form)), PIXELS)


def test_a_cmyk_jpeg_has_its_colours():
    near(
        array(encoded(Image.fromarray(PIXELS).convert("CMYK"), "JPEG", quality=98)), PIXELS.astype(int), by=12
    )


def test_grey_of_8_and_of_16_bits():
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    expected = np.repeat(grey[..., None].astype(int), 3, axis=-1)
    np.testing.assert_array_equal(array(encoded(grey)), expected)
    np.testing.assert_array_equal(array(encoded(grey.astype(np.uint16) * 257)), expected)
    np.testing.assert_array_equal(array(encoded(grey.astype(np.uint16) * 257, "TIFF")), expected)


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(array(data), np.full((6, 8, 3), [255, 0, 0]))


def test_what_is_transparent_is_white():
    image = Image.new("RGBA", (4, 4), (0, 0, 255, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    found = array(encoded(image))
    assert found[0, 0].tolist() == [0, 0, 255] and found[1, 1].tolist() == [255, 255, 255]
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((0, 0), 1)
    found = array(encoded(palette, transparency=0))
    assert found[0, 0].tolist() == [40, 50, 60] and found[1, 1].tolist() == [255, 255, 255]


def test_a_turned_photograph_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying = np.rot90(PIXELS)
    near(array(encoded(lying, "JPEG", exif=exif, quality=98)), PIXELS.astype(int), by=12)


def bomb(side=30_000):
    """A PNG of a few bytes that says it has `side` × `side` pixels."""
    data = bytearray(encoded(np.zeros((1, 1), np.uint8)))
    place = data.index(b"IHDR")
    data[place + 4 : place + 12] = side.to_bytes(4, "big") * 2
    data[place + 17 : place + 21] = zlib.crc32(data[place : place + 17]).to_bytes(4, "big")
    return bytes(data)


JPEG = encoded(pixels(64, 64), "JPEG")
BROKEN = {
    "cut.jpg": (JPEG[: len(JPEG) // 2], "cannot be decoded: .*[Tt]runcated"),
    "bomb.png": (bomb(), "more than the 64,000,000|larger than the 64,000,000"),
    "small_bomb.png": (bomb(9_000), "9000 × 9000 pixels, more than the 64,000,000"),
    "text.png": (b"no image at all", "cannot be decoded: cannot identify"),
    "empty.png": (b"", "cannot be decoded"),
    "program.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "cannot identify"),
    "fractions.tif": (encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"), "holds fractions"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_is_named_by_its_row(tmp_path, name):
    data, words = BROKEN[name]
    source = tarred(tmp_path / "images.tar", {"good.png": encoded(PIXELS), name: data})
    images = Images(source, ("good.png", name), ("first", "second"))
    with pytest.raises(UserError, match=f"row second: image {name} .*({words})") as error:
        [*pictures(images, np.asarray)]
    assert "\n" not in str(error.value)


def test_many_come_in_order(tmp_path):
    files = {f"{number}.png": encoded(np.full((3, 3), number, np.uint8)) for number in range(100)}
    images = Images(tarred(tmp_path / "images.tar", files), tuple(files), tuple(files))
    found = [int(each[0, 0, 0]) for each in pictures(images, np.asarray)]
    assert found == list(range(100))
