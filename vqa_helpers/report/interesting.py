"""Which samples are worth looking at, chosen by rule: galleries of cards, and the site's examples.

A rule orders judged questions, most telling first; a gallery shows the first few, one an image.
Runs no model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError, require_count
from vqa_helpers.evaluation.analysis import counting
from vqa_helpers.report.cards import draw_cards, judged, load_picture
from vqa_helpers.report.style import note
from vqa_helpers.report.verdicts import Runs, as_one

MOST_PX = 320  # side of an example's picture


def confident_misses(rows: pd.DataFrame) -> pd.DataFrame:
    """Wrong answers, the surest first; none that any annotator gave, so far as that is known."""
    return _ordered(rows[rows["rank"].ne(1) & ~rows["vqa"].gt(0)], "sure", ascending=False)


def narrow_hits(rows: pd.DataFrame) -> pd.DataFrame:
    """Right answers, the one with the smallest lead over its second first."""
    several = rows["probabilities"].map(len) > 1
    return _ordered(rows[rows["rank"].eq(1) & several], "lead")


def second_best_counts(rows: pd.DataFrame) -> pd.DataFrame:
    """ "How many" questions whose second answer is the true count, the narrowest first."""
    counted = counting(rows)
    return _ordered(counted[counted["rank"] == 2], "lead")


def disagreements(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Questions that one of two models alone gets right, the surest pair first.

    Args:
        ours, theirs: judged tables of the same questions.

    Raises:
        InputError: when they are not.
    """
    if set(ours["question_id"]) != set(theirs["question_id"]):
        raise InputError("the two runs were not scored on the same questions; compare others")
    other = theirs.set_index("question_id").loc[ours["question_id"]].set_index(ours.index)
    differ = ours["rank"].eq(1) != other["rank"].eq(1)
    both = ours.assign(sure=np.minimum(ours["sure"], other["sure"]))
    return _ordered(both[differ], "sure", ascending=False)


def _ordered(rows: pd.DataFrame, by: str, ascending: bool = True) -> pd.DataFrame:
    """Sorted; `lead` is how much more probable the first answer is than the second."""
    lead = [chances[0] - sum(chances[1:2]) for chances in rows["probabilities"]]
    return rows.assign(lead=lead).sort_values([by, "question_id"], ascending=[ascending, True])


def _varied(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first rows, each of another image, question and truth while there are enough."""
    require_count("count", count)
    again = rows.duplicated("image_id") | rows.duplicated(["question", "truth"])
    return pd.concat([rows[~again], rows[again]]).head(count)


def gallery(
    rule: Callable[[pd.DataFrame], pd.DataFrame], runs: Runs, dataset: Dataset, count: int = 6
) -> Figure:
    """The cards of the first questions by a rule, such as `confident_misses`."""
    rows = _varied(rule(judged(runs, dataset)), count)
    if rows.empty:
        return note("No question is of this kind.")
    size_px = as_one(runs).runs[0].config.get("image_size_px")
    return draw_cards(rows, dataset.images, size_px)


def versus(ours: Runs, theirs: Runs, dataset: Dataset, count: int = 3) -> Figure:
    """Questions that one of two experiments gets right, its card beside the other's.

    Args:
        count: of questions, a line each; both are right in turn while there are enough.
    """
    sides = [judged(runs, dataset) for runs in (ours, theirs)]
    found = disagreements(*sides)
    turn = found.groupby(found["rank"].eq(1)).cumcount()
    ids = _varied(found.assign(turn=turn).sort_values("turn", kind="stable"), count)["question_id"]
    if ids.empty:
        return note("Both are right on the same questions.")
    rows = pd.concat([side[side["question_id"] == one] for one in ids for side in sides])
    experiments = [as_one(runs) for runs in (ours, theirs)]
    size_px = experiments[0].runs[0].config.get("image_size_px")
    return draw_cards(rows, dataset.images, size_px, 2, [one.name for one in experiments])


# The site's front page


@dataclass(frozen=True)
class Example:
    """A question about an image, and what a model answered.

    Attributes:
        name, dataset: of the experiment.
        outcome: as `cards.outcome` names it.
        rule: why this one is shown.
        answers: the five most probable, first one first, with their probabilities.
        picture: (S, S, 3) uint8, as the model saw it; None where the image is not at hand.
    """

    name: str
    dataset: str
    outcome: str
    rule: str
    question: str
    truth: str
    answers: tuple[str, ...]
    probabilities: tuple[float, ...]
    picture: np.ndarray | None


def choose_examples(runs: Runs, dataset: Dataset) -> list[Example]:
    """One example for each rule that some prediction fits, each about another image; images at
    hand are preferred."""
    experiment = as_one(runs)
    size_px = experiment.runs[0].config.get("image_size_px") or MOST_PX
    rows = judged(experiment, dataset)
    seen = rows["image_id"].isin(dataset.images.keys())
    rows = rows[seen] if seen.any() else rows
    right, second, missed = (rows[rows["rank"].eq(rank)] for rank in (1, 2, 0))
    seeing = right[right["blind"].ne(right["truth"])]
    fitting = [
        ("hit", "the surest right answer that the best blind guess gets wrong", seeing),
        ("top five", "the truth came second, with the highest probability",
         second.assign(sure=second["probabilities"].str[1])),
        ("miss", "the surest answer where the truth is not among the first five", missed),
    ]  # fmt: skip
    if seeing.empty:
        fitting[0] = "hit", "the surest right answer; the best blind guess has it too", right
    chosen = {}  # by image
    for name, rule, candidates in fitting:
        fresh = candidates[~candidates["image_id"].isin(chosen.keys())]
        for row in _ordered(fresh, "sure", ascending=False).head(1).itertuples():
            picture = load_picture(dataset.images.get(row.image_id), min(size_px, MOST_PX))
            chosen[row.image_id] = Example(
                experiment.name, experiment.dataset, name, rule, row.question, row.truth,
                tuple(row.answers[:5]), tuple(row.probabilities[:5]), picture,
            )  # fmt: skip
    return list(chosen.values())
