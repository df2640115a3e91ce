"""Every number of the study, typed a second time by hand from its description."""

import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.model.config import (
    BagOfWords,
    Classifier,
    Concat,
    Glove,
    Images,
    Product,
    Schedule,
    Sentences,
    Words,
)
from vqa_helpers.model.presets import PRESETS, find_preset

STUDY = [
    "Model100", "1.b", "1.c", "1.e", "1.f", "1.fB", "1.fC", "GUSE_VGG", "GUSE_ResNet",
    "Original_VQA2015_VGG", "Original_VQA2015_ResNet", "Improved_VQA2015_VGG",
    "Improved_VQA2015_ResNet", "GloVe_VGG", "GloVe_ResNet",
]  # fmt: skip
# Those that see one side only, after VQA 2015.
BLIND = ["Question_Only", "Bag_Of_Words", "Image_Only"]
START = 0.001166350779997084  # 0.001 / 0.95 / 0.95 / 0.95


def test_every_experiment_is_there_and_knows_its_name():
    assert [*STUDY, *BLIND] == list(PRESETS)
    assert all(preset.name == name and preset.source for name, preset in PRESETS.items())


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("Model100", Images("vgg16", in_loop=True, trained="none")),
        ("1.b", Images("resnet18", in_loop=False, trained="none")),
        ("1.c", Images("resnet18", in_loop=False, trained="none")),
        ("1.e", Images("resnet18", in_loop=False, trained="none")),
        ("1.f", Images("resnet50", in_loop=True, trained="all")),
        ("1.fB", Images("resnet50", in_loop=False, trained="none")),
        ("1.fC", Images("resnet50", in_loop=True, trained="last block")),
        ("GUSE_VGG", Images("vgg16", in_loop=False, trained="none")),
        ("GUSE_ResNet", Images("resnet50", in_loop=False, trained="none")),
        ("Original_VQA2015_VGG", Images("vgg16", in_loop=False, trained="none")),
        ("Original_VQA2015_ResNet", Images("resnet50", in_loop=False, trained="none")),
        ("Improved_VQA2015_VGG", Images("vgg16", in_loop=False, trained="none")),
        ("Improved_VQA2015_ResNet", Images("resnet50", in_loop=False, trained="none")),
        ("GloVe_VGG", Images("vgg16", in_loop=False, trained="none")),
        ("GloVe_ResNet", Images("resnet50", in_loop=False, trained="none")),
        ("Question_Only", None),
        ("Bag_Of_Words", None),
        ("Image_Only", Images("vgg16", in_loop=False, trained="none")),
    ],
)
def test_vision(name, images):
    assert PRESETS[name].images == images


ORIGINAL_WORDS = Words(300, 512, 1, embedding_tanh=True, carry_state=True)
IMPROVED_WORDS = Words(300, 512, 5, embedding_tanh=False, carry_state=False)


@pytest.mark.parametrize(
    ("names", "questions"),
    [
        (("Model100", "1.b", "1.c", "1.e", "1.f", "1.fB", "1.fC"), Sentences()),
        (("GUSE_VGG", "GUSE_ResNet"), Sentences()),
        (("Original_VQA2015_VGG", "Original_VQA2015_ResNet"), ORIGINAL_WORDS),
        (("Improved_VQA2015_VGG", "Improved_VQA2015_ResNet"), IMPROVED_WORDS),
        (("GloVe_VGG", "GloVe_ResNet"), Glove(50, 512)),
        (("Bag_Of_Words",), BagOfWords(300, first=3, first_words=100, min_count=5, dropout=0.5)),
        (("Image_Only",), None),
    ],
)
def test_language(names, questions):
    assert [PRESETS[name].questions for name in names] == [questions] * len(names)


def test_no_preset_loses_word_order():
    # Two of the study's notebooks did; it is kept as an option only.
    words = [preset.questions for preset in PRESETS.values() if isinstance(preset.questions, Words)]
    assert len(words) == 5
    assert not any(spec.sorted_set for spec in words)


BRANCHED = Product(1024, "relu", normalise=True, dropout=0.5)
BRANCHED_FUNNEL = Classifier((1024,), "relu", batch_norm=True, dropout=0.5)


