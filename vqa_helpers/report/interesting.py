"""Which samples are worth looking at, chosen by rule, and the galleries of their cards.

A rule orders the questions, most telling first; a gallery shows the first few, one an image.
Knows judged tables and cards; runs no model.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.analysis import counting
from vqa_helpers.report.analysis import Analysed
from vqa_helpers.report.cards import Card, draw_cards
from vqa_helpers.report.style import note

Rule = Callable[[pd.DataFrame], pd.DataFrame]


def confident_misses(judged: pd.DataFrame) -> pd.DataFrame:
    """Wrong answers, the surest first; none that any annotator gave, so far as that is known."""
    wrong = judged["rank"].ne(1) & ~judged["vqa"].gt(0)
    return _ordered(judged[wrong], by="sure", ascending=False)


def narrow_hits(judged: pd.DataFrame) -> pd.DataFrame:
    """Right answers, the one with the smallest lead over its second first."""
    several = judged["probabilities"].map(len) > 1
    return _ordered(_with_lead(judged[(judged["rank"] == 1) & several]), by="lead")


def second_best_counts(judged: pd.DataFrame) -> pd.DataFrame:
    """ "How many" questions whose second answer is the true count, the narrowest first."""
    counted = counting(judged)
    return _ordered(_with_lead(counted[counted["rank"] == 2]), by="lead")


def disagreements(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Questions on which two models differ and one of them is right, the surest pair first.

    Args:
        ours, theirs: judged tables of the same questions.

    Raises:
        InputError: when they are not.
    """
    other = theirs.set_index("question_id")
    if set(ours["question_id"]) != set(other.index):
        raise InputError("the two runs were not scored on the same questions; compare others")
    other = other.loc[ours["question_id"]]
    sure = ours["sure"].combine(pd.Series(other["sure"].to_numpy(), index=ours.index), min)
    differ = ours["rank"].eq(1).to_numpy() != other["rank"].eq(1).to_numpy()
    return _ordered(ours.assign(sure=sure)[differ], by="sure", ascending=False)


RULES: Mapping[str, Rule] = {
    "Confident misses": confident_misses,
    "Narrow hits": narrow_hits,
    "Second-best counts": second_best_counts,
}


def gallery(
    chosen: pd.DataFrame,
    images: Mapping[int, Path],
    count: int = 6,
    columns: int = 3,
    image_size_px: int | None = None,
) -> Figure:
    """The cards of the first questions, one an image while there are enough.

    Args:
        chosen: what a rule gave.
        images: image files by image_id; empty, and the cards have no picture.
        image_size_px: side of the square that the model saw.
    """
    rows = _varied(chosen, count)
    if rows.empty:
        return note("No question is of this kind.")
    return draw_cards(_cards(rows, images), columns, bool(images), image_size_px)


def versus(
    ours: Analysed,
    theirs: Analysed,
    images: Mapping[int, Path],
    count: int = 3,
    image_size_px: int | None = None,
) -> Figure:
    """Questions that one of two models gets right, its card beside the other's.

    Args:
        count: of questions, a line each; both models are right in turn while there are enough.
    """
    found = disagreements(ours.judged, theirs.judged)
    right, wrong = (_varied(found[found["rank"].eq(1) == hit], count) for hit in (True, False))
    turns = [row for pair in zip(right.index, wrong.index, strict=False) for row in pair]
    rest = [row for row in (*right.index, *wrong.index) if row not in turns]
    ids = found.loc[[*turns, *rest][:count], "question_id"]
    if ids.empty:
        return note("Both are right on the same questions.")
    sides = [
        _cards(side.judged.set_index("question_id", drop=False).loc[ids], images)
        for side in (ours, theirs)
    ]
    cards = [card for pair in zip(*sides, strict=True) for card in pair]
    headings = (str(ours), str(theirs))
    return draw_cards(cards, 2, bool(images), image_size_px, headings)


def _cards(rows: pd.DataFrame, images: Mapping[int, Path]) -> list[Card]:
    return [
        Card(row.question, row.answers, row.probabilities, row.truth, images.get(int(row.image_id)))
        for row in rows.itertuples()
    ]


def _varied(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first rows, each of another image, question and truth while there are enough."""
    again = rows.duplicated("image_id") | rows.duplicated(["question", "truth"])
    return pd.concat([rows[~again], rows[again]]).head(count)


def _with_lead(rows: pd.DataFrame) -> pd.DataFrame:
    """With `lead`, how much more probable the first answer is than the second."""
    return rows.assign(lead=[chances[0] - chances[1] for chances in rows["probabilities"]])


def _ordered(rows: pd.DataFrame, by: str, ascending: bool = True) -> pd.DataFrame:
    return rows.sort_values([by, "question_id"], ascending=[ascending, True])
