"""95 % intervals by a bootstrap over images, and over training seeds where there are several.

Questions about one image are not independent, so images are drawn and each brings its questions.
Works on arrays of scores; knows nothing of questions, answers or models.
"""

import math
from statistics import NormalDist

import numpy as np

RESAMPLES = 1_000
CONFIDENCE = 0.95
CHUNK = 50  # resamples held at a time: 40,000 images are 16 MB of weights


def interval(scores: np.ndarray, images: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean score.

    Where every image has the same score a bootstrap is blind; Wilson's interval over the images
    stands in. From a few seeds no bootstrap knows their spread well: where it outweighs that of
    the images, two to five seeds give intervals that hold the truth in 80 to 90 % of cases.

    Args:
        scores: (N,) each 0 to 1, or (S, N) for S training seeds, which are drawn as well.
        images: (N,) the image of each question.

    Returns:
        The lower and the upper bound, 0 to 1.
    """
    runs = np.atleast_2d(scores)
    of_image = means_of_images(runs.mean(axis=0), images)
    if np.ptp(of_image) < 1e-9:
        return wilson(float(runs.mean()), len(of_image))
    (means,) = resampled_means([runs], images)
    return tuple(np.clip(bounds(means), 0, 1).tolist())  # seeds moved apart can leave the scale


def resampled_means(runs: list[np.ndarray], images: np.ndarray) -> list[np.ndarray]:
    """The mean score of each resample, for several models on the same draws of images.

    Args:
        runs: for each model its scores (S, N): a row per training seed. Seeds are drawn too, each
            model's on their own, since they are separate trainings; one seed stays as it is.
        images: (N,) the image of each question.

    Returns:
        For each model (RESAMPLES,).
    """
    columns = [totals(np.ones(len(images)), images)]
    for run in runs:
        # Drawing S seeds from S understates their variance by (S - 1) / S, by half for two seeds:
        # they are moved apart by the root of the inverse.
        middle = run.mean(axis=0)
        apart = middle + (run - middle) * np.sqrt(len(run) / max(len(run) - 1, 1))
        columns += [totals(row, images) for row in apart]
    sums = resample(np.hstack(columns))  # (R, 1 + seeds of all models)
    generator = np.random.default_rng([0, 1])
    means, start = [], 1
    for run in runs:
        of_seed = sums[:, start : start + len(run)] / sums[:, :1]  # (R, S)
        start += len(run)
        drawn = generator.integers(len(run), size=of_seed.shape)
        means.append(np.take_along_axis(of_seed, drawn, axis=1).mean(axis=1))
    return means


def means_of_images(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The mean of `values` (N,) for each image, (I,)."""
    return (totals(values, images) / totals(np.ones(len(images)), images))[:, 0]


def totals(values: np.ndarray, images: np.ndarray, kinds: np.ndarray | int = 0) -> np.ndarray:
    """Sums of `values` (N,) for each image and kind, (I, K); all one kind by default.

    Args:
        images: (N,) the image of each question.
        kinds: (N,) each question's kind, numbered from 0.
    """
    distinct, groups = np.unique(images, return_inverse=True)
    shape = len(distinct), int(np.max(kinds, initial=0)) + 1
    sums = np.bincount(groups * shape[1] + kinds, weights=values, minlength=shape[0] * shape[1])
    return sums.reshape(shape)


def resample(of_image: np.ndarray) -> np.ndarray:
    """Totals of each resample, (RESAMPLES, C), from totals of each image, (I, C).

    Every column sees the same draws, so that their ratios and differences are paired.
    """
    images = len(of_image)
    generator = np.random.default_rng(0)
    sums = np.empty((RESAMPLES, of_image.shape[1]))
    for start in range(0, RESAMPLES, CHUNK):
        stop = min(start + CHUNK, RESAMPLES)
        draws = generator.integers(images, size=(stop - start, images))
        draws += images * np.arange(stop - start)[:, None]  # a range of its own for each resample
        drawn = np.bincount(draws.ravel(), minlength=draws.size)  # how often each was drawn
        sums[start:stop] = drawn.reshape(draws.shape).astype(float) @ of_image
    return sums


def bounds(means: np.ndarray) -> tuple[float, float]:
    """The percentile interval of resampled means (R,); those without a question are NaN."""
    tail = (1 - CONFIDENCE) / 2
    return tuple(np.quantile(means[~np.isnan(means)], [tail, 1 - tail]).tolist())


def wilson(mean: float, count: int) -> tuple[float, float]:
    """Wilson's interval of a share seen in `count` independent images (Wilson, 1927).

    Written out, as importing scipy.stats for it takes longer than many a measurement.
    """
    hits, z = round(mean * count), NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    centre, total = hits + z * z / 2, count + z * z
    half = z * math.sqrt(hits * (count - hits) / count + z * z / 4)
    low, high = (centre - half) / total, (centre + half) / total
    return low if hits else 0.0, high if hits < count else 1.0
