"""Text becomes numbers: vocabularies from train alone, targets, image rows, round trip."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from tests.evaluation.official import vqa_score
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.language.sentence import HASHED_NGRAMS, hash_ngrams
from vqa_helpers.model.config import BagOfWords, Glove, Sentences, Words
from vqa_helpers.training.tensors import (
    Vocabularies,
    encode_questions,
    soft_scores,
    split_tensors,
)

TRAIN = pd.DataFrame(
    {
        "question": ["What is it?", "What is that?", "Is it naïve?", "???"],
        "answer": ["cat", "dog", "yes", "cat"],
        "image_id": [7, 2**62, 7, 3],
    }
)


def words(**changes) -> Vocabularies:
    return Vocabularies.build(TRAIN, Words(**changes), HASHED_NGRAMS)


def test_words_and_answers_are_learnt_from_the_table():
    vocabularies = words()
    assert vocabularies.answers.answers == ("cat", "dog", "yes")
    known = ("is", "it", "what", "naïve", "that")
    assert vocabularies.words.words == ("<pad>", "<unknown>", *known)
    assert vocabularies.sentence_encoder is None


def test_rare_words_are_unknown():
    assert words(min_count=2).words.words[2:] == ("is", "it", "what")
    assert Vocabularies.build(TRAIN, Glove(), HASHED_NGRAMS).words == words().words
    bag = Vocabularies.build(TRAIN, BagOfWords(min_count=2), HASHED_NGRAMS)
    assert bag.words == words(min_count=2).words


def test_a_sentence_encoder_needs_no_words():
    vocabularies = Vocabularies.build(TRAIN, Sentences(), HASHED_NGRAMS)
    assert vocabularies.words is None
    assert vocabularies.sentence_encoder == HASHED_NGRAMS


def test_a_model_without_questions_knows_answers_alone(tmp_path):
    vocabularies = Vocabularies.build(TRAIN, None, HASHED_NGRAMS)
    assert vocabularies.answers == words().answers
    assert (vocabularies.words, vocabularies.sentence_encoder) == (None, None)
    encoded = encode_questions(["What?"], None, vocabularies, cache=tmp_path)
    assert encoded == (None, None)
    tensors = split_tensors(TRAIN, encoded, np.array([3, 7, 2**62]), vocabularies.answers)
    assert tensors.question is None and len(tensors) == 4


@pytest.mark.parametrize("spec", [Words(), BagOfWords(), Sentences(), None])
def test_vocabularies_survive_the_disk(tmp_path, spec):
    vocabularies = Vocabularies.build(TRAIN, spec, HASHED_NGRAMS)
    vocabularies.save(tmp_path)
    assert Vocabularies.load(tmp_path) == vocabularies
    assert Vocabularies.load(tmp_path).answers.ids == {"cat": 0, "dog": 1, "yes": 2}


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"answers": 3}', "\xff"])
def test_a_damaged_vocabulary_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "vocabulary.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"vocabulary\.json: cannot be read") as error:
        Vocabularies.load(tmp_path)
    assert "\n" not in str(error.value)


def test_the_file_is_json_one_can_read(tmp_path):
    words().save(tmp_path)
    content = json.loads((tmp_path / "vocabulary.json").read_text(encoding="utf-8"))
    assert content["answers"] == ["cat", "dog", "yes"]
    assert "naïve" in (tmp_path / "vocabulary.json").read_text(encoding="utf-8")


def test_questions_become_ids_in_order(tmp_path):
    tokens, lengths = encode_questions(
        ["That, what is?", "???", "Ünknown cat", "is"], Words(), words(), cache=tmp_path
    )
    assert tokens.tolist() == [[6, 4, 2], [1, 0, 0], [1, 1, 0], [2, 0, 0]]
    assert lengths.tolist() == [3, 1, 2, 1]


def test_the_sorted_set_is_an_option(tmp_path):
    spec = Words(sorted_set=True)
    tokens, lengths = encode_questions(["what is it is"], spec, words(), cache=tmp_path)
    assert tokens.tolist() == [[2, 3, 4]]
    assert lengths.tolist() == [3]


def test_sentences_become_vectors(tmp_path):
    vocabularies = Vocabularies.build(TRAIN, Sentences(), HASHED_NGRAMS)
    asked = ["What is it?", "???", "What is it?"]
    vectors, lengths = encode_questions(asked, Sentences(), vocabularies, cache=tmp_path)
    assert lengths is None
    assert vectors.dtype == torch.float32
    assert np.array_equal(vectors.numpy(), hash_ngrams(asked))
    assert not vectors[1].any()


def test_rows_and_targets():
    table = TRAIN.assign(answer=["yes", "bird", "cat", "dog"])
    encoded = torch.zeros(4, 2, dtype=torch.int32), torch.ones(4, dtype=torch.int64)
    tensors = split_tensors(table, encoded, np.array([3, 7, 2**62]), words().answers)
    assert tensors.image_row.tolist() == [1, 2, 1, 0]
    assert tensors.target.tolist() == [2, -1, 0, 1]


def test_an_answerless_table_has_no_target():
    table = TRAIN.drop(columns="answer")
    encoded = torch.zeros(4, 5), None
    tensors = split_tensors(table, encoded, np.array([3, 7, 2**62]), words().answers)
    assert tensors.target.tolist() == [-1] * 4
    assert tensors.lengths is None


# Soft scores ----------------------------------------------------------------------------------


def scores(given: list[list[str]], *known: str) -> list[dict[str, float]]:
    """Each question's soft scores by answer, rounded; every padded entry checked to be 0."""
    soft = soft_scores(given, AnswerVocabulary(known))
    assert len(soft) == len(given)
    rows = []
    for ids, values in zip(soft.ids.tolist(), soft.scores.tolist(), strict=True):
        pairs = [(i, value) for i, value in zip(ids, values, strict=True) if value]
        assert len({i for i, _ in pairs}) == len(pairs)
        rows.append({known[i]: round(value, 6) for i, value in pairs})
    return rows


