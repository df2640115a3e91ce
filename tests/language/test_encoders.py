"""Trainable question encoders: shapes, padding, state, gradients."""

import pytest
import torch
from torch.testing import assert_close

from vqa_helpers.language.encoders import BagOfWords, GloveBiLSTM, SentenceVectors, WordLSTM

TOKENS = torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0], [8, 0, 0, 0]], dtype=torch.int32)
LENGTHS = torch.tensor([4, 2, 1])


def word_lstm(**changes) -> WordLSTM:
    torch.manual_seed(0)
    return WordLSTM(**{"vocabulary_size": 9, "words": 5, "hidden": 7, **changes})


def glove() -> GloveBiLSTM:
    torch.manual_seed(0)
    vectors = torch.randn(9, 5)
    vectors[0] = 0
    return GloveBiLSTM(vectors, hidden=3)


def bag(**changes) -> BagOfWords:
    torch.manual_seed(0)
    return BagOfWords(**{"vocabulary_size": 9, "words": 5, "first": 3, "first_words": 2, **changes})


@pytest.mark.parametrize(("encoder", "width"), [(word_lstm(), 14), (glove(), 12), (bag(), 11)])
def test_the_width_is_what_it_says(encoder, width):
    assert encoder.out_dim == width
    assert encoder(TOKENS, LENGTHS).shape == (3, width)


@pytest.mark.parametrize(
    "encoder",
    [word_lstm(), word_lstm(embedding_tanh=True), word_lstm(carry_state=True), glove(), bag()],
)
def test_padding_changes_nothing(encoder):
    encoder.eval()
    longer = torch.cat([TOKENS, torch.zeros(3, 6, dtype=torch.int32)], dim=1)
    assert_close(encoder(longer, LENGTHS), encoder(TOKENS, LENGTHS))
    # One question alone, cut to its length, is the question within a batch.
    assert_close(encoder(TOKENS[1:2, :2], LENGTHS[1:2]), encoder(TOKENS, LENGTHS)[1:2])


@pytest.mark.parametrize("encoder", [word_lstm(), glove()])
def test_word_order_counts(encoder):
    encoder.eval()
    turned = TOKENS.clone()
    turned[0] = TOKENS[0].flip(0)
    assert not torch.allclose(encoder(turned, LENGTHS)[0], encoder(TOKENS, LENGTHS)[0])


def test_word_lstm_gives_the_last_hidden_and_the_last_cell_state():
    encoder = word_lstm().eval()
    words = encoder.embedding(TOKENS[1:2, :2])
    states, (hidden, cell) = encoder.lstm(words)
    given = encoder(TOKENS, LENGTHS)[1]
    assert_close(given[:7], states[0, -1])
    assert_close(given[7:], cell[0, 0])


def test_glove_gives_the_four_last_hidden_states_of_each_question():
    encoder = glove().eval()
    _, (hidden, _) = encoder.lstm(encoder.embedding(TOKENS[1:2, :2]))  # (4, 1, H)
    assert_close(encoder(TOKENS, LENGTHS)[1], torch.cat([hidden[i, 0] for i in range(4)]))


def test_the_tanh_after_the_embedding_is_there_when_asked():
    plain, squashed = word_lstm().eval(), word_lstm(embedding_tanh=True).eval()
    with torch.no_grad():
        plain.embedding.weight.copy_(squashed.embedding.weight.tanh())
    assert_close(plain(TOKENS, LENGTHS), squashed(TOKENS, LENGTHS))


def test_dropout_acts_in_training_alone():
    encoder = word_lstm(dropout=0.5)
    assert not torch.equal(encoder(TOKENS, LENGTHS), encoder(TOKENS, LENGTHS))
    encoder.eval()
    assert torch.equal(encoder(TOKENS, LENGTHS), encoder(TOKENS, LENGTHS))


def test_state_is_carried_from_batch_to_batch_in_training():
    encoder = word_lstm(carry_state=True)
    first, second = encoder(TOKENS, LENGTHS), encoder(TOKENS, LENGTHS)
    assert not torch.allclose(first, second)
    state = first[:, :7].detach()[None], first[:, 7:].detach()[None]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        encoder.embedding(TOKENS), LENGTHS, batch_first=True, enforce_sorted=False
    )
    _, (hidden, cell) = encoder.lstm(packed, state)
    assert_close(second, torch.cat([hidden[0], cell[0]], dim=1))


