"""Augmentation: what each kind does to pixels, and that seed, epoch and question decide alone."""

import pytest
import torch
from torch.testing import assert_close

from vqa_helpers.recipe import Training
from vqa_helpers.training.augment import DRAWS, augment, draw


def how(**changed) -> Training:
    return Training("adam", 1e-3, batch=2, epochs=1, **changed)


def photographs(count: int = 2, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def numbers(**changed: float) -> torch.Tensor:
    names = ("mirror", "area", "across", "down", "brightness", "contrast", "saturation")
    return torch.tensor([[changed.get(name, 0.5) for name in names]])


def test_half_of_the_photographs_are_mirrored_where_it_is_asked_for():
    pixels = photographs(2)
    draws = torch.cat([numbers(mirror=0.4), numbers(mirror=0.6)])
    given = augment(pixels, draws, how(flip=True))
    assert_close(given[0], pixels[0].flip(-1).float(), atol=1e-3, rtol=0)
    assert_close(given[1], pixels[1].float(), atol=1e-3, rtol=0)
    # Left and right are part of many questions.
    assert torch.equal(augment(pixels, draws, how()), pixels.float())


def test_a_crop_is_a_square_of_the_image_enlarged():
    # Brightness rises from left to right: 0.5, 1.5, … at the centres of 64 columns.
    ramp = (torch.arange(64) + 0.5).expand(1, 3, 64, 64)
    quarter = how(crop=0.75)
    left = augment(ramp, numbers(area=1.0, across=0.0), quarter)  # a quarter of the area, leftmost
    expected = (torch.arange(64) + 0.5) / 2
    assert_close(left[0, 0, 5, 1:], expected[1:], atol=1e-3, rtol=0)
    top = augment(ramp.transpose(2, 3), numbers(area=1.0, down=0.0), quarter)
    assert_close(top[0, 1, 1:, 7], expected[1:], atol=1e-3, rtol=0)
    whole = augment(ramp, numbers(area=0.0, across=0.0), quarter)
    assert_close(whole, ramp, atol=1e-3, rtol=0)


def test_colours_by_hand_stay_colours():
    # One grey pixel of 100 and one of 200 in each row: the mean is 150.
    pixels = torch.tensor([100.0, 200.0]).expand(1, 3, 2, 2)
    jitter = how(jitter=0.2)

    def pair(**changed):
        return augment(pixels, numbers(**changed), jitter)[0, 0, 0].tolist()

    assert pair() == pytest.approx([100, 200], abs=1e-3)
    assert pair(brightness=1.0) == pytest.approx([120, 240], abs=1e-3)
    assert pair(brightness=0.0) == pytest.approx([80, 160], abs=1e-3)
    assert pair(contrast=1.0) == pytest.approx([90, 210], abs=1e-3)
    assert pair(saturation=1.0) == pytest.approx([100, 200], abs=1e-3)  # grey has none
    stretched = augment(photographs(20), torch.rand(20, DRAWS), how(jitter=1.0))
    assert stretched.min() >= 0 and stretched.max() <= 255
    red = torch.tensor([200.0, 0.0, 0.0]).view(1, 3, 1, 1)
    given = augment(red, numbers(saturation=0.0), jitter).flatten().tolist()
    luma = 0.299 * 200
    assert given == pytest.approx([luma + 0.8 * (200 - luma), 0.2 * luma, 0.2 * luma], abs=1e-3)


def test_seed_and_epoch_decide():
    assert torch.equal(draw(3, 7, 50), draw(3, 7, 50))
    assert not torch.equal(draw(3, 7, 50), draw(3, 8, 50))
    assert not torch.equal(draw(3, 7, 50), draw(4, 7, 50))
    drawn = draw(0, 0, 2000)
    assert drawn.shape == (2000, DRAWS) and drawn.min() >= 0 and drawn.max() < 1
    assert_close(drawn.mean(0), torch.full((DRAWS,), 0.5), atol=0.03, rtol=0)
