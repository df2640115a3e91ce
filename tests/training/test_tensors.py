"""Text becomes numbers: vocabularies from train alone, targets, image rows, round trip."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from vqa_helpers.errors import InputError
from vqa_helpers.language.sentence import HASHED_NGRAMS, hash_ngrams
from vqa_helpers.model.config import Glove, Sentences, Words
from vqa_helpers.training.tensors import Vocabularies, encode_questions, split_tensors

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


def test_a_sentence_encoder_needs_no_words():
    vocabularies = Vocabularies.build(TRAIN, Sentences(), HASHED_NGRAMS)
    assert vocabularies.words is None
    assert vocabularies.sentence_encoder == HASHED_NGRAMS


@pytest.mark.parametrize("spec", [Words(), Sentences()])
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
