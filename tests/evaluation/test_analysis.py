"""Tables of a run's answers: what they count, and that odd data do not break them."""

import numpy as np
import pandas as pd
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.evaluation import analysis


def asked(*rows) -> pd.DataFrame:
    """Questions, each about an image of its own, and predictions in one, from rows (question,
    question type, truth, answers)."""
    columns = ["question", "question_type", "answer", "answers"]
    made = pd.DataFrame(rows, columns=columns, dtype=object)
    made["answer_type"] = np.where(made["answer"].isin(["yes", "no"]), "yes/no", "other")
    made["image_id"] = made["question_id"] = range(1, len(rows) + 1)
    made["probabilities"] = [[0.5 / (k + 1) for k in range(len(row[3]))] for row in rows]
    return made.assign(truth=made["answer"], vqa=None)


def judged(*rows) -> pd.DataFrame:
    return analysis.judge(asked(*rows), asked(*rows))


COUNT = ("How many dogs?", "how many")
COLOUR = ("What color is it?", "what color is")
IS = ("Is it red?", "is it")


def test_the_rank_is_the_place_of_the_truth_among_the_first_five():
    answers = ["a", "b", "c", "d", "e", "f"]
    table = judged(*[(*COLOUR, truth, answers) for truth in ("a", "b", "e", "f", "g")])
    assert table["rank"].tolist() == [1, 2, 5, 0, 0]
    assert table["first"].tolist() == ["a"] * 5 and table["sure"].tolist() == [0.5] * 5
    assert table["vqa"].isna().all()


def test_predictions_of_other_questions_are_refused():
    table = asked((*COLOUR, "red", ["red"]), (*COLOUR, "blue", ["blue"]))
    assert analysis.judge(table.iloc[::-1], table)["rank"].tolist() == [1, 1]  # by id
    with pytest.raises(InputError, match="question 2 has no prediction"):
        analysis.judge(table.head(1), table)
    with pytest.raises(InputError, match="question 1 has another answer"):
        analysis.judge(table, table.assign(answer=["green", "blue"]))
    with pytest.raises(InputError, match="has no answers"):
        analysis.judge(table, table.drop(columns="answer"))


def test_kinds_are_counted_and_sorted():
    rows = [(*COLOUR, "red", ["red"])] * 3 + [(*COLOUR, "red", ["blue", "red"])]
    rows += [(*COUNT, "2", ["3", "2"])] * 2
    table = analysis.kind_table(judged(*rows), "question_type")
    assert table.index.tolist() == ["what color is", "how many"]
    assert table.loc["what color is", ["questions", "hits", "top-5 hits"]].tolist() == [4, 3, 4]
    assert table["top-1"].tolist() == [75.0, 0.0] and table["top-5"].tolist() == [100.0, 100.0]
    assert (table["top-1 low"] <= table["top-1"]).all()
    assert len(analysis.kind_table(judged(*rows), "question_type", fewest=3)) == 1
    by_count = analysis.kind_table(judged(*rows), "question_type", by="questions")
    assert by_count.index.tolist() == ["what color is", "how many"]
    best, worst = analysis.best_and_worst(table, 8)  # which share no row
    assert [*best.index, *worst.index] == table.index.tolist()


def test_types_that_are_mostly_yes_or_no_are_left_out_whole():
    rows = [(*IS, "yes", ["yes"]), (*IS, "no", ["yes"]), (*IS, "red", ["yes"])]
    rows += [(*COLOUR, "red", ["red"]), (*COLOUR, "yes", ["red"]), (*COLOUR, "blue", ["red"])]
    kept = analysis.without_yes_no(judged(*rows))
    assert set(kept["question_type"]) == {"what color is"} and len(kept) == 3


def test_frequencies_fall_into_bins_that_grow():
    train = ["red"] * 100 + ["blue"] * 2 + ["green"] * 9
    truths = ("red", "red", "blue", "green", "grey")
    rows = [(*COLOUR, truth, ["red"]) for truth in truths]
    table = analysis.frequency_table(judged(*rows), train)
    assert table["questions"].to_dict() == {"0": 1, "1–2": 1, "3–9": 1, "100": 2}
    assert table["top-1"].tolist() == [0, 0, 0, 100]


def test_lengths_are_put_together_until_there_are_enough():
    rows = [("why?", "why", "x", ["x"])] * 12 + [("is it so?", "is it", "yes", ["no"])] * 3
    rows += [("is it really so?", "is it", "yes", ["yes"])] * 12
    table = analysis.length_table(judged(*rows))
    assert table["questions"].to_dict() == {"1–2": 12, "3–4": 15}
    assert table["hits"].tolist() == [12, 12]


