"""Words of questions, and what a model knows: words and answers of the train split."""

import random
import re
import string
from pathlib import Path

import numpy as np
import pytest

from tests.builders import read_json
from tests.data.making import refusal
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize, tokenize_all

TRAIN = [["is", "the", "cat", "in"], ["is", "the", "dog", "in"], ["the", "end"]]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What color is the cat?", "what color is the cat"), ("can't", "ca n't"),
        ("Isn't it?", "is n't it"), ("Isn’t it?", "is n't it"),
        ("What's that, they've said I'm he'd we'll you're",
         "what 's that they 've said i 'm he 'd we 'll you 're"),
        ("left-hand side/top_shelf", "left hand side top shelf"),
        ("Is it 10:30 or 2,000?", "is it 10 30 or 2 000"), ("  \t two\nlines ", "two lines"),
        ("Où est le café?", "où est le café"), ("??? ...", ""), ("", ""),
        ("Is H₂O within 5m²? It's", "is h₂o within 5m² it 's"),
        ("cafe\u0301 \u0301 ❤\ufe0f", "café"),  # a mark of its own, marks of no letter
        ("यह कौन सी चीज़ है?", "यह कौन सी चीज़ है"), ("ये क्या हैं", "ये क्या हैं"),
        ("می\u200cخواهم؟", "می\u200cخواهم"), ("এটি কী?", "এটি কী"), ("무슨 색이에요?", "무슨 색이에요"),
        ("这是什么?", "这 是 什 么"), ("猫はカメラ2台", "猫 は カメラ 2 台"), ("นี่คือสี", "นี่ คื อ สี"),
    ],
)  # fmt: skip
def test_tokens(question, words):
    assert tokenize(question) == words.split()
    first, again = tokenize_all([question, question])
    assert first is again and list(first) == words.split()


SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the photographs' questions are not here")
def test_words_of_english_questions_are_the_runs_of_letters_and_digits():
    words = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+?(?=n't\b)|[^\W_]+")
    files = [path for name in ("coco_vqa", "daquar") for path in SHARED.glob(f"{name}/questions_*")]
    questions = [q["question"] for path in files for q in read_json(path)["questions"]]
    assert len(questions) > 30_000
    for question in questions:
        assert tokenize(question) == words.findall(question.lower().replace("’", "'"))


def test_an_apostrophe_changes_no_other_word():
    """The short way, of texts without one, and the regular expression agree."""
    generator = random.Random(0)
    for _ in range(3000):
        text = "".join(generator.choices(string.printable.replace("'", "é"), k=12))
        assert tokenize(f"{text} isn't") == [*tokenize(text), "is", "n't"]


def test_words_by_frequency_then_alphabet_after_the_reserved_two():
    words = WordVocabulary.build(TRAIN)
    assert words.words == ("<pad>", "<unknown>", "the", "in", "is", "cat", "dog", "end")
    assert len(words) == 8 and words.counts == (0, 0, 3, 2, 2, 1, 1, 1)
    plain = WordVocabulary(words.words)
    assert plain.at_least(2) is plain == words


@pytest.mark.parametrize(
    ("min_count", "kept"), [(1, "the in is cat dog end"), (2, "the in is"), (9, "")]
)
def test_rare_words_are_left_out_now_or_later(min_count, kept):
    built = WordVocabulary.build(TRAIN, min_count=min_count)
    assert built.words[2:] == tuple(kept.split())
    later = WordVocabulary.build(TRAIN).at_least(min_count)
    assert later == built and later.counts == built.counts


def test_tokens_are_padded_right_and_unknown_words_are_one():
    questions = [["the", "cat"], ["a", "the", "zebra", "in"], []]
    tokens, lengths = WordVocabulary.build(TRAIN).encode(questions)
    assert tokens.tolist() == [[2, 5, 0, 0], [1, 2, 1, 3], [1, 0, 0, 0]]
    assert lengths.tolist() == [2, 4, 1]
    assert tokens.dtype == np.int32 and lengths.dtype == np.int64
    tokens, lengths = WordVocabulary.build(TRAIN).encode([])
    assert tokens.shape == (0, 1) and lengths.shape == (0,)


def test_long_questions_are_cut_and_counted(caplog):
    long, words = ["cat", *["the"] * 7_999], WordVocabulary.build(TRAIN)
    for as_sorted_set, expected in ((False, [5, *[2] * 127]), (True, [2, 5])):
        caplog.clear()
        tokens, lengths = words.encode([["dog"], long, long[:128]], as_sorted_set)
        assert tokens[1:].tolist() == [expected] * 2 and lengths.tolist()[1:] == [len(expected)] * 2
        assert caplog.messages == ["1 of 3 questions are cut to their first 128 words"]
    words.encode([long[:128]])
    assert len(caplog.messages) == 1


def test_sorted_set_loses_order_and_repetition():
    questions = [["cat", "the", "cat", "x", "y"], ["the", "cat", "x"], []]
    tokens, lengths = WordVocabulary.build(TRAIN).encode(questions, as_sorted_set=True)
    assert tokens.tolist() == [[1, 2, 5], [1, 2, 5], [1, 0, 0]]
    assert lengths.tolist() == [3, 3, 1]


def test_coverage_in_percent():
    words = WordVocabulary.build(TRAIN)
    assert words.coverage([["the", "zebra"], ["cat", "dog"]]) == 75.0
    assert words.coverage([[]]) == 0.0


def test_answers_by_frequency_ties_by_alphabet():
    answers = AnswerVocabulary.build(["no", "yes", "b", "yes", "a", "no", "c"], most=4)
    assert answers.answers == ("no", "yes", "a", "b")
    assert len(answers) == 4
    assert AnswerVocabulary.build(["x", "", " ", ""], most=1000).answers == ("x",)


def test_an_answer_outside_has_the_target_minus_one():
    targets = AnswerVocabulary.build(["yes", "no", "no"]).encode(["yes", "maybe", "no", ""])
    assert targets.tolist() == [1, -1, 0, -1] and targets.dtype == np.int64


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3"])
def test_a_count_below_one_is_refused(wrong):
    line = refusal(AnswerVocabulary.build, ["x", "y"], most=wrong)
    assert line == f"most is {wrong!r}; give a whole number from 1 on"
