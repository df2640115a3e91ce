"""Every number of the study, typed a second time by hand from its description."""

from dataclasses import astuple

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import Concatenation, OneSide, PlainProduct, Product
from vqa_helpers.pieces.language import BagOfWords, GloveBiLSTM, SentenceVectors, WordLSTM
from vqa_helpers.pieces.sentences import HASHED_NGRAMS, USE
from vqa_helpers.pieces.vision import NetworkInLoop, StoredFeatures
from vqa_helpers.presets import PRESETS, find_preset
from vqa_helpers.training.inputs import build_model

EARLY = ("1.b", "1.c", "1.e", "1.f", "1.fB", "1.fC")
GUSE, GLOVE = ("GUSE_VGG", "GUSE_ResNet"), ("GloVe_VGG", "GloVe_ResNet")
ORIGINAL = ("Original_VQA2015_VGG", "Original_VQA2015_ResNet")
IMPROVED = ("Improved_VQA2015_VGG", "Improved_VQA2015_ResNet")
STUDY = ("Model100", *EARLY, *GUSE, *ORIGINAL, *IMPROVED, *GLOVE)
BLIND = ("Question_Only", "Bag_Of_Words", "Image_Only")  # see one side only, after VQA 2015
START = 0.001166350779997084  # 0.001 / 0.95 / 0.95 / 0.95


def chosen(name: str, slot: str):
    """The class and every keyword, defaults included; of vision those that the data do not decide."""
    choice = getattr(PRESETS[name], slot)
    if choice is None:
        return None
    keywords = choice.all_keywords()
    open_ones = ("weights", "size_px", "recompute") if slot == "vision" else ("cache", "vectors")
    return choice.made_by, {k: v for k, v in keywords.items() if k not in open_ones}


def test_every_experiment_is_there_and_knows_its_name():
    assert list(PRESETS) == [*STUDY, *BLIND]
    assert all(preset.name == name and preset.source for name, preset in PRESETS.items())
    datasets = [PRESETS[name].dataset for name in STUDY]
    assert datasets == ["B", "C", "C", "D", "D", "D", "D", *["100k"] * 8]


VGG16, RESNET18, RESNET50 = (
    (StoredFeatures, {"network": n}) for n in ("vgg16", "resnet18", "resnet50")
)


@pytest.mark.parametrize(
    ("names", "vision"),
    [
        (("Model100",), (NetworkInLoop, {"network": "vgg16", "trained": "none"})),
        (("1.b", "1.c", "1.e"), RESNET18),
        (("1.f",), (NetworkInLoop, {"network": "resnet50", "trained": "all"})),
        (("1.fC",), (NetworkInLoop, {"network": "resnet50", "trained": "last block"})),
        (("1.fB",), RESNET50),
        ([name for name in PRESETS if name.endswith("_VGG")], VGG16),
        ([name for name in PRESETS if name.endswith("_ResNet")], RESNET50),
        (("Question_Only", "Bag_Of_Words"), None),
        (("Image_Only",), VGG16),
    ],
)
def test_vision(names, vision):
    assert [chosen(name, "vision") for name in names] == [vision] * len(names)
    # Which weights and how large the images are, the data decide.
    for name in names:
        assert not getattr(PRESETS[name].vision, "keywords", {}).keys() & {"weights", "size_px"}


BAG = {"width": 300, "first": 3, "first_width": 100, "min_count": 5, "dropout": 0.5}


def words(**keywords):
    usual = dict(width=300, hidden=512, min_count=1, embedding_tanh=False, carry_state=False)
    # Two of the study's notebooks lose word order; no preset does.
    return WordLSTM, {**usual, "sorted_set": False, "dropout": 0.0, **keywords}


@pytest.mark.parametrize(
    ("names", "language"),
    [
        (("Model100", *EARLY, *GUSE), (SentenceVectors, {"encoder": USE})),
        (ORIGINAL, words(embedding_tanh=True, carry_state=True)),
        (IMPROVED, words(min_count=5)),
        (GLOVE, (GloveBiLSTM, {"dim": 50, "hidden": 512})),
        (("Question_Only",), words(min_count=5, dropout=0.5)),
        (("Bag_Of_Words",), (BagOfWords, BAG)),
        (("Image_Only",), None),
    ],
)
def test_language(names, language):
    assert [chosen(name, "language") for name in names] == [language] * len(names)


def product(*values):
    return Product, dict(zip(("width", "activation", "normalise", "dropout"), values, strict=True))


def funnel(*hidden, activation="relu", batch_norm=False, dropout=0.0):
    rest = {"activation": activation, "batch_norm": batch_norm, "dropout": dropout}
    return Funnel, {"hidden": hidden, **rest}


BRANCHED = product(1024, "relu", True, 0.5), funnel(1024, batch_norm=True, dropout=0.5)
THREE = (1000, 1000, 1000)


