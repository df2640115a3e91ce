"""Every number of the study, typed a second time by hand from its description."""

from dataclasses import astuple

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import piece
from vqa_helpers.pieces.language import GloveBiLSTM
from vqa_helpers.pieces.sentences import MULTILINGUAL
from vqa_helpers.pieces.vision import StoredFeatures
from vqa_helpers.pieces.words import GloveWords
from vqa_helpers.presets import PRESETS, find_preset
from vqa_helpers.recipe import spell
from vqa_helpers.training.inputs import build_model

# A class and its keywords in order. Vision: network, what is trained. Sentences: encoder.
VGG, R18, R50 = (f"StoredFeatures {network}" for network in ("vgg16", "resnet18", "resnet50"))
USE = "SentenceVectors universal-sentence-encoder"
# Width, hidden, least count, tanh, carried state, sorted set (two of the study's notebooks lose word
# order; no preset does), dropout, two directions, layers.
ORIGINAL = "WordLSTM 300 512 1 True True False 0 False 1"
IMPROVED = "WordLSTM 300 512 5 False False False 0 False 1"
GLOVE, JOIN = "GloveBiLSTM 50 512", "Concatenation"
# Product: width, activation, normalise, dropout. Funnel: activation, batch norm, dropout, hidden.
BRANCHED = ("Product 1024 relu True 0.5", "Funnel relu True 0.5 1024")
TANH = ("Product 1024 tanh False 0", "Funnel tanh False 0.5 1000-1000-1000")
NORMED = ("Product 1024 relu True 0", "Funnel relu True 0 1000-1000-1000")
EARLY = (JOIN, "Funnel relu True 0.5 4096-1024")
# Optimiser, learning rate, batch, epochs, decay and every how many epochs.
STEADY, LSTM = "adamw 0.001 30 20 1 1", "adam 0.001 400 100 1 1"
RATE = 0.0011663507799970843  # of the study: 1e-3 after three decays of 0.95
TENS, TWENTIES = f"adam {RATE} 400 100 0.95 10", f"adamw {RATE} 400 100 0.95 20"
BLIND = "adam 0.001 400 12 0.9 1"
# Dataset, vision, language, fusion, classifier, schedule; widths of question and of both, and the
# numbers of parameters that were counted when the presets were first reproduced.
STUDY = {
    "Model100": ("B", "NetworkInLoop vgg16 none", USE, JOIN, "Funnel relu True 0.5 1024-512", STEADY,
                 512, 4608, 5_251_592),
    "1.b": ("C", R18, USE, "PlainProduct", "Funnel relu False 0 4096", STEADY, 512, 512, 2_134_024),
    "1.c": ("C", R18, USE, "PlainProduct", "Funnel relu False 0 4096-1024", STEADY, 512, 512, 6_304_776),
    "1.e": ("D", R18, USE, *EARLY, STEADY, 512, 1024, 8_412_168),
    "1.f": ("D", "NetworkInLoop resnet50 all", USE, *EARLY, STEADY, 512, 2560, 38_211_656),
    "1.fB": ("D", R50, USE, *EARLY, STEADY, 512, 2560, 14_703_624),
    "1.fC": ("D", "NetworkInLoop resnet50 last-block", USE, *EARLY, STEADY, 512, 2560, 29_668_360),
    "GUSE_VGG": ("100k", VGG, USE, *BRANCHED, TENS, 512, 1024, 5_780_488),
    "GUSE_ResNet": ("100k", R50, USE, *BRANCHED, TENS, 512, 1024, 3_683_336),
    "Original_VQA2015_VGG": ("100k", VGG, ORIGINAL, *TANH, LSTM, 1024, 1024, 9_950_608),
    "Original_VQA2015_ResNet": ("100k", R50, ORIGINAL, *TANH, LSTM, 1024, 1024, 7_853_456),
    "Improved_VQA2015_VGG": ("100k", VGG, IMPROVED, *NORMED, LSTM, 1024, 1024, 9_956_608),
    "Improved_VQA2015_ResNet": ("100k", R50, IMPROVED, *NORMED, LSTM, 1024, 1024, 7_859_456),
    "GloVe_VGG": ("100k", VGG, GLOVE, *BRANCHED, TWENTIES, 2048, 1024, 15_963_144),
    "GloVe_ResNet": ("100k", R50, GLOVE, *BRANCHED, TWENTIES, 2048, 1024, 13_865_992),
}  # fmt: skip
# These see one side only, after VQA 2015.
BLIND_ONES = {
    "Question_Only": ("100k", None, "WordLSTM 300 512 5 False False False 0.5 False 1", "OneSide",
                      "Funnel relu False 0.5 1024", BLIND, 1024, 1024, 2_728_472),
    "Bag_Of_Words": ("100k", None, "BagOfWords 300 3 100 5 0.5", "OneSide",
                     "Funnel relu False 0.5 1024", BLIND, 600, 600, 630_824),
    "Image_Only": ("100k", VGG, None, "OneSide", "Funnel relu False 0.5 1000-1000",
                   "adam 0.001 400 12 1 1", None, 4096, 5_106_008),
}  # fmt: skip
# Those after the study; GloVe's words: width, learnt; with states also hidden, two directions, dropout.
SLOW, GRID = "rmsprop 0.0003 500 300 1 1", "StoredGrid resnet50"
STATES = "50 False 512 False 0"
AFTER = {
    "Deeper_LSTM_norm_I": ("100k", "StoredFeatures vgg19", "WordLSTM 300 512 1 True False False 0 False 2",
                           "Product 1024 tanh False 0.5", "Funnel relu False 0 none", SLOW,
                           2048, 1024, 10_073_624),
    "Image_First": ("100k", R50, "GloveWords 50 False", "ImageFirst 512 0.5", BRANCHED[1], TENS,
                    50, 1024, 4_313_096),
    "Attended_Words": ("100k", R50, f"AttendedWords {STATES}", *BRANCHED, TENS, 512, 1024, 5_101_576),
    "Word_Attention": ("100k", R50, f"WordStates {STATES}", "WordAttention 1024 relu True 0.5",
                       BRANCHED[1], TENS, 512, 1024, 4_839_432),
    "Stacked_Attention": ("100k", GRID, USE, "StackedAttention 512 512 2 0.5", BRANCHED[1], TENS,
                          512, 512, 2_897_928),
    "Top_Down_Attention": ("100k", GRID, USE, "TopDownAttention 512 0.5", BRANCHED[1], TENS,
                           512, 512, 5_782_024),
    "Co_Attention": ("100k", GRID, f"WordStates {STATES}", "CoAttention 512 8 2 0.1", BRANCHED[1],
                     "adam 0.0001 64 13 1 1", 512, 512, 18_242_568),
}  # fmt: skip
TABLE = STUDY | BLIND_ONES | AFTER
DECIDED_BY_THE_DATA = {"weights", "size_px", "recompute", "cache", "vectors"}


