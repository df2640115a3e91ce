"""What the analysis of a run says, as sentences: computed, so that another run says otherwise.

Answers and question types stand in the sentences as code, so that whatever they hold is shown as
it is. Knows judged tables; counts nothing but what the tables give.
"""

import pandas as pd

from vqa_helpers.evaluation.analysis import (
    FEWEST,
    FEWEST_MISSES,
    SecondAnswers,
    confusion_table,
    frequency_table,
    kind_table,
    length_table,
    second_answers,
    without_yes_no,
)
from vqa_helpers.report.analysis import FEW, Analysed
from vqa_helpers.report.interesting import (
    confident_misses,
    disagreements,
    narrow_hits,
    second_best_counts,
)
from vqa_helpers.report.tables import Score
from vqa_helpers.report.texts import printable

SURE = 0.9  # a probability from which a miss is called confident


def result_findings(analysed: Analysed, train: pd.DataFrame) -> str:
    """The findings on a run as a Markdown list.

    Args:
        train: the train split.
    """
    judged = analysed.judged
    open_ended = without_yes_no(judged)
    frequencies = frequency_table(open_ended, train["answer"])
    lines = [
        f"Analysed is **{analysed}**, the best finished run by its validation score, on "
        f"{len(judged):,} {analysed.split} questions.",
        _types(open_ended),
        _trend(frequencies, "true answers seen", "times in train (yes/no excluded)"),
        _trend(length_table(judged), "questions of", "words"),
        _confusion(open_ended),
        _remark(second_answers(judged, train)),
    ]
    return _listed(lines)


