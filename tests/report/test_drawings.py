"""The shapes of diagrams: pieces fit into one another, numbers are short."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from vqa_helpers.report.drawings import in_short, outline, shade, sheet, tint


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (512, "512"), (1000, "1.00 k"), (5_879_913, "5.88 M"), (10_084_905, "10.1 M"),
     (134_260_544, "134 M"), (2 * 10**9, "2.00 G")],
)  # fmt: skip
def test_counts_in_three_digits(count: int, text: str) -> None:
    assert in_short(count) == text


def test_a_knob_fits_its_socket() -> None:
    """The right side of one piece is the left side of its neighbour, point by point."""
    one = outline(0, 0, 2, 1, 0.5, (), ((0.5, 1),))
    other = outline(2, 0, 2, 1, 0.5, ((0.5, -1),), ())
    right = np.array([v for v in one.vertices if v[0] >= 2 and 0 < v[1] < 1])
    left = np.array([v for v in other.vertices if 2 <= v[0] < 3 and 0 < v[1] < 1])
    assert len(right) == len(left) == 13
    assert np.allclose(right[np.lexsort(right.T)], left[np.lexsort(left.T)])
    assert right[:, 0].max() > 2.3


def test_outlines_are_closed() -> None:
    path = outline(1, 2, 3, 4, 0.5, ((0.25, -1), (0.75, -1)), ((0.5, 1),))
    assert path.codes[0] == path.MOVETO and path.codes[-1] == path.CLOSEPOLY
    assert len(path.to_polygons()) == 1


def test_tints_and_shades() -> None:
    assert tint("#000000", 0.25) == (0.75, 0.75, 0.75)
    assert shade("#ffffff", 0.25) == (0.75, 0.75, 0.75)


def test_a_sheet_is_measured_in_inches() -> None:
    figure, axes = sheet(4, 2)
    assert axes.transData.transform((4, 2)) == pytest.approx(figure.bbox.max)
    plt.close(figure)
