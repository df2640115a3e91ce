"""The analysis of variance: against published examples, values worked out by hand, and its limits."""

from itertools import product

import pandas as pd
import pytest

from vqa_helpers.evaluation.variance import analyse_variance

# Montgomery, Design and Analysis of Experiments: deviations of the fill height of soft drinks
# (carbonation, pressure, speed, two repetitions), and hours that batteries last (material,
# temperature, four repetitions).
FILLS = {
    (10, 25, 200): (-3, -1), (10, 25, 250): (-1, 0), (10, 30, 200): (-1, 0), (10, 30, 250): (1, 1),
    (12, 25, 200): (0, 1), (12, 25, 250): (2, 1), (12, 30, 200): (2, 3), (12, 30, 250): (6, 5),
    (14, 25, 200): (5, 4), (14, 25, 250): (7, 6), (14, 30, 200): (7, 9), (14, 30, 250): (10, 11),
}  # fmt: skip
HOURS = {
    (1, 15): (130, 155, 74, 180), (1, 70): (34, 40, 80, 75), (1, 125): (20, 70, 82, 58),
    (2, 15): (150, 188, 159, 126), (2, 70): (136, 122, 106, 115), (2, 125): (25, 70, 58, 45),
    (3, 15): (138, 110, 168, 160), (3, 70): (174, 120, 150, 139), (3, 125): (96, 104, 82, 60),
}  # fmt: skip


def analysed(cells: dict, *factors: str) -> pd.DataFrame:
    rows = [(*place, value) for place, values in cells.items() for value in values]
    table = pd.DataFrame(rows, columns=[*factors, "score"])
    return analyse_variance(table, factors, "score").set_index("piece")


def test_two_factors_as_published():
    found = analysed(HOURS, "material", "temperature")
    published = {
        "temperature": (2, 39118.72, 28.97), "left over": (27, 18230.75, None),
        "material": (2, 10683.72, 7.91), "material x temperature": (4, 9613.78, 3.56),
    }  # fmt: skip
    assert list(found.index) == list(published)
    for name, (df, squares, ratio) in published.items():
        row = found.loc[name]
        assert (row["df"], row["sum of squares"]) == (df, pytest.approx(squares, abs=0.005))
        assert ratio is None or row["F"] == pytest.approx(ratio, abs=0.005)
    assert found["share"].sum() == pytest.approx(100)
    assert found.loc["temperature", "share"] == pytest.approx(100 * 39118.72 / 77646.97)
    ps = found.loc[["material", "material x temperature"], "p"]
    assert list(ps) == pytest.approx([0.0020, 0.0186], abs=0.00006)


def test_three_factors_as_published_and_the_interaction_of_three_is_left_over():
    found = analysed(FILLS, "carbonation", "pressure", "speed")
    published = {
        "carbonation": 252.75, "pressure": 45.375, "speed": 22.0417, "carbonation x pressure": 5.25,
        "carbonation x speed": 0.5833, "pressure x speed": 1.0417, "left over": 8.5 + 1.0833,
    }  # fmt: skip
    assert found["sum of squares"].to_dict() == pytest.approx(published, abs=0.0001)
    assert found.loc["left over", "df"] == 12 + 2
    ratio = (252.75 / 2) / ((8.5 + 1.0833) / 14)
    assert found.loc["carbonation", "F"] == pytest.approx(ratio, rel=1e-4)
    assert found.loc["carbonation", "p"] < 1e-9 < 0.3 < found.loc["pressure x speed", "F"]


def test_by_hand_one_factor_that_matters_and_one_that_does_not():
    # Means of a: 10 and 20; of b: 15 and 15; each cell's two values lie 1 from their mean.
    cells = {(a, b): (10 * a - 1, 10 * a + 1) for a, b in product((1, 2), "xy")}
    found = analysed(cells, "a", "b")
    assert list(found["df"]) == [1, 4, 1, 1]
    assert found["sum of squares"].to_dict() == pytest.approx(
        {"a": 8 * 5**2, "left over": 8 * 1**2, "b": 0, "a x b": 0}, abs=1e-9
    )
    assert found.loc["a", ["share", "F"]].tolist() == pytest.approx([100 * 200 / 208, 100])
    # F of 1 and 4 degrees of freedom is the square of Student's t: t = 10 of 4 has p = 0.000562.
    assert found.loc["a", "p"] == pytest.approx(0.000562, abs=5e-7)
    assert found.loc["b", "p"] == pytest.approx(1)


def test_a_grid_with_gaps_is_fair_to_each_factor():
    """Scores that add up: what a explains must not be laid at b's door, whose values meet another
    mixture of a."""
    cells = {(0, "x"): (0, 0, 0), (0, "y"): (1,), (5, "x"): (5,), (5, "y"): (6, 6, 6)}
    found = analysed(cells, "a", "b")
    # Within b: x has three of a=0 and one of a=5, y the mirror of it: 2 * 3/4 * 5**2 beyond b.
    assert found["sum of squares"].to_dict() == pytest.approx(
        {"a": 2 * 0.75 * 5**2, "b": 2 * 0.75 * 1**2, "a x b": 0, "left over": 0}, abs=1e-9
    )
    assert found["F"].isna().all() and found["p"].isna().all()


def test_scores_that_are_all_equal_have_no_shares():
    found = analysed({(a, b): (61.2, 61.2) for a, b in product("xyz", "xy")}, "a", "b")
    assert found[["share", "F", "p"]].isna().all(axis=None)


def test_what_cannot_be_told_is_left_out():
    found = analysed({("x", b): (1.0, 2.0 + b) for b in (1, 5)}, "a", "b")
    assert sorted(found.index) == ["b", "left over"], "of a there is one value"
    once = analysed({(a, b): (a * b,) for a, b in product((1, 2, 4), (1, 3))}, "a", "b")
    assert once.loc["left over", "df"] == 0 and once["F"].isna().all()
    assert once.loc["b", "sum of squares"] == pytest.approx(6 * (7 / 3) ** 2)  # means 7/3 and 7