@pytest.mark.parametrize(
    ("names", "fusion", "classifier"),
    [
        (("Model100",), Concat(), Classifier((1024, 512), "relu", True, 0.5)),
        (("1.b",), Product(None), Classifier((4096,), "relu", False, 0.0)),
        (("1.c",), Product(None), Classifier((4096, 1024), "relu", False, 0.0)),
        (("1.e", "1.f", "1.fB", "1.fC"), Concat(), Classifier((4096, 1024), "relu", True, 0.5)),
        (("GUSE_VGG", "GUSE_ResNet", "GloVe_VGG", "GloVe_ResNet"), BRANCHED, BRANCHED_FUNNEL),
        (("Question_Only", "Bag_Of_Words"), None, Classifier((1024,), "relu", False, 0.5)),
        (("Image_Only",), None, Classifier((1000, 1000), "relu", False, 0.5)),
        (
            ("Original_VQA2015_VGG", "Original_VQA2015_ResNet"),
            Product(1024, "tanh", normalise=False, dropout=0.0),
            Classifier((1000, 1000, 1000), "tanh", batch_norm=False, dropout=0.5),
        ),
        (
            ("Improved_VQA2015_VGG", "Improved_VQA2015_ResNet"),
            Product(1024, "relu", normalise=True, dropout=0.0),
            Classifier((1000, 1000, 1000), "relu", batch_norm=True, dropout=0.0),
        ),
    ],
)
def test_fusion_and_classifier(names, fusion, classifier):
    for name in names:
        assert PRESETS[name].fusion == fusion
        assert PRESETS[name].classifier == classifier


@pytest.mark.parametrize(
    ("names", "schedule"),
    [
        (("Model100",), Schedule("study", "adamw", 1e-3, 30, 20, 1.0, 1)),
        (("GUSE_VGG", "GUSE_ResNet"), Schedule("study", "adam", START, 400, 100, 0.95, 10)),
        (
            ("Original_VQA2015_VGG", "Original_VQA2015_ResNet", "Improved_VQA2015_VGG",
             "Improved_VQA2015_ResNet"),
            Schedule("study", "adam", 1e-3, 400, 100, 1.0, 1),
        ),
        (("GloVe_VGG", "GloVe_ResNet"), Schedule("study", "adamw", START, 400, 100, 0.95, 20)),
    ],
)  # fmt: skip
def test_schedules(names, schedule):
    for name in names:
        own = PRESETS[name].schedule
        assert own.learning_rate == pytest.approx(schedule.learning_rate, rel=1e-12)
        assert (own.name, own.optimiser, own.batch, own.epochs, own.decay, own.decay_every) == (
            schedule.name, schedule.optimiser, schedule.batch, schedule.epochs, schedule.decay,
            schedule.decay_every,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["1.b", "1.c", "1.e", "1.f", "1.fB", "1.fC"])
def test_an_unstated_schedule_says_so(name):
    assert PRESETS[name].schedule == PRESETS["Model100"].schedule
    assert "not stated" in PRESETS[name].source


def test_small_schedules_are_smaller_and_named():
    for preset in PRESETS.values():
        assert preset.small.name == "small"
        assert preset.small.batch <= preset.schedule.batch
        assert preset.small.epochs < preset.schedule.epochs


def test_the_study_and_its_blind_models_learn_by_cross_entropy():
    assert {preset.loss for preset in PRESETS.values()} == {"cross entropy"}


def test_a_model_of_one_side_has_nothing_to_fuse():
    for name, preset in PRESETS.items():
        one_sided = preset.images is None or preset.questions is None
        assert one_sided == (name in BLIND) == (preset.fusion is None)


def test_datasets():
    datasets = {name: PRESETS[name].dataset for name in STUDY}
    assert datasets["Model100"] == "B"
    assert [datasets[name] for name in STUDY[1:7]] == ["C", "C", "D", "D", "D", "D"]
    assert {datasets[name] for name in STUDY[7:]} == {"100k"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_whatever_the_case_and_dashes(name):
    for spelling in (name, name.upper(), name.lower(), name.replace("_", "-")):
        assert find_preset(spelling) is PRESETS[name]


def test_no_two_presets_answer_to_one_spelling():
    assert len({name.lower().replace("_", "") for name in PRESETS}) == len(PRESETS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Improved_VQA2015_VG", "Improved_VQA2015_VGG"), ("glove-resnet50", "GloVe_ResNet"),
     ("question only", "Question_Only"), ("model-1000", "Model100")],
)  # fmt: skip
def test_the_nearest_preset_is_named(typed, meant):
    with pytest.raises(InputError, match=f"did you mean {meant}[?]"):
        find_preset(typed)


@pytest.mark.parametrize("typed", ["", "ßßß", "🤖"])
def test_a_name_near_to_none_gets_the_list(typed):
    with pytest.raises(InputError, match="is no preset; there are Model100, 1.b"):
        find_preset(typed)