def remark_table(judged: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The remark on second answers as a table: what is asked, of how many, the share in percent."""
    test = second_answers(judged, train)
    if test is None:
        return pd.DataFrame(columns=["asked", "questions", "share", "points over the first row"])
    rows = [
        ("missed counts: the second answer is right", test.misses, test.second, None),
        ("missed counts: the most frequent other count is right", test.misses, test.guess,
         str(-test.gain)),
        ("other open questions missed: the second answer is right", test.others, test.elsewhere,
         None if test.over_elsewhere is None else str(-test.over_elsewhere)),
        ("second answer right: the first is too low", test.told, test.short, None),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            {
                "asked": asked,
                "questions": questions,
                "share": None if share is None else str(Score(**share)),
                "points over the first row": points,
            }
            for asked, questions, share, points in rows
        ]
    )


def sample_findings(ours: Analysed, theirs: Analysed | None) -> str:
    """What the galleries show, counted over all questions, as a Markdown list.

    Args:
        theirs: the run it is compared with; None where there is but one.
    """
    judged = ours.judged
    misses, hits = confident_misses(judged), narrow_hits(judged)
    sure = judged["sure"] >= SURE
    wrong = int((sure & judged["rank"].ne(1)).sum())
    lines = [f"Shown is **{ours}**, the best finished run by its validation score."]
    if sure.any():
        lines.append(
            f"It gives {int(sure.sum()):,} of {len(judged):,} first answers {100 * SURE:.0f} % or "
            f"more; {wrong:,} of these are wrong ({100 * wrong / sure.sum():.1f} %)."
        )
    else:
        lines.append(f"It is never {100 * SURE:.0f} % sure of an answer.")
    if len(misses):
        first = misses.iloc[0]
        lines.append(
            f"Its surest mistake: {_code(first['first'])} at {100 * first['sure']:.0f} %, the truth "
            f"is {_code(first['truth'])}."
        )
    if len(hits):
        narrow = int((hits["lead"] < 0.1).sum())
        lines.append(f"{narrow:,} of {len(hits):,} hits lead by less than ten points.")
    counts = len(second_best_counts(judged))
    if counts:
        lines.append(f"{counts:,} true counts are its second answer.")
    if theirs is not None:
        differ = disagreements(judged, theirs.judged)
        won = int(differ["rank"].eq(1).sum())
        lines.append(
            f"On {len(differ):,} questions one of it and **{theirs}** is right alone: it on {won:,}, "
            f"the other on {len(differ) - won:,}."
        )
    return _listed(lines)


def _listed(lines: list[str]) -> str:
    return "\n".join(f"* {line}" for line in lines if line)


def _code(text: object) -> str:
    """A text as inline code: nothing in it is markup."""
    text = printable(text).replace("`", "'").replace("|", "¦")
    return f"`{text[:60]}`" if text else "an empty answer"


def _types(open_ended: pd.DataFrame) -> str:
    table = kind_table(open_ended, "question_type", FEWEST)
    if len(table) < 2:
        return "There are too few types of open questions to tell the easy ones from the hard."
    best, worst = table.iloc[0], table.iloc[-1]
    said = f"Of {len(table)} types of open questions with {FEWEST} questions or more "
    if best["top-1"] == worst["top-1"]:
        return f"{said}all are answered alike ({best['top-1']:.1f} %)."
    return (
        f"{said}{_alike(table, best)} answered best ({_share(best)}), {_alike(table, worst)} worst "
        f"({_share(worst)}); {_apart(best, worst)}."
    )


def _alike(table: pd.DataFrame, row: pd.Series) -> str:
    """The type of a row, and how many others share its score."""
    others = int(table["top-1"].eq(row["top-1"]).sum()) - 1
    more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"{_code(row.name)}{more} {'are' if others else 'is'}"


def _share(row: pd.Series) -> str:
    return f"{row['top-1']:.1f} %, {row['top-1 low']:.1f} to {row['top-1 high']:.1f}"


def _apart(one: pd.Series, other: pd.Series) -> str:
    overlap = min(one["top-1 high"], other["top-1 high"]) >= max(
        one["top-1 low"], other["top-1 low"]
    )
    return "their intervals overlap" if overlap else "their intervals lie apart"


def _trend(table: pd.DataFrame, before: str, after: str) -> str:
    """The first and the last bin that hold enough questions."""
    table = table[table["questions"] >= FEW]
    if len(table) < 2:
        return ""
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"{before.capitalize()} {first.name} {after} are hit in {_share(first)}; those of {last.name} "
        f"in {_share(last)}; {_apart(first, last)}."
    )


def _confusion(open_ended: pd.DataFrame) -> str:
    table = confusion_table(open_ended, 1)
    if table.empty:
        return ""
    row = table.iloc[0]
    return (
        f"The most frequent mistake is {_code(row['answered'])} for {_code(row['truth'])}: "
        f"{row['questions']:,} questions, {row['of the truth']:.0f} % of those with that truth."
    )


def _remark(test: SecondAnswers | None) -> str:
    if test is None:
        return 'No missed "how many" question is here: the remark on second answers has no case.'
    second, guess = test.second, test.guess
    said = (
        f'The remark on counting: of {test.misses:,} missed "how many" questions the second answer '
        f"is right in {second['value']:.1f} % ({second['low']:.1f} to {second['high']:.1f}), where "
        f"the most frequent other count would be in {guess['value']:.1f} %: {test.gain} points, "
    )
    if test.misses < FEWEST_MISSES:
        return said + f"too few (below {FEWEST_MISSES}) to tell."
    said += {
        "better": "so the second place knows more than frequency: the remark holds",
        "worse": "so the second place is worth less than a guess: the remark does not hold",
        "cannot tell": "which cannot be told from a guess by frequency: the remark is not shown",
    }[test.often]
    if test.short is None:
        return said + "."
    short = test.short
    return (
        f"{said}. Where the second answer is right the first one is too low in {short['value']:.1f} "
        f"% ({short['low']:.1f} to {short['high']:.1f}); "
        + {
            "better": "it falls short more often than not, as hidden individuals would have it.",
            "worse": "it is mostly not, so hidden individuals do not explain it.",
            "cannot tell": "hidden individuals, which are not counted, would make that more than half, "
            "which cannot be told.",
        }[test.falls_short]
    )
