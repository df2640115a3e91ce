"""Official VQA accuracy and its intervals. Expected values were worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from tests.evaluation import official
from vqa_helpers.data.pairs import NO_PAIRS, Pairs
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.evaluation import metrics

both = pytest.mark.parametrize("normaliser", ["2021", "2015"])


def ten(**counts):
    """Ten answers: `ten(yes=4, no=6)`."""
    answers = [answer for answer, n in counts.items() for _ in range(n)]
    assert len(answers) == 10
    return answers


WORDS = ["cat", "the cat", "Cat.", "two", "2", "a", "isnt", "isn't", "a/b", "a b", " cat", "-",
         "a / b", "1,0", "", "cat\t", "none", "0"]  # fmt: skip


def drawn(questions, seed, sizes=(10,)):
    generator = np.random.default_rng(seed)
    for _ in range(questions):
        few = generator.choice(WORDS, size=generator.integers(1, 5))
        yield [str(word) for word in generator.choice(few, size=generator.choice(sizes))]


@both
@pytest.mark.parametrize("sizes", [(10,), (1, 3, 10, 12)])
def test_all_at_once_is_the_official_score_of_each(normaliser, sizes):
    answers = list(drawn(800, seed=0, sizes=sizes))
    annotators = metrics.Annotators(answers, normaliser)
    for seed in (1, 2):  # it can be asked again
        predictions = list(np.random.default_rng(seed).choice(WORDS, size=len(answers)))
        scores = annotators.score(predictions)
        pairs = zip(predictions, answers, strict=True)
        assert scores == pytest.approx([official.vqa_score(p, a, normaliser) for p, a in pairs])
        assert len(set(scores.round(6))) >= 5  # not all 0


@both
def test_the_best_is_the_best_answer_of_the_vocabulary(normaliser):
    answers = list(drawn(300, seed=3))
    annotators = metrics.Annotators(answers, normaliser)
    for words in (["cat", "two", "a b"], ["0"], WORDS, []):
        scores = [[official.vqa_score(w, a, normaliser) for w in words] for a in answers]
        assert annotators.best(words) == pytest.approx([max(row, default=0) for row in scores])


def test_there_is_a_prediction_for_each_question():
    assert metrics.Annotators([]).score([]).tolist() == []
    with pytest.raises(ValueError, match="1 predictions for 4 questions"):
        metrics.vqa_scores(["yes"], ROWS)


def table(*rows):
    """(image, answer, answers, answer type, question type) a row."""
    columns = ["image_id", "answer", "answers", "answer_type", "question_type"]
    made = pd.DataFrame([(*r[:2], tuple(r[2]), *r[3:]) for r in rows], columns=columns)
    return made.assign(question_id=range(len(rows)), question="q?")


ROWS = table(
    (1, "yes", ten(yes=10), "yes/no", "is the"),
    (1, "no", ten(no=7, yes=3), "yes/no", "is"),
    (2, "red", ten(red=8, pink=2), "other", "what color is the"),
    (2, "2", ["two"] * 2 + ["2"] * 6 + ["3"] * 2, "number", "how many"),
)


def test_scores_need_ten_answers_everywhere():
    scores = metrics.vqa_scores(["yes", "yes", "pink", "3"], ROWS)
    assert scores == pytest.approx([1, 0.9, 0.6, 0.6])
    short = ROWS.copy()
    short.at[3, "answers"] = ("2",) * 9
    assert metrics.vqa_scores(["yes"] * 4, short) is None


def test_the_order_of_a_sum_does_not_decide_a_tie():
    # 53 / 160 is 33.125 %: whatever the last bits of the mean are, it is rounded the same way.
    shares = [0.3, 0.6, 0.9] * 20 + [1.0] * 17 + [0.0] * 83
    for order in map(np.array, (shares, shares[::-1], sorted(shares))):
        assert metrics.percent(order) == metrics.by(order, pd.Series(["a"] * 160))["a"] == 33.12


def scored(table, ranked, vocabulary):
    """Scored and measured."""
    return metrics.measure(table, metrics.score(table, ranked, vocabulary), vocabulary)


def values(entry):
    """An entry of a kind without its intervals."""
    return {n: v["value"] if isinstance(v, dict) else v for n, v in entry.items()}


def test_measure_by_hand():
    vocabulary = AnswerVocabulary(("yes", "red", "pink", "two"))
    ranked = [
        ["yes", "no"],
        ["yes", "a", "b", "c", "no", "d"],  # the truth is fifth
        ["pink", "a", "b", "c", "d", "red"],  # sixth: too late
        ["two", "red"],  # the target is "2", word for word
    ]
    scores = scored(ROWS, ranked, vocabulary)
    assert scores["questions"] == 4 and scores["images"] == 2
    assert scores["top1"]["value"] == 25.0
    assert scores["top5"]["value"] == 50.0
    # 1; "yes" 3 times: 0.9; "pink" twice: 0.6; "two" is "2" 8 times: 1.
    assert scores["vqa"]["value"] == 87.5
    assert scores["vqa_normaliser"] == "2021"
    assert {kind: values(row) for kind, row in scores["per_answer_type"].items()} == {
        "number": {"questions": 1, "top1": 0.0, "top5": 0.0, "vqa": 100.0},
        "other": {"questions": 1, "top1": 0.0, "top5": 0.0, "vqa": 60.0},
        "yes/no": {"questions": 2, "top1": 50.0, "top5": 100.0, "vqa": 95.0},
    }
    assert values(scores["per_question_type"]["is"])["vqa"] == 90.0
    # Targets in the vocabulary: "yes" and "red". Best VQA: 1, "yes" 0.9, "red" 1, "two" 1.
    assert scores["ceiling"] == {"top1": 50.0, "vqa": 97.5}
    for name in ("top1", "top5", "vqa"):
        assert scores[name]["low"] <= scores[name]["value"] <= scores[name]["high"]


def test_measure_where_vqa_accuracy_is_not_defined():
    short = ROWS.assign(answers=pd.Series([("yes",), ("no",), ("red",), ("2",)], dtype=object))
    scores = scored(short, [["yes"], ["no"], ["red"], ["2"]], AnswerVocabulary(("yes", "no")))
    assert scores["vqa"] is scores["per_answer_type"]["other"]["vqa"] is None
    assert scores["ceiling"] == {"top1": 50.0, "vqa": None}
    assert scores["top1"]["value"] == scores["top5"]["value"] == 100.0


def test_exact_and_normalised_top1_differ_in_spelling_alone():
    short = ROWS.assign(answers=pd.Series([("yes",)] * 4, dtype=object))
    said = ["Yes.", "no", "the red", "two"]
    scores = metrics.score(short, [[text] for text in said], AnswerVocabulary(("no",)))
    assert scores["top1"].tolist() == [0, 1, 0, 0]
    assert metrics.normalised_hits(said, short).tolist() == [1, 1, 1, 1]
    assert metrics.normalised_hits(["no", "yes", "reds", "3"], short).tolist() == [0, 0, 0, 0]


def test_official_accuracy_where_some_questions_have_ten_answers():
    rows = [(1, "yes", ten(yes=10)), (2, "no", ten(yes=7, no=3)), (3, "yes", ("yes",))]
    made = table(*[(*row, "yes/no", "is") for row in rows])
    part = metrics.vqa_of_ten(["yes", "no", "no"], made)
    assert (part["value"], part["questions"]) == (95.0, 2)  # 1 and 0.9
    assert metrics.vqa_of_ten(["yes", "no"], made[:2]) is None
    assert metrics.vqa_of_ten(["no"], made[2:]) is None


def test_answers_that_train_never_gave_by_hand():
    known = AnswerVocabulary(("yes", "2"))
    table = pd.DataFrame({"answer": ["yes", "owl", "elk", "2", "owl"], "image_id": [1, 1, 2, 3, 4]})
    table["answers"] = [[answer] for answer in table["answer"]]
    ranked = [["no"], ["owl", "yes"], ["yes", "elk"], ["2"], ["a", "b", "c", "d", "e", "owl"]]
    found = metrics.unseen_accuracy(table, ranked, known)
    assert found["questions"] == 3
    assert (found["top1"]["value"], found["top5"]["value"]) == (33.33, 66.67)
    assert found["top1"]["low"] < 33 < found["top1"]["high"]
    assert metrics.unseen_accuracy(table[:1], ranked[:1], known) is None


def test_a_pair_is_right_where_both_halves_are():
    made = table(*[(n, "yes" if n % 2 else "no", ten(yes=10), "yes/no", "is") for n in range(12)])
    pairs = Pairs(np.array([(0, 1), (2, 3), (4, 5), (6, 7), (8, 10), (9, 99)]))  # 8 and 10: both no
    top1 = np.array([1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1], dtype=float)
    scores = metrics.pair_accuracy(made, top1, pairs)
    assert (scores["value"], scores["count"]) == (50.0, 4) and scores["low"] < 50 < scores["high"]
    assert metrics.pair_accuracy(made, top1, NO_PAIRS) is None
    assert metrics.pair_accuracy(made[:1], top1[:1], pairs) is None
    blind = (made["answer"] == "yes").to_numpy(dtype=float)  # whatever is asked
    scores = metrics.pair_accuracy(made, blind, pairs)
    assert scores["value"] == scores["low"] == 0 < scores["high"]
    # One photograph that is in every pair is one draw: Wilson's interval of a single image.
    one = made.assign(image_id=[7, 1, 7, 2, 7, 3, 7, 4, *range(8, 12)])
    assert metrics.pair_accuracy(one, top1 * 0 + 1, pairs)["low"] < 21


def many(questions=400, images=90):
    """A split of three kinds whose scores differ, and its scores."""
    generator = np.random.default_rng(5)
    kinds = generator.choice(["a", "b", "c"], questions, p=[0.6, 0.3, 0.1])
    drawn = zip(generator.integers(0, images, questions), kinds, strict=True)
    made = table(*[(image, "yes", ["yes"] * 10, kind, "all of them") for image, kind in drawn])
    right = generator.random(questions) < np.where(kinds == "a", 0.7, 0.3)
    return made, [["yes" if hit else "no"] for hit in right]


def test_each_kind_has_the_interval_of_its_own_questions():
    made, ranked = many()
    scores = scored(made, ranked, AnswerVocabulary(("yes",)))
    hits = np.array([float(row[0] == "yes") for row in ranked])
    for kind, entry in scores["per_answer_type"].items():
        own = (made["answer_type"] == kind).to_numpy()
        alone = metrics.with_interval(hits[own], made["image_id"].to_numpy()[own])
        assert entry["top1"]["value"] == alone["value"] and entry["questions"] == own.sum()
        # The same bootstrap, but the number of the kind's images varies as well.
        width, expected = (row["high"] - row["low"] for row in (entry["top1"], alone))
        assert width == pytest.approx(expected, rel=0.2), kind
    # One kind that is all is the whole, on the very same resamples.
    assert scores["per_question_type"]["all of them"]["top1"] == scores["top1"]


def test_measuring_is_deterministic_and_ignores_the_order():
    made, ranked = many()
    vocabulary = AnswerVocabulary(("yes",))
    once = scored(made, ranked, vocabulary)
    assert once == scored(made, ranked, vocabulary)
    order = np.random.default_rng(0).permutation(len(made))
    assert once == scored(made.iloc[order], [ranked[i] for i in order], vocabulary)
