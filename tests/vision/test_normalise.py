"""Image vectors before they meet a question."""

import numpy as np
import pytest
import torch

from vqa_helpers.vision.normalise import FeatureNormaliser, train_statistics


def test_rows_of_length_one():
    normalised = FeatureNormaliser(2)(torch.tensor([[3.0, 4.0], [0.0, -2.0]]))
    assert normalised.tolist() == [pytest.approx([0.6, 0.8]), [0.0, -1.0]]
    assert FeatureNormaliser(7).out_dim == 7


def test_centred_and_scaled_before():
    statistics = (torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.5]))
    # ((7, 4) - (1, 2)) / (2, 0.5) = (3, 4), of length 5.
    vector = FeatureNormaliser(2, statistics)(torch.tensor([[7.0, 4.0]]))
    assert vector.tolist()[0] == pytest.approx([0.6, 0.8])


def test_an_image_without_features_stays_finite():
    assert FeatureNormaliser(3)(torch.zeros(1, 3)).tolist() == [[0.0, 0.0, 0.0]]
    half = FeatureNormaliser(3)(torch.full((1, 3), 60000.0, dtype=torch.float16))
    assert torch.isfinite(half).all() and half.dtype == torch.float32


def test_statistics_of_the_train_images():
    mean, std = train_statistics(np.array([[1, 5, 0], [3, 5, 0]], dtype=np.float16))
    assert mean.tolist() == [2.0, 5.0, 0.0]
    assert std.tolist() == [1.0, 1.0, 1.0]  # those that never vary are left at their scale
    mean, std = train_statistics(np.array([[0.0], [0.0], [3.0]]))
    assert mean.tolist() == [1.0] and std.tolist() == pytest.approx([2**0.5])


def test_half_floats_do_not_overflow_in_the_statistics():
    mean, std = train_statistics(np.full((1000, 1), 60000, dtype=np.float16))
    assert mean.item() == pytest.approx(60000, rel=1e-3) and std.item() == pytest.approx(1)


def test_features_that_hardly_vary_become_distinct():
    generator = np.random.default_rng(0)
    features = (1 + 0.002 * generator.standard_normal((50, 64))).astype(np.float32)
    plain = FeatureNormaliser(64)(torch.from_numpy(features))
    scaled = FeatureNormaliser(64, train_statistics(features))(torch.from_numpy(features))
    assert (plain @ plain.T).min() > 0.999  # all but one direction
    assert (scaled @ scaled.T).fill_diagonal_(0).abs().max() < 0.7


def test_the_statistics_are_part_of_the_model():
    saved = FeatureNormaliser(2, (torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))).state_dict()
    loaded = FeatureNormaliser(2)
    loaded.load_state_dict(saved)
    assert loaded.mean.tolist() == [1.0, 2.0] and loaded.std.tolist() == [3.0, 4.0]
    assert not list(loaded.parameters())
