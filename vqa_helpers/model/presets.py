"""Every experiment of the reference study, as literal numbers and the place they copy.

Where the study gives no number, a preset says so in its source.
"""

import difflib

from vqa_helpers.errors import InputError
from vqa_helpers.model.config import (
    BagOfWords,
    Classifier,
    Concat,
    Glove,
    Images,
    Preset,
    Product,
    Schedule,
    Sentences,
    Words,
)

# Schedules ------------------------------------------------------------------------------------

_START = 1e-3 / 0.95**3  # the study's rate, which decay brings to 1e-3 after three steps
_STUDY_100K = dict(name="study", batch=400, epochs=100)
_SMALL = dict(name="small", batch=64)

_MODEL100 = Schedule("study", "adamw", 1e-3, batch=30, epochs=20)
_MODEL100_SMALL = Schedule("small", "adamw", 1e-3, batch=30, epochs=4)
_GUSE = Schedule(**_STUDY_100K, optimiser="adam", learning_rate=_START, decay=0.95, decay_every=10)
_GUSE_SMALL = Schedule(**_SMALL, epochs=15, optimiser="adam", learning_rate=_START)
_WE_LSTM = Schedule(**_STUDY_100K, optimiser="adam", learning_rate=1e-3)
_WE_LSTM_SMALL = Schedule(**_SMALL, epochs=12, optimiser="adam", learning_rate=1e-3)
_GLOVE = Schedule(
    **_STUDY_100K, optimiser="adamw", learning_rate=_START, decay=0.95, decay_every=20
)
_GLOVE_SMALL = Schedule(**_SMALL, epochs=10, optimiser="adamw", learning_rate=_START)

# Pieces that several experiments share ---------------------------------------------------------

_GUSE_FUSION = Product(1024, activation="relu", normalise=True, dropout=0.5)
_GUSE_CLASSIFIER = Classifier((1024,), activation="relu", batch_norm=True, dropout=0.5)
_ORIGINAL_WORDS = Words(words=300, hidden=512, embedding_tanh=True, carry_state=True)
_ORIGINAL_FUSION = Product(1024, activation="tanh")
_ORIGINAL_CLASSIFIER = Classifier((1000, 1000, 1000), activation="tanh", dropout=0.5)
_IMPROVED_WORDS = Words(words=300, hidden=512, min_count=5)
_IMPROVED_FUSION = Product(1024, activation="relu", normalise=True)
_IMPROVED_CLASSIFIER = Classifier((1000, 1000, 1000), activation="relu", batch_norm=True)
_NOTED = "; optimiser and schedule are not stated, Model100's are used"


def _early(name: str, source: str, images: Images, fusion: Concat | Product, classifier: Classifier,
           dataset: str) -> Preset:  # fmt: skip
    return Preset(
        name, source + _NOTED, images, Sentences(), fusion, classifier, _MODEL100, _MODEL100_SMALL,
        dataset,
    )  # fmt: skip


_EARLY_CLASSIFIER = Classifier((4096, 1024), batch_norm=True, dropout=0.5)