def test_an_epoch_starts_from_a_fresh_state():
    encoder = word_lstm(carry_state=True)
    first = encoder(TOKENS, LENGTHS)
    encoder(TOKENS, LENGTHS)
    encoder.train()
    assert_close(encoder(TOKENS, LENGTHS), first)


def test_no_state_is_carried_without_being_asked():
    encoder = word_lstm()
    assert_close(encoder(TOKENS, LENGTHS), encoder(TOKENS, LENGTHS))


def test_evaluation_carries_nothing_and_hands_nothing_on():
    encoder = word_lstm(carry_state=True)
    fresh = encoder(TOKENS, LENGTHS)
    encoder.eval()
    assert_close(encoder(TOKENS, LENGTHS), fresh)
    assert_close(encoder(TOKENS, LENGTHS), fresh)
    assert_close(encoder(TOKENS[2:], LENGTHS[2:]), fresh[2:])  # neighbours do not matter
    encoder.train()
    assert_close(encoder(TOKENS, LENGTHS), fresh)


def test_batches_of_other_sizes_can_follow_when_state_is_carried():
    encoder = word_lstm(carry_state=True)
    for rows in (2, 1, 3, 2):  # fewer rows take the first states; more start afresh
        assert encoder(TOKENS[:rows], LENGTHS[:rows]).shape == (rows, 14)


def test_carried_state_is_cut_from_the_graph():
    encoder = word_lstm(carry_state=True)
    for _ in range(2):
        encoder(TOKENS, LENGTHS).sum().backward()  # raises if the first graph were reached again


def test_words_learn_and_padding_does_not():
    encoder = word_lstm()
    encoder(TOKENS, LENGTHS).sum().backward()
    gradient = encoder.embedding.weight.grad
    assert not gradient[0].any()
    assert gradient[2:].any(dim=1).all()


def test_glove_vectors_are_frozen_and_the_rest_learns():
    encoder = glove()
    encoder(TOKENS, LENGTHS).sum().backward()
    assert not encoder.embedding.weight.requires_grad
    assert all(parameter.grad.any() for parameter in encoder.lstm.parameters())


def test_a_bag_is_the_sum_of_its_words_beside_the_first_three():
    encoder = bag()
    given = encoder(TOKENS, LENGTHS)
    for row, ids in enumerate(([2, 3, 4, 5], [6, 7], [8])):
        assert_close(given[row, :5], encoder.bag.weight[ids].sum(0))
        for place in range(3):
            expected = torch.zeros(2)  # of a word that is not there
            if place < len(ids):
                expected = encoder.first[place].weight[ids[place]]
            assert_close(given[row, 5 + 2 * place : 7 + 2 * place], expected)


def test_a_bag_forgets_the_order_after_the_first_words():
    encoder = bag(first=1)
    turned = TOKENS[:1, [0, 3, 1, 2]]
    assert_close(encoder(turned), encoder(TOKENS[:1]))
    assert not torch.allclose(encoder(TOKENS[:1].flip(1)), encoder(TOKENS[:1]))
    assert bag(first=0)(TOKENS).shape == (3, 5)


def test_the_padding_of_a_bag_never_learns():
    encoder = bag()
    encoder(TOKENS).sum().backward()
    for table in (encoder.bag, *encoder.first):
        assert not table.weight.grad[0].any() and not table.weight[0].any()
    assert encoder.bag.weight.grad[2:].any(dim=1).all()


def test_the_dropout_of_a_bag_acts_in_training_alone():
    encoder = bag(dropout=0.5)
    assert (encoder(TOKENS) == 0).sum() > (encoder.eval()(TOKENS) == 0).sum()


def test_sentence_vectors_pass_as_they_are():
    vectors = torch.randn(3, 11)
    piece = SentenceVectors(11)
    assert piece.out_dim == 11
    assert piece(vectors, None) is vectors