def test_confusions_name_both_directions():
    rows = [(*COLOUR, "red", ["blue"])] * 3 + [(*COLOUR, "red", ["red"])]
    rows += [(*COLOUR, "blue", ["red"]), (*COLOUR, "grey", ["odd"])]
    table = analysis.confusion_table(judged(*rows))
    first = table.iloc[0]
    assert (first["truth"], first["answered"], first["questions"]) == ("red", "blue", 3)
    assert first["of the truth"] == 75.0 and first["back"] == 100.0
    assert np.isnan(table[table["answered"] == "odd"]["back"].iloc[0])
    assert len(analysis.confusion_table(judged(*rows), 1)) == 1


def test_the_matrix_puts_numbers_in_order_and_sums_to_a_hundred():
    rows = [(*COUNT, "2", ["10"])] * 3 + [(*COUNT, "10", ["10"])] * 4
    rows += [(*COLOUR, "red", ["odd"])] * 5
    matrix = analysis.confusion_matrix(judged(*rows))
    assert matrix.index.tolist() == ["2", "10", "red"]
    assert matrix.columns.tolist() == ["2", "10", "red", analysis.OTHER]
    assert matrix.sum(axis=1).tolist() == [100.0] * 3
    assert matrix.loc["2", "10"] == 100 and matrix.loc["red", analysis.OTHER] == 100
    assert analysis.confusion_matrix(judged(*rows), 1).shape == (1, 2)


def test_counting_questions_by_their_true_count():
    rows = [(*COUNT, "2", ["2"]), (*COUNT, "2", ["3", "2"]), (*COUNT, "2", ["4", "3", "2"])]
    rows += [(*COUNT, "2", ["5"]), (*COUNT, "30", ["30"]), (*COUNT, "lots", ["lots"])]
    rows += [("How many?", "how many", "12", ["1"]), (*COLOUR, "2", ["2"])]
    counted = analysis.counting(judged(*rows))
    assert counted["count"].tolist() == [2, 2, 2, 2, 30, 12]
    table = analysis.count_table(counted)
    assert table["questions"].to_dict() == {"2": 4, "11–20": 1, "21–30": 1}
    places = ["top-1", "second", "third to fifth", "not among five"]
    assert table.loc["2", places].tolist() == [25.0] * 4
    assert table.loc["2", "mean first"] == 3.5
    counts = {"two": 2, "none": 0, "2.5": None, "": None, "²": None, "9" * 30: None}
    assert {answer: analysis.count_of(answer) for answer in counts} == counts


def test_nothing_to_count_gives_empty_tables():
    table = judged((*IS, "yes", ["yes"]))
    empty = analysis.without_yes_no(table)
    for make in (analysis.confusion_table, analysis.confusion_matrix, analysis.length_table):
        assert make(empty).empty
    assert analysis.kind_table(empty, "question_type").empty
    assert analysis.frequency_table(empty, ["yes"]).empty
    assert analysis.count_table(analysis.counting(table)).empty


TRAIN = pd.DataFrame(
    {"question": ["How many cats?"] * 6 + ["Who?"], "answer": ["1"] * 3 + ["2"] * 2 + ["3", "7"]}
)


def test_a_second_place_that_knows_more_than_frequency_is_told():
    rows = [(*COUNT, str(4 + n % 5), [str(3 + n % 5), str(4 + n % 5)]) for n in range(40)]
    rows += [(*COLOUR, "red", ["blue", "grey", "red"])] * 40
    test = analysis.second_answers(judged(*rows), TRAIN)
    assert (test.misses, test.others, test.told) == (40, 40, 40)
    assert test.second["value"] == 100 and test.guess["value"] == 0
    assert test.often == "better" and test.falls_short == "better"
    assert test.elsewhere["value"] == 0


def test_a_second_place_by_frequency_alone_is_not():
    # The first answer is the most frequent count, the second the next one: both know no image.
    truths = np.random.default_rng(0).choice(["2", "3", "4"], 60, p=[0.5, 0.3, 0.2])
    rows = [(*COUNT, truth, ["1", "2", "3"]) for truth in truths]
    test = analysis.second_answers(judged(*rows), TRAIN)
    assert test.gain.value == 0 and test.often == "cannot tell"
    assert test.second == test.guess
    assert test.elsewhere is None
    high = analysis.second_answers(judged(*[(*COUNT, "2", ["5", "2"])] * 30), TRAIN)
    assert high.short["value"] == 0 and high.falls_short == "worse"
    few = analysis.second_answers(judged(*[(*COUNT, "5", ["4", "5"])] * 5), TRAIN)
    assert few.second["value"] == 100 and few.often == few.falls_short == "cannot tell"
    assert analysis.second_answers(judged((*COUNT, "2", ["2"])), TRAIN) is None


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3"])
def test_a_count_below_one_is_refused(wrong):
    with pytest.raises(InputError, match=rf"most is {wrong!r}; give a whole number from 1 on"):
        analysis.confusion_table(judged((*COLOUR, "red", ["blue"])), wrong)
    with pytest.raises(InputError, match="most is"):
        analysis.confusion_matrix(judged((*COLOUR, "red", ["blue"])), wrong)
