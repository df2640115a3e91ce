"""A vector for each word of a question (`test_model.py` joins these with every fusion)."""

import pytest
import torch
from torch.testing import assert_close

from tests.pieces.by_hand import affine, write_glove
from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.pieces.words import AttendedWords, GloveWords, WordStates

VOCABULARY = WordVocabulary.build([["what", "is", "a", "cat"]])
VECTORS = {"what": [1.0, 2.0], "is": [3.0, 4.0], "a": [5.0, 6.0], "cat": [7.0, 8.0]}
QUESTIONS = ["what is a cat", "is"]


@pytest.fixture
def vectors(tmp_path):
    return write_glove(tmp_path, VECTORS)


def read(piece, questions=QUESTIONS):
    tokens, lengths = VOCABULARY.encode([question.split() for question in questions])
    return piece(torch.from_numpy(tokens), torch.from_numpy(lengths))


@pytest.mark.parametrize("learn", [False, True])
def test_each_word_has_its_vector(vectors, learn):
    piece = GloveWords(VOCABULARY, vectors, dim=2, learn=learn)
    words = read(piece)
    assert_close(words.vectors[0], torch.tensor([VECTORS[w] for w in QUESTIONS[0].split()]))
    assert words.there.tolist() == [[True] * 4, [True, False, False, False]]
    assert [p.requires_grad for p in piece.parameters()] == [learn]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_of_a_question_do_not_depend_on_longer_neighbours(vectors, bidirectional):
    piece = WordStates(VOCABULARY, vectors, dim=2, hidden=3, bidirectional=bidirectional)
    together, alone = read(piece), read(piece, ["is"])
    assert together.vectors.shape == (2, 4, piece.out_dim) == (2, 4, 6 if bidirectional else 3)
    assert_close(together.vectors[1, :1], alone.vectors[0])
    if not bidirectional:  # what follows a word is not known to it yet
        assert_close(read(piece, ["what is a"]).vectors[0], together.vectors[0, :3])


def test_attended_words_are_the_weighted_mean_of_their_states(vectors):
    piece = AttendedWords(VOCABULARY, vectors, dim=2, hidden=3)
    tokens = list(map(torch.from_numpy, VOCABULARY.encode([["is", "a"]])))
    words = WordStates.forward(piece, *tokens)
    scores = affine(piece.score[0], words.vectors)
    shares = (scores.tanh() @ piece.score[2].weight[0]).softmax(1)
    assert_close(read(piece, ["is a"]), (shares[:, :, None] * words.vectors).sum(1))
    assert_close(piece.word_shares(*tokens), shares)
