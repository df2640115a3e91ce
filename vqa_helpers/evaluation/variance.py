"""Which choice a score depends on most: an analysis of variance of a grid of runs.

Main effects and the interactions of two factors, by least squares; interactions of more are part of
the error, with what differs between repetitions. Works on a table of numbers; knows nothing of
models or runs.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd


def analyse_variance(table: pd.DataFrame, factors: Sequence[str], score: str) -> pd.DataFrame:
    """A row for each factor, each pair of factors and what is left over, the largest share first.

    The sum of squares of a row is what it explains beyond all others that do not hold it (Yates'
    type II), so that a grid with gaps is fair to each; in a full one they add up to the total. It
    takes repetitions for independent: runs that were scored on the same questions say how sure the
    order is on these, and not on others.

    Args:
        table: a row a run: the factors' values, and the score, in any unit.
        factors: its columns that were chosen, two or more values each.
        score: its column of numbers.

    Returns:
        "piece" ("vision", "vision x fusion"), "df", "sum of squares", "share" of the total, percent,
        "F", and "p", how often chance alone gives as large an F. A factor of one value has no row;
        there is no share where all scores are equal, and no F or p where nothing is left over.
    """
    from scipy.stats import f  # takes half a second, and answering needs none

    terms = [*combinations(factors, 1), *combinations(factors, 2)]
    values = table[score].to_numpy(dtype=float)
    centred, rounding = values - values.mean(), 1e-12 * np.square(values).sum()

    def left_by(chosen: Sequence[tuple[str, ...]]) -> tuple[float, int]:
        """The sum of squares that the cell means of these terms leave, and its degrees of freedom."""
        columns = [pd.get_dummies(table.groupby(list(term)).ngroup()) for term in chosen]
        design = np.column_stack([np.ones(len(table)), *columns]).astype(float)
        fitted, _, rank, _ = np.linalg.lstsq(design, centred)
        return float(np.square(centred - design @ fitted).sum()), len(table) - int(rank)

    left, free = left_by(terms)
    rows = {"left over": {"df": free, "sum of squares": left}}
    for term in terms:
        others = [other for other in terms if not {*term} <= {*other}]
        (without, df), (within, df_within) = left_by(others), left_by([*others, term])
        if df > df_within:
            row = {"df": df - df_within, "sum of squares": without - within}
            if left > rounding:
                row["F"] = (without - within) / row["df"] / (left / free)
                row["p"] = float(f.sf(row["F"], row["df"], free))
            rows[" x ".join(term)] = row
    found = pd.DataFrame(rows, ["df", "sum of squares", "share", "F", "p"]).T
    total = np.square(centred).sum()
    found["share"] = 100 * found["sum of squares"] / (total if total > rounding else np.nan)
    found = found.sort_values("sum of squares", ascending=False, kind="stable")
    return found.astype(float).astype({"df": int}).rename_axis("piece").reset_index()