def spelt(choice):
    """The class and every keyword, defaults included, but for those that the data decide."""
    if choice is None:
        return None
    assert not choice.keywords.keys() & DECIDED_BY_THE_DATA
    words = [v for k, v in choice.all_keywords().items() if k not in DECIDED_BY_THE_DATA]
    return " ".join([choice.made_by.__name__, *map(spell, words)])


def test_every_number_of_every_experiment():
    assert list(PRESETS) == list(TABLE)
    for name, preset in PRESETS.items():
        schedule = astuple(preset.training)
        pieces = map(spelt, preset.choices.values())
        found = (preset.dataset, *pieces, " ".join(map(spell, schedule[:6])))
        assert (preset.name, found) == (name, TABLE[name][:6])
        # Learnt by cross entropy, nothing varied, accumulated or rounded; gradients as they are.
        steps = (0.99997592083, 10.0) if name == "Deeper_LSTM_norm_I" else (1.0, None)
        usual = ("cross entropy", 1, None, False, 0.0, 0.0, "auto")
        assert schedule[6:] == (*steps, *usual)
    assert PRESETS["GUSE_VGG"].training.learning_rate == pytest.approx(0.001 / 0.95**3, rel=1e-12)


def test_what_the_study_does_not_state_is_said():
    assert all("not stated" in PRESETS[name].source for name in PRESETS if name.startswith("1."))
    assert all("not an experiment of the study" in PRESETS[name].source for name in BLIND_ONES)