# Experiments -----------------------------------------------------------------------------------

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="Model100",
            source="reference study, 'Model100': 4608 -> 1024 -> 512 -> answers",
            images=Images("vgg16", in_loop=True),
            questions=Sentences(),
            fusion=Concat(),
            classifier=Classifier((1024, 512), batch_norm=True, dropout=0.5),
            schedule=_MODEL100,
            small=_MODEL100_SMALL,
            dataset="B",
        ),
        _early(
            "1.b", "reference study, experiment 1.b", Images("resnet18"), Product(width=None),
            Classifier((4096,)), "C",
        ),
        _early(
            "1.c", "reference study, experiment 1.c", Images("resnet18"), Product(width=None),
            Classifier((4096, 1024)), "C",
        ),
        _early(
            "1.e", "reference study, experiment 1.e", Images("resnet18"), Concat(),
            _EARLY_CLASSIFIER, "D",
        ),
        _early(
            "1.f", "reference study, experiment 1.f: all of the vision channel is trained",
            Images("resnet50", in_loop=True, trained="all"), Concat(), _EARLY_CLASSIFIER, "D",
        ),
        _early(
            "1.fB", "reference study, experiment 1.fB: the vision channel is frozen",
            Images("resnet50"), Concat(), _EARLY_CLASSIFIER, "D",
        ),
        _early(
            "1.fC", "reference study, experiment 1.fC: the last convolutional block is trained",
            Images("resnet50", in_loop=True, trained="last block"), Concat(), _EARLY_CLASSIFIER,
            "D",
        ),
        Preset(
            name="GUSE_VGG",
            source="reference study, 'VGG16 GUSE'",
            images=Images("vgg16"),
            questions=Sentences(),
            fusion=_GUSE_FUSION,
            classifier=_GUSE_CLASSIFIER,
            schedule=_GUSE,
            small=_GUSE_SMALL,
        ),
        Preset(
            name="GUSE_ResNet",
            source="reference study, 'ResNet50 GUSE'",
            images=Images("resnet50"),
            questions=Sentences(),
            fusion=_GUSE_FUSION,
            classifier=_GUSE_CLASSIFIER,
            schedule=_GUSE,
            small=_GUSE_SMALL,
        ),
        Preset(
            name="Original_VQA2015_VGG",
            source="reference study, 'Word Embedding + LSTM', original, VGG16",
            images=Images("vgg16"),
            questions=_ORIGINAL_WORDS,
            fusion=_ORIGINAL_FUSION,
            classifier=_ORIGINAL_CLASSIFIER,
            schedule=_WE_LSTM,
            small=_WE_LSTM_SMALL,
        ),
        Preset(
            name="Original_VQA2015_ResNet",
            source="reference study, 'Word Embedding + LSTM', original, ResNet50",
            images=Images("resnet50"),
            questions=_ORIGINAL_WORDS,
            fusion=_ORIGINAL_FUSION,
            classifier=_ORIGINAL_CLASSIFIER,
            schedule=_WE_LSTM,
            small=_WE_LSTM_SMALL,
        ),
        Preset(
            name="Improved_VQA2015_VGG",
            source="reference study, 'Word Embedding + LSTM', improved, VGG16",
            images=Images("vgg16"),
            questions=_IMPROVED_WORDS,
            fusion=_IMPROVED_FUSION,
            classifier=_IMPROVED_CLASSIFIER,
            schedule=_WE_LSTM,
            small=_WE_LSTM_SMALL,
        ),
        Preset(
            name="Improved_VQA2015_ResNet",
            source="reference study, 'Word Embedding + LSTM', improved, ResNet50",
            images=Images("resnet50"),
            questions=_IMPROVED_WORDS,
            fusion=_IMPROVED_FUSION,
            classifier=_IMPROVED_CLASSIFIER,
            schedule=_WE_LSTM,
            small=_WE_LSTM_SMALL,
        ),
        Preset(
            name="GloVe_VGG",
            source="reference study, 'VGG16 GloVe+LSTM'",
            images=Images("vgg16"),
            questions=Glove(dim=50, hidden=512),
            fusion=_GUSE_FUSION,
            classifier=_GUSE_CLASSIFIER,
            schedule=_GLOVE,
            small=_GLOVE_SMALL,
        ),
        Preset(
            name="GloVe_ResNet",
            source="reference study, 'ResNet50 GloVe+LSTM'",
            images=Images("resnet50"),
            questions=Glove(dim=50, hidden=512),
            fusion=_GUSE_FUSION,
            classifier=_GUSE_CLASSIFIER,
            schedule=_GLOVE,
            small=_GLOVE_SMALL,
        ),
        Preset(
            name="Question_Only",
            source="VQA 2015, section 4, 'LSTM Q': no image; not an experiment of the study",
            images=None,
            questions=Words(words=300, hidden=512, min_count=5, dropout=0.5),
            fusion=None,
            classifier=Classifier((1024,), dropout=0.5),
            schedule=Schedule("study", "adam", 1e-3, batch=400, epochs=12, decay=0.9),
            small=Schedule("small", "adam", 1e-3, batch=64, epochs=8),
        ),
        Preset(
            name="Bag_Of_Words",
            source="VQA 2015, section 4, 'BoW Q': no image; not an experiment of the study",
            images=None,
            questions=BagOfWords(words=300, first=3, first_words=100, min_count=5, dropout=0.5),
            fusion=None,
            classifier=Classifier((1024,), dropout=0.5),
            schedule=Schedule("study", "adam", 1e-3, batch=400, epochs=12, decay=0.9),
            small=Schedule("small", "adam", 1e-3, batch=64, epochs=10),
        ),
        Preset(
            name="Image_Only",
            source="VQA 2015, section 4, 'I': no question; not an experiment of the study",
            images=Images("vgg16"),
            questions=None,
            fusion=None,
            classifier=Classifier((1000, 1000), dropout=0.5),
            schedule=Schedule("study", "adam", 1e-3, batch=400, epochs=12),
            small=Schedule("small", "adam", 1e-3, batch=64, epochs=6),
        ),
    )
}  # fmt: skip

SMALL_DATASET = 20_000  # train questions under which the small schedule is the default


def find_preset(name: str) -> Preset:
    """The preset of that name; case, "-" and "_" do not matter.

    Raises:
        InputError: for an unknown one, naming the nearest.
    """
    folded = {_fold(known): preset for known, preset in PRESETS.items()}
    if _fold(name) in folded:
        return folded[_fold(name)]
    near = difflib.get_close_matches(_fold(name), folded, n=1, cutoff=0.4)
    hint = f"did you mean {folded[near[0]].name}? " if near else ""
    raise InputError(f"{name!r} is no preset; {hint}there are {', '.join(PRESETS)}")


def _fold(name: str) -> str:
    return name.lower().replace("-", "_").replace("_", "")
