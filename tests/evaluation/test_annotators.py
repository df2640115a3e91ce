"""All questions at once against the rule for one, which `test_metrics` and `test_golden` check."""

import numpy as np
import pytest

from vqa_helpers.evaluation.annotators import Annotators
from vqa_helpers.evaluation.metrics import vqa_score

BOTH = ["2021", "2015"]
WORDS = ["cat", "the cat", "Cat.", "two", "2", "a", "isnt", "isn't", "a/b", "a b", " cat", "-",
         "a / b", "1,0", "", "cat\t", "none", "0"]  # fmt: skip


def drawn(questions, seed, sizes=(10,)):
    generator = np.random.default_rng(seed)
    for _ in range(questions):
        few = generator.choice(WORDS, size=generator.integers(1, 5))
        yield [str(word) for word in generator.choice(few, size=generator.choice(sizes))]


@pytest.mark.parametrize("normaliser", BOTH)
def test_it_is_the_official_score_of_each(normaliser):
    answers = list(drawn(1_500, seed=0))
    predictions = list(np.random.default_rng(1).choice(WORDS, size=len(answers)))
    scores = Annotators(answers, normaliser).score(predictions)
    one_by_one = [vqa_score(p, a, normaliser) for p, a in zip(predictions, answers, strict=True)]
    assert scores == pytest.approx(one_by_one, abs=1e-12)
    assert len(set(scores.round(6))) >= 5  # not all 0


@pytest.mark.parametrize("normaliser", BOTH)
def test_questions_may_have_different_numbers_of_annotators(normaliser):
    answers = list(drawn(300, seed=2, sizes=(1, 3, 10, 12)))
    scores = Annotators(answers, normaliser).score(["cat"] * 300)
    expected = [vqa_score("cat", given, normaliser) for given in answers]
    assert scores == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("normaliser", BOTH)
def test_the_best_is_the_best_answer_of_the_vocabulary(normaliser):
    answers = list(drawn(300, seed=3))
    annotators = Annotators(answers, normaliser)
    for vocabulary in (["cat", "two", "a b"], ["0"], WORDS, []):
        best = [max((vqa_score(w, a, normaliser) for w in vocabulary), default=0) for a in answers]
        assert annotators.best(vocabulary) == pytest.approx(best, abs=1e-12)


def test_it_is_asked_again_and_again():
    annotators = Annotators([["cat"] * 10, ["dog"] * 7 + ["a cat"] * 3])
    assert annotators.score(["cat", "cat"]).tolist() == [1, 0.9]
    assert annotators.score(["dog", "the dog"]).tolist() == [0, 1]
    assert annotators.score(["cat", "cat"]).tolist() == [1, 0.9]


def test_no_questions():
    assert Annotators([]).score([]).tolist() == []


def test_a_prediction_for_each_question():
    with pytest.raises(ValueError, match="2 predictions for 1 questions"):
        Annotators([["a"] * 10]).score(["a", "b"])