def test_small_schedules_are_smaller_and_taken_for_few_questions():
    for preset in PRESETS.values():
        assert preset.small.batch <= preset.training.batch
        assert preset.small.epochs < preset.training.epochs
        assert preset.schedule(19_999) is preset.small
        assert preset.schedule(20_000) is preset.training


# ---------------------------------------------------------------- by name


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_whatever_the_case_and_dashes(name):
    for spelling in (name, name.upper(), name.lower(), name.replace("_", "-")):
        assert find_preset(spelling) is PRESETS[name]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Improved_VQA2015_VG", "Improved_VQA2015_VGG"), ("glove-resnet50", "GloVe_ResNet"),
     ("question only", "Question_Only"), ("model-1000", "Model100")],
)  # fmt: skip
def test_the_nearest_preset_is_named(typed, meant):
    with pytest.raises(InputError, match=f"did you mean {meant}[?]"):
        find_preset(typed)


@pytest.mark.parametrize("typed", ["", "ßßß", "🤖", "Memory", "MCAN", "Product"])
def test_a_name_near_to_none_gets_the_list(typed):
    with pytest.raises(InputError, match="is no preset; there are Model100, 1.b"):
        find_preset(typed)


# ---------------------------------------------------------------- every preset at its real size

WORDS = WordVocabulary(("<pad>", "<unknown>", *"abcdefghij"))
ANSWERS = AnswerVocabulary(tuple("01234567"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_studys_widths_and_learns_eight_samples(name):
    question_width, fused_width, parameters = TABLE[name][6:]
    preset = PRESETS[name]
    torch.manual_seed(0)
    vision = {"weights": "random", "size_px": 32}
    usual = {"vision": vision, "language": {"encoder": MULTILINGUAL}}
    model = build_model(preset.choices, WORDS, ANSWERS, usual)
    assert getattr(model.language, "out_dim", None) == question_width
    assert model.fusion.out_dim == fused_width
    hidden = preset.classifier.keywords["hidden"]
    layers = [x for x in model.classifier.layers if isinstance(x, nn.Linear)]
    assert [x.in_features for x in layers] == [fused_width, *hidden]
    assert [x.out_features for x in layers] == [*hidden, len(ANSWERS)]
    assert model.parameter_count() == parameters
    if not getattr(model.vision, "stored", True):  # what is in the loop learns in `test_model.py`
        swapped = preset.with_(vision=piece(StoredFeatures, "resnet18"))
        model = build_model(swapped.choices, WORDS, ANSWERS, usual)
    assert learns(model, preset.training.learning_rate)


def learns(model, rate: float) -> bool:
    """Whether every one of eight answers becomes right in evaluation.

    The running statistics of batch normalisation start at one and the study's normalised product
    is about a thousandth: they need most of these steps to come down.
    """
    generator = torch.Generator().manual_seed(3)
    image = None
    if model.vision:
        places = [5] if model.vision.grid else []
        image = torch.randn(8, *places, model.vision.out_dim, generator=generator)
    target = torch.arange(8)
    if isinstance(model.language, GloveBiLSTM | GloveWords):
        model.language.embedding.weight.normal_(generator=generator)
    texts = [" ".join("abcdefghij"[i : i + 3]) for i in range(8)]
    question = model.encode(texts, WORDS)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=rate, fused=True)
    for step in range(1, 151):
        loss = cross_entropy(model.train()(image, question), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0 and (model.eval()(image, question).argmax(1) == target).all():
            return True
    return False
