"""Intervals: by image, by seed, and where a bootstrap is blind."""

import numpy as np
import pytest

from vqa_helpers.evaluation.bootstrap import interval, resampled_means


def test_interval_clusters_by_image():
    generator = np.random.default_rng(0)
    of_image = (generator.random(100) < 0.5).astype(float)
    scores, images = np.repeat(of_image, 5), np.repeat(np.arange(100), 5)
    low, high = interval(scores, images)
    naive_low, naive_high = interval(scores, np.arange(500))
    # Five copies of each image carry the knowledge of one: wider by about the root of five.
    assert 1.8 < (high - low) / (naive_high - naive_low) < 2.7
    assert low < scores.mean() < high
    # By the normal approximation 1.96 * sqrt(0.25 / 100) is 0.098 on each side.
    assert (high - low) / 2 == pytest.approx(0.098, abs=0.012)


def test_interval_is_deterministic_and_ignores_names_and_order():
    generator = np.random.default_rng(0)
    scores, images = generator.random(60), generator.integers(0, 20, 60)
    once = interval(scores, images)
    assert once == interval(scores, images) == interval(scores, images * 7 - 3)
    order = generator.permutation(60)
    assert interval(scores[order], images[order]) == pytest.approx(once)


def test_wilson_stands_in_where_a_bootstrap_is_blind():
    # Wilson, by its formula: the lower bound of n of n is n / (n + 1.96²) = 10 / 13.8415.
    ten = np.repeat(np.arange(10), 3)
    assert interval(np.ones(30), ten) == pytest.approx((10 / 13.8415, 1), abs=1e-4)
    assert interval(np.zeros(30), ten) == pytest.approx((0, 3.8415 / 13.8415), abs=1e-4)
    assert interval(np.ones(3), np.full(3, 4)) == pytest.approx((1 / 4.8415, 1), abs=1e-4)
    # Each image has one right and one wrong: every resample has the mean 0.5. Wilson for 4 of 8:
    # centre 0.5, half width 1.96 * sqrt(0.25 / 8 + 3.8415 / 256) / 1.4802.
    found = interval(np.array([1.0, 0.0] * 8), np.repeat(np.arange(8), 2))
    assert found == pytest.approx((0.2152, 0.7848), abs=1e-3)


def test_seeds_that_differ_widen_the_interval_by_their_spread():
    generator = np.random.default_rng(0)
    images = np.arange(2_000)
    one = (generator.random(2_000) < 0.5).astype(float)
    alike = np.stack([one] * 5)
    low, high = interval(alike, images)
    assert (low, high) == pytest.approx(interval(one, images), abs=1e-12)
    # Five seeds with means 0.3, 0.4, …, 0.7: the error of their mean is 0.158 / sqrt(5) = 0.0707,
    # so the interval is about 1.96 of it on each side, the images' 0.01 beside it.
    shares = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    apart = (generator.random((5, 2_000)) < shares[:, None]).astype(float)
    low, high = interval(apart, images)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.0707, rel=0.12)


def test_two_models_are_drawn_on_the_same_images_and_on_seeds_of_their_own():
    generator = np.random.default_rng(0)
    scores, images = generator.random((1, 300)), np.repeat(np.arange(100), 3)
    first, second = resampled_means([scores, scores - 0.25], images)
    assert first - second == pytest.approx(0.25, abs=1e-12)
    seeds = np.stack([np.zeros(300), np.ones(300)])
    first, second = resampled_means([seeds, seeds], images)
    assert np.abs(first - second).max() > 0.5


def test_seeds_far_apart_do_not_push_a_score_off_its_scale():
    images = np.arange(50)
    high, low = np.ones((3, 50)), np.zeros((3, 50))
    high[2, :3] = 0
    low[0, :3] = 1
    assert interval(high, images)[1] == 1.0
    assert interval(low, images)[0] == 0.0