@pytest.mark.parametrize(
    ("people", "score"), [(0, None), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (5, 1), (10, 1)]
)
def test_a_soft_score_is_the_official_accuracy(people, score):
    given = ["cat"] * people + [f"thing {i}" for i in range(10 - people)]
    assert scores([given], "dog", "cat") == [{"cat": score} if score else {}]
    if score:
        assert vqa_score("cat", given) == pytest.approx(score)


def test_every_answer_of_a_question_counts():
    given = ["cat"] * 5 + ["dog"] * 3 + ["cow"] + ["ant"]
    assert scores([given], "ant", "cat", "dog") == [{"cat": 1, "dog": 0.9, "ant": 0.3}]


def test_texts_meet_after_the_official_normalisation():
    given = ["two"] * 2 + ["The  Dog."] * 2 + ["a dog", "DOG\n", "dont", "6,000", "x", "y"]
    assert scores([given], "2", "dog", "don't", "6000") == [
        {"2": 0.6, "dog": 1, "don't": 0.3, "6000": 0.3}
    ]
    # The vocabulary's own answers are normalised too.
    assert scores([["2"] * 10], "Two") == [{"Two": 1}]


def test_of_two_answers_that_normalise_alike_the_one_that_was_written_counts():
    given = ["a dog"] * 3 + ["dog"] * 3 + ["the dog"] * 4
    assert scores([given], "dog", "a dog") == [{"dog": 1, "a dog": 0.9}]
    assert scores([["a dog"] * 10], "dog", "a dog") == [{"a dog": 1}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["cat"], {"cat": 1}),
        (["cat", "dog"], {"cat": 1, "dog": 1}),
        (["cat", "dog", "cow"], {"cat": 0.925926, "dog": 0.925926}),  # 10/3 of ten
        (["cat"] * 2 + ["dog"] * 3, {"cat": 1, "dog": 1}),
        (["cat"] + ["cow"] * 9, {"cat": 0.3}),
        (["cat"] + ["cow"] * 19, {"cat": 0.158333}),  # half a match of ten
    ],
)
def test_other_numbers_of_annotators_are_scaled_to_ten(given, expected):
    assert scores([given], "cat", "dog") == [expected]


def test_questions_of_any_number_of_answers_stand_side_by_side():
    given = [["cow"], ["dog", "cat"], [], ["cat"] * 10]
    assert scores(given, "cat", "dog") == [{}, {"cat": 1, "dog": 1}, {}, {"cat": 1}]
    assert scores([["cow"]], "cat") == [{}]
    assert scores([], "cat") == []


def test_soft_scores_agree_with_the_metric_on_any_answers():
    generator = np.random.default_rng(0)
    known = ("yes", "no", "2", "the end", "blue and white", "it's")
    forms = [*known, "Yes", "two", "end", "blue & white", "its", "blue and  white.", "other"]
    given = [list(generator.choice(forms, 10)) for _ in range(200)]
    for answers, found in zip(given, scores(given, *known), strict=True):
        for answer in known:
            assert found.get(answer, 0) == pytest.approx(vqa_score(answer, answers), abs=1e-6)


def test_soft_scores_come_only_when_asked_for():
    table = TRAIN.assign(answers=[("cat",), ("dog", "yes"), ("yes",), ("cow",)])
    images = np.array([3, 7, 2**62])
    encoded = torch.zeros(4, 5), None
    assert split_tensors(table, encoded, images, words().answers).soft is None
    soft = split_tensors(table, encoded, images, words().answers, soft=True).soft
    assert soft.ids.tolist() == [[0, 0], [1, 2], [2, 0], [0, 0]]
    assert soft.scores.tolist() == [[1, 0], [1, 1], [1, 0], [0, 0]]
    unanswered = table[["question", "image_id"]]
    assert split_tensors(unanswered, encoded, images, words().answers, soft=True).soft is None
