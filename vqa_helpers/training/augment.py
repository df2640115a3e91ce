"""Augmentation of training photographs: crops, colour jitter, and flips if asked for.

Works on a batch at once, on its device. The augmentation of a photograph is a function of seed,
epoch and question alone, so that neither an interruption nor the size of the batches, nor how
many processes share them, changes it. Knows pixels; nothing of networks.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from vqa_helpers.recipe import Training

DRAWS = 7  # numbers a photograph: mirror, area, across, down, brightness, contrast, saturation
_LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)


def draw(seed: int, epoch: int, questions: int) -> Tensor:
    """The numbers that decide what an epoch does to each question's photograph: (N, DRAWS) from
    0 to 1."""
    generator = np.random.default_rng([seed, epoch])
    return torch.from_numpy(generator.random((questions, DRAWS), dtype=np.float32))


def augment(pixels: Tensor, draws: Tensor, how: Training) -> Tensor:
    """Vary photographs.

    Args:
        pixels: (B, 3, S, S), 0 to 255.
        draws: (B, DRAWS), of `draw`, on the same device.

    Returns:
        (B, 3, S, S) floats, 0 to 255.
    """
    draws = draws.view(-1, DRAWS, 1, 1, 1)
    mirror, area, across, down, brightness, contrast, saturation = draws.unbind(1)  # (B, 1, 1, 1)
    pixels = pixels.float()
    if how.flip or how.crop:
        pixels = _cropped(pixels, mirror < 0.5 if how.flip else None, how.crop, area, across, down)
    if how.jitter:
        pixels = pixels * _factor(brightness, how.jitter)
        middle = _grey(pixels).mean((2, 3), keepdim=True)
        pixels = _away_from(middle, pixels, _factor(contrast, how.jitter))
        pixels = _away_from(_grey(pixels), pixels, _factor(saturation, how.jitter))
    return pixels.clamp(0, 255)


def _cropped(
    pixels: Tensor, mirrored: Tensor | None, crop: float, area: Tensor, across: Tensor, down: Tensor
) -> Tensor:
    """A square of 1 - crop to 1 of the area, anywhere inside, enlarged to the full size."""
    side = (1 - crop * area).sqrt().flatten()  # (B,) of the square's side, which is 1
    theta = pixels.new_zeros(len(pixels), 2, 3)  # from the places of the new image to the old
    theta[:, 0, 0] = side if mirrored is None else torch.where(mirrored.flatten(), -side, side)
    theta[:, 1, 1] = side
    theta[:, 0, 2] = (1 - side) * (2 * across.flatten() - 1)
    theta[:, 1, 2] = (1 - side) * (2 * down.flatten() - 1)
    grid = affine_grid(theta, pixels.shape, align_corners=False)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _grey(pixels: Tensor) -> Tensor:
    """(B, 3, S, S) to (B, 1, S, S)."""
    return sum(part * light for part, light in zip(pixels.split(1, 1), _LUMA, strict=True))


def _factor(drawn: Tensor, jitter: float) -> Tensor:
    return 1 + jitter * (2 * drawn - 1)


def _away_from(middle: Tensor, pixels: Tensor, factor: Tensor) -> Tensor:
    return middle + (pixels - middle) * factor