@pytest.mark.parametrize(
    ("names", "fusion", "classifier"),
    [
        (("Model100",), (Concatenation, {}), funnel(1024, 512, batch_norm=True, dropout=0.5)),
        (("1.b",), (PlainProduct, {}), funnel(4096)),
        (("1.c",), (PlainProduct, {}), funnel(4096, 1024)),
        (EARLY[2:], (Concatenation, {}), funnel(4096, 1024, batch_norm=True, dropout=0.5)),
        ((*GUSE, *GLOVE), *BRANCHED),
        (
            ORIGINAL,
            product(1024, "tanh", False, 0.0),
            funnel(*THREE, activation="tanh", dropout=0.5),
        ),
        (IMPROVED, product(1024, "relu", True, 0.0), funnel(*THREE, batch_norm=True)),
        (("Question_Only", "Bag_Of_Words"), (OneSide, {}), funnel(1024, dropout=0.5)),
        (("Image_Only",), (OneSide, {}), funnel(1000, 1000, dropout=0.5)),
    ],
)
def test_fusion_and_classifier(names, fusion, classifier):
    for name in names:
        assert chosen(name, "fusion") == fusion
        assert chosen(name, "classifier") == classifier


@pytest.mark.parametrize(
    ("names", "schedule"),
    [
        (("Model100", *EARLY), ("adamw", 1e-3, 30, 20, 1.0, 1)),
        (GUSE, ("adam", START, 400, 100, 0.95, 10)),
        ((*ORIGINAL, *IMPROVED), ("adam", 1e-3, 400, 100, 1.0, 1)),
        (GLOVE, ("adamw", START, 400, 100, 0.95, 20)),
    ],
)
def test_schedules(names, schedule):
    for name in names:
        own = astuple(PRESETS[name].training)
        assert own[0] == schedule[0] and own[1:6] == pytest.approx(schedule[1:], rel=1e-12)
        # Learnt by cross entropy, nothing varied, accumulated or rounded.
        assert own[6:] == ("cross entropy", 1, None, False, 0.0, 0.0, "float32")


def test_what_the_study_does_not_state_is_said():
    assert all("not stated" in PRESETS[name].source for name in EARLY)
    assert all("not an experiment of the study" in PRESETS[name].source for name in BLIND)


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


@pytest.mark.parametrize("typed", ["", "ßßß", "🤖", "Attention", "MCAN", "Product"])
def test_a_name_near_to_none_gets_the_list(typed):
    with pytest.raises(InputError, match="is no preset; there are Model100, 1.b"):
        find_preset(typed)


# ---------------------------------------------------------------- every preset at its real size

WORDS = WordVocabulary(("<pad>", "<unknown>", *"abcdefghij"))
ANSWERS = 8
SHAPES = {
    "Model100": (512, 4608, 5_251_592), "1.b": (512, 512, 2_134_024), "1.c": (512, 512, 6_304_776),
    "1.e": (512, 1024, 8_412_168), "1.f": (512, 2560, 38_211_656), "1.fB": (512, 2560, 14_703_624),
    "1.fC": (512, 2560, 29_668_360), "GUSE_VGG": (512, 1024, 5_780_488),
    "GUSE_ResNet": (512, 1024, 3_683_336), "Original_VQA2015_VGG": (1024, 1024, 9_950_608),
    "Original_VQA2015_ResNet": (1024, 1024, 7_853_456),
    "Improved_VQA2015_VGG": (1024, 1024, 9_956_608),
    "Improved_VQA2015_ResNet": (1024, 1024, 7_859_456), "GloVe_VGG": (2048, 1024, 15_963_144),
    "GloVe_ResNet": (2048, 1024, 13_865_992), "Question_Only": (1024, 1024, 2_728_472),
    "Bag_Of_Words": (600, 600, 630_824), "Image_Only": (None, 4096, 5_106_008),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_studys_widths_and_learns_eight_samples(name):
    """Numbers of parameters are those that were counted when the presets were first reproduced."""
    question_width, fused_width, parameters = SHAPES[name]
    preset = PRESETS[name]
    torch.manual_seed(0)
    usual = {
        "vision": {"weights": "random", "size_px": 32},
        "language": {"encoder": HASHED_NGRAMS},
    }
    model = build_model(preset.choices, WORDS, ANSWERS, usual)
    assert getattr(model.language, "out_dim", None) == question_width
    assert model.fusion.out_dim == fused_width
    hidden = preset.classifier.keywords["hidden"]
    layers = [x for x in model.classifier.layers if isinstance(x, nn.Linear)]
    assert [x.in_features for x in layers] == [fused_width, *hidden]
    assert [x.out_features for x in layers] == [*hidden, ANSWERS]
    assert model.parameter_count() == parameters
    assert learns(model, preset.training.learning_rate)


def learns(model, rate: float) -> bool:
    """Whether every one of eight answers becomes right in evaluation.

    The running statistics of batch normalisation start at one and the study's normalised product
    is about a thousandth: they need most of these steps to come down.
    """
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 255, (8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    image, target = pixels, torch.arange(8)
    if getattr(model.vision, "stored", False):
        image = torch.randn(8, model.vision.out_dim, generator=generator)
    elif model.vision is not None and model.vision.standardised:
        with torch.inference_mode():
            features = model.vision.encoder.eval()(pixels)
        model.vision.standardise(features)  # else random weights hardly tell images apart
    if isinstance(model.language, GloveBiLSTM):
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
        if step % 10 == 0:
            with torch.inference_mode():
                if (model.eval()(image, question).argmax(1) == target).all():
                    return True
    return False
