"""Two models on the same questions: differences, their intervals, McNemar, and the verdict."""

import numpy as np
import pytest

from vqa_helpers.evaluation.compare import Difference, against, mcnemar, paired_difference


def hits(both=0, ours=0, theirs=0, neither=0):
    """Hits of two models, by how many questions both, one, or none got right."""
    first = [1.0] * (both + ours) + [0.0] * (theirs + neither)
    second = [1.0] * both + [0.0] * ours + [1.0] * theirs + [0.0] * neither
    return np.array(first), np.array(second)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 2, "better"), (-2, -0.1, "worse"), (-1, 1, "cannot tell"), (0, 1, "cannot tell"),
     (-1, 0, "cannot tell")],
)  # fmt: skip
def test_the_verdict_leaves_out_zero(low, high, expected):
    assert Difference((low + high) / 2, low, high).verdict == expected


def test_the_difference_is_paired():
    # Both are right on about half; ours on 5 % more. Unpaired the intervals would overlap widely.
    ours, theirs = hits(both=450, ours=50, theirs=0, neither=500)
    difference = paired_difference(ours, theirs, np.arange(1_000))
    assert difference.value == 5.0 and difference.verdict == "better"
    # By the normal approximation 1.96 * sqrt(0.05 * 0.95 / 1000) = 1.35 points on each side.
    assert (difference.high - difference.low) / 2 == pytest.approx(1.35, abs=0.12)
    shuffled = np.random.default_rng(0).permutation(1_000)  # unpaired: as many hits, elsewhere
    assert paired_difference(ours, theirs[shuffled], np.arange(1_000)).low < 1.0


def test_the_difference_is_clustered_by_image():
    ours, theirs = hits(both=40, ours=12, theirs=4, neither=44)
    alone = paired_difference(ours, theirs, np.arange(100))
    nine_times = [np.repeat(values, 9) for values in (ours, theirs, np.arange(100))]
    copies = paired_difference(*nine_times)
    assert copies.value == alone.value == 8.0
    assert copies.high - copies.low == pytest.approx(alone.high - alone.low, rel=0.15)
    other = paired_difference(theirs, ours, np.arange(100))
    assert other == Difference(-alone.value, -alone.high, -alone.low)


def test_models_that_answer_alike_are_not_certain_to_be_alike():
    ours = np.array([1.0, 0.0] * 20)
    found = paired_difference(ours, ours, np.arange(40))
    # Wilson's lower bound of 40 of 40 is 40 / 43.84 = 0.912: at most 8.8 % can be otherwise.
    assert (found.value, found.low, found.high) == pytest.approx((0, -8.76, 8.76), abs=0.02)


def test_one_image_tells_nothing():
    ours, theirs = hits(ours=30)
    assert paired_difference(ours, theirs, np.zeros(30)).verdict == "cannot tell"
    assert paired_difference(ours, theirs, np.arange(30)).verdict == "better"


@pytest.mark.parametrize(("differing", "verdict"), [(5, "cannot tell"), (6, "better")])
def test_a_handful_of_images_that_differ_proves_nothing(differing, verdict):
    ours, theirs = hits(ours=differing, neither=4)
    assert paired_difference(ours, theirs, np.arange(differing + 4)).verdict == verdict
    assert paired_difference(theirs, ours, np.arange(differing + 4)).verdict != "better"


def test_seeds_make_a_difference_less_certain():
    generator = np.random.default_rng(0)
    images = np.arange(2_000)
    theirs = (generator.random((3, 2_000)) < 0.5).astype(float)
    steady = (generator.random((3, 2_000)) < 0.54).astype(float)
    shares = np.array([0.44, 0.54, 0.64])[:, None]
    moody = (generator.random((3, 2_000)) < shares).astype(float)
    assert paired_difference(steady, theirs, images).verdict == "better"
    assert paired_difference(moody, theirs, images).verdict == "cannot tell"
    assert paired_difference(moody[0], theirs, images).verdict == "worse"  # one seed by itself


def test_mcnemar_is_exact():
    # 9 to 1 by the binomial: 2 * (1 + 10) / 2**10.
    assert mcnemar(*hits(both=5, ours=9, theirs=1, neither=3)) == pytest.approx(22 / 1024)
    assert mcnemar(*hits(both=5)) == 1.0
    assert mcnemar(*hits(ours=12, theirs=12)) == pytest.approx(1.0)
    # Twice the sum of C(45, k) / 2**45 up to k = 15.
    assert mcnemar(*hits(both=9, ours=30, theirs=15)) == pytest.approx(0.03570, abs=2e-5)
    assert mcnemar(*hits(ours=15, theirs=30)) == mcnemar(*hits(ours=30, theirs=15))
    assert mcnemar(*hits(ours=13, theirs=13)) == 1.0
    kept = against("most frequent answer", *hits(ours=40, theirs=10, neither=50), np.arange(100))
    assert kept["baseline"] == "most frequent answer" and kept["verdict"] == "better"
    assert 0 < kept["difference"]["low"] < kept["difference"]["value"] == 30.0
    assert kept["mcnemar_p"] == pytest.approx(2.39e-5, abs=2e-7)
