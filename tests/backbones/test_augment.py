"""Augmented images beside plain loops over images and pixels."""

import math

import pytest
import torch

from mlbench.backbones.augment import DRAWS, Augment, Changes, cut_out, lit, moved, offset
from mlbench.layers import begin_draws

NOTHING = {"crop": 0.0, "flip": False, "jitter": 0.0, "cutout": 0.0}
EACH = [{"crop": 0.3}, {"flip": True}, {"jitter": 0.5}, {"cutout": 0.5}]


def images(*before, height=6, width=9):
    return torch.rand(*before, 3, height, width, generator=torch.Generator().manual_seed(1))


def augment(seed=0, **changes):
    made = Augment(Changes(**NOTHING | changes))
    begin_draws(made, seed)
    return made


def test_a_moved_image_is_cut_from_one_with_a_grey_margin():
    x, down, right = images(4), torch.tensor([0, 2, -3, 5]), torch.tensor([0, -1, 4, 8])
    mirrored = torch.tensor([False, True, True, False])
    found = moved(x, down, right, mirrored)
    for image, dy, dx, mirror, out in zip(x, down.tolist(), right.tolist(), mirrored, found):
        margin = torch.full((3, 26, 29), 0.5)
        margin[:, 10:16, 10:19] = image
        cut = margin[:, 10 + dy : 16 + dy, 10 + dx : 19 + dx]
        assert torch.equal(out, cut.flip(-1) if mirror else cut)


def greys(planes):
    """A grey for each pixel of an image in lists."""
    rows = (zip(*of_each) for of_each in zip(*planes))
    return [[0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in row] for row in rows]


def test_offsets_are_each_as_likely():
    numbers = offset((torch.arange(7000) + 0.5) / 7000, 3)
    assert numbers.unique(return_counts=True)[1].tolist() == [1000] * 7 and numbers.min() == -3


def test_light_is_changed_as_by_hand():
    x = images(5)
    factors = torch.rand(3, 5, generator=torch.Generator().manual_seed(2)) + 0.5
    for image, (brightness, contrast, saturation), out in zip(x, factors.T.tolist(), lit(x, *factors)):
        image = [[[min(v * brightness, 1) for v in row] for row in plane] for plane in image.tolist()]

        def greys(planes):
            return [
                [
                    0.299 * planes[0][i][j] + 0.587 * planes[1][i][j] + 0.114 * planes[2][i][j]
                    for j in range(9)
                ]
                for i in range(6)
            ]

        mean = sum(map(sum, greys(image))) / 54
        image = [[[mean + (v - mean) * contrast for v in row] for row in plane] for plane in image]
        image = [[[min(max(v, 0), 1) for v in row] for row in plane] for plane in image]
        grey = greys(image)
        for channel in range(3):
            for i in range(6):
                for j in range(9):
                    value = grey[i][j] + (image[channel][i][j] - grey[i][j]) * saturation
                    assert math.isclose(out[channel, i, j].item(), min(max(value, 0), 1), abs_tol=1e-5)


def test_a_square_is_cut_out_and_may_stick_out():
    x = images(3, height=8, width=8)
    top, left = torch.tensor([0.0, 0.5, 0.99]), torch.tensor([0.5, 0.0, 0.99])
    found = cut_out(x, top, left, 0.5)
    for image, (i, j), out in zip(x, [(0, 4), (4, 0), (7, 7)], found):
        expected = image.clone()
        expected[:, max(i - 2, 0) : i + 2, max(j - 2, 0) : j + 2] = 0.5
        assert torch.equal(out, expected)


def test_scoring_never_sees_it():
    x = images(4)
    made = augment(crop=0.3, flip=True, jitter=0.5, cutout=0.5)
    assert not torch.equal(made(x), x)
    assert made.eval()(x) is x
    assert augment()(x) is x


@pytest.mark.parametrize("changes", EACH, ids=str)
def test_an_image_is_changed_by_itself_from_the_replicas_own_generator(changes):
    x, state = images(4), torch.get_rng_state()
    first, again, other = augment(**changes), augment(**changes), augment(seed=1, **changes)
    out = first(x)
    assert torch.equal(again(x), out) and not torch.equal(other(x), out)
    assert not torch.equal(first(x), out), "the next time is another one"
    assert torch.equal(torch.get_rng_state(), state)
    assert out.min() >= 0 and out.max() <= 1
    both = augment(**changes)
    both.draws = [augment(**changes).draws[0], augment(seed=1, **changes).draws[0]]
    assert torch.equal(both(torch.stack([x, x])), torch.stack([out, augment(seed=1, **changes)(x)]))


def test_to_ask_for_more_changes_nothing_of_the_rest():
    x = images(40)
    flipped = augment(flip=True)(x)
    assert torch.equal(cut_out(flipped, *numbers(x), 0.5), augment(flip=True, cutout=0.5)(x))
    mirrored = (flipped == x.flip(-1)).all((1, 2, 3))
    assert ((flipped == x).all((1, 2, 3)) | mirrored).all() and 5 < mirrored.sum() < 35


def numbers(x):
    """Where the square is cut out."""
    made = augment()
    drawn = made.drawn(x.new_empty(len(x), DRAWS), lambda part, own: part.uniform_(generator=own))
    return drawn[:, 3], drawn[:, 4]
