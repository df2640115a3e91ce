"""Every experiment of the reference study, and those after it, as literal numbers and the place they
copy.

Where the source gives no number, a preset says so.
"""

from dataclasses import replace

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import pretrained
from vqa_helpers.pieces.attention import (
    CoAttention,
    ImageFirst,
    StackedAttention,
    TopDownAttention,
    WordAttention,
)
from vqa_helpers.pieces.choice import Choice, fold, nearest, piece
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import Concatenation, OneSide, PlainProduct, Product
from vqa_helpers.pieces.language import BagOfWords, GloveBiLSTM, SentenceVectors, WordLSTM
from vqa_helpers.pieces.vision import NetworkInLoop, StoredFeatures, StoredGrid
from vqa_helpers.pieces.words import AttendedWords, GloveWords, WordStates
from vqa_helpers.recipe import Recipe, Training

# Schedules; the small ones are for datasets far smaller than the study's -------------------------

_START = 1e-3 / 0.95**3  # the study's rate, which decay brings to 1e-3 after three steps
_MODEL100 = Training("adamw", 1e-3, batch=30, epochs=20)
_MODEL100_SMALL = Training("adamw", 1e-3, batch=30, epochs=4)
_FROZEN_OR_TRAINED_SMALL = replace(_MODEL100_SMALL, epochs=3)  # a fourth gained nothing on D and E

# Pieces that several experiments share -----------------------------------------------------------

_VGG16 = piece(StoredFeatures, "vgg16")
_RESNET18 = piece(StoredFeatures, "resnet18")
_RESNET50 = piece(StoredFeatures, "resnet50")
_SENTENCES = piece(SentenceVectors)
_EARLY_FUNNEL = piece(Funnel, (4096, 1024), batch_norm=True, dropout=0.5)

_GUSE_VGG = Recipe(
    name="GUSE_VGG",
    source="reference study, 'VGG16 GUSE'",
    vision=_VGG16,
    language=_SENTENCES,
    fusion=piece(Product, width=1024, activation="relu", normalise=True, dropout=0.5),
    classifier=piece(Funnel, (1024,), activation="relu", batch_norm=True, dropout=0.5),
    training=Training("adam", _START, batch=400, epochs=100, decay=0.95, decay_every=10),
    small=Training("adam", _START, batch=64, epochs=15),
)
_GUSE_RESNET = replace(
    _GUSE_VGG, name="GUSE_ResNet", source="reference study, 'ResNet50 GUSE'", vision=_RESNET50
)
_ORIGINAL_VGG = Recipe(
    name="Original_VQA2015_VGG",
    source="reference study, 'Word Embedding + LSTM', original, VGG16",
    vision=_VGG16,
    language=piece(WordLSTM, width=300, hidden=512, embedding_tanh=True, carry_state=True),
    fusion=piece(Product, width=1024, activation="tanh"),
    classifier=piece(Funnel, (1000, 1000, 1000), activation="tanh", dropout=0.5),
    training=Training("adam", 1e-3, batch=400, epochs=100),
    small=Training("adam", 1e-3, batch=64, epochs=12),
)
_IMPROVED_VGG = replace(
    _ORIGINAL_VGG,
    name="Improved_VQA2015_VGG",
    source="reference study, 'Word Embedding + LSTM', improved, VGG16",
    language=piece(WordLSTM, width=300, hidden=512, min_count=5),
    fusion=piece(Product, width=1024, activation="relu", normalise=True),
    classifier=piece(Funnel, (1000, 1000, 1000), activation="relu", batch_norm=True),
)
_GLOVE_VGG = replace(
    _GUSE_VGG,
    name="GloVe_VGG",
    source="reference study, 'VGG16 GloVe+LSTM'",
    language=piece(GloveBiLSTM, dim=50, hidden=512),
    training=Training("adamw", _START, batch=400, epochs=100, decay=0.95, decay_every=20),
    small=Training("adamw", _START, batch=64, epochs=10),
)
_QUESTION_ONLY = Recipe(
    name="Question_Only",
    source="VQA 2015, section 4, 'LSTM Q': no image; not an experiment of the study",
    vision=None,
    language=piece(WordLSTM, width=300, hidden=512, min_count=5, dropout=0.5),
    fusion=piece(OneSide),
    classifier=piece(Funnel, (1024,), dropout=0.5),
    training=Training("adam", 1e-3, batch=400, epochs=12, decay=0.9),
    small=Training("adam", 1e-3, batch=64, epochs=8),
)

# What the attention of a paper is put into, where a preset takes no more than that from it
_GRID = replace(
    _GUSE_RESNET,
    vision=piece(StoredGrid, "resnet50"),
    small=Training("adam", 1e-3, batch=64, epochs=8),
)


def _early(
    name: str,
    vision: Choice,
    fusion: Choice,
    classifier: Choice,
    dataset: str = "D",
    how: str = "",
    small: Training = _MODEL100_SMALL,
) -> Recipe:
    unstated = "optimiser and schedule are not stated, Model100's are used"
    source = f"reference study, experiment {name}{how}; {unstated}"
    pieces = vision, _SENTENCES, fusion, classifier
    return Recipe(name, source, *pieces, _MODEL100, small, dataset)


# Experiments -------------------------------------------------------------------------------------

_RECIPES = (
    Recipe(
        name="Model100",
        source="reference study, 'Model100': 4608 -> 1024 -> 512 -> answers",
        vision=piece(NetworkInLoop, "vgg16"),
        language=_SENTENCES,
        fusion=piece(Concatenation),
        classifier=piece(Funnel, (1024, 512), batch_norm=True, dropout=0.5),
        training=_MODEL100,
        small=_MODEL100_SMALL,
        dataset="B",
    ),
    _early("1.b", _RESNET18, piece(PlainProduct), piece(Funnel, (4096,)), "C"),
    _early("1.c", _RESNET18, piece(PlainProduct), piece(Funnel, (4096, 1024)), "C"),
    _early("1.e", _RESNET18, piece(Concatenation), _EARLY_FUNNEL),
    _early(
        "1.f", piece(NetworkInLoop, "resnet50", trained="all"), piece(Concatenation), _EARLY_FUNNEL,
        how=": all of the vision channel is trained", small=_FROZEN_OR_TRAINED_SMALL,
    ),
    _early(
        "1.fB", _RESNET50, piece(Concatenation), _EARLY_FUNNEL,
        how=": the vision channel is frozen", small=_FROZEN_OR_TRAINED_SMALL,
    ),
    _early(
        "1.fC", piece(NetworkInLoop, "resnet50", trained="last block"), piece(Concatenation),
        _EARLY_FUNNEL, how=": the last convolutional block is trained", small=_FROZEN_OR_TRAINED_SMALL,
    ),
    _GUSE_VGG,
    _GUSE_RESNET,
    _ORIGINAL_VGG,
    replace(
        _ORIGINAL_VGG, name="Original_VQA2015_ResNet", vision=_RESNET50,
        source="reference study, 'Word Embedding + LSTM', original, ResNet50",
    ),
    _IMPROVED_VGG,
    replace(
        _IMPROVED_VGG, name="Improved_VQA2015_ResNet", vision=_RESNET50,
        source="reference study, 'Word Embedding + LSTM', improved, ResNet50",
    ),
    _GLOVE_VGG,
    replace(
        _GLOVE_VGG, name="GloVe_ResNet", source="reference study, 'ResNet50 GloVe+LSTM'",
        vision=_RESNET50,
    ),
    _QUESTION_ONLY,
    replace(
        _QUESTION_ONLY, name="Bag_Of_Words",
        source="VQA 2015, section 4, 'BoW Q': no image; not an experiment of the study",
        language=piece(BagOfWords, width=300, first=3, first_width=100, min_count=5, dropout=0.5),
        small=Training("adam", 1e-3, batch=64, epochs=10),
    ),
    Recipe(
        name="Image_Only",
        source="VQA 2015, section 4, 'I': no question; not an experiment of the study",
        vision=_VGG16,
        language=None,
        fusion=piece(OneSide),
        classifier=piece(Funnel, (1000, 1000), dropout=0.5),
        training=Training("adam", 1e-3, batch=400, epochs=12),
        small=Training("adam", 1e-3, batch=64, epochs=6),
    ),
    Recipe(
        name="Deeper_LSTM_norm_I",
        source="VQA 2015, section 4, its best model; optimiser, dropout and schedule from its code: "
        "150,000 steps, about 300 epochs of VQA v1",
        vision=piece(StoredFeatures, "vgg19"),
        language=piece(WordLSTM, width=300, hidden=512, embedding_tanh=True, layers=2),
        fusion=piece(Product, width=1024, activation="tanh", dropout=0.5),
        classifier=piece(Funnel, ()),
        training=Training(
            "rmsprop", 3e-4, batch=500, epochs=300, step_decay=0.99997592083, clamp=10.0
        ),
        small=Training("rmsprop", 3e-4, batch=64, epochs=12, step_decay=0.99997592083, clamp=10.0),
    ),
    replace(
        _GUSE_RESNET, name="Image_First",
        source="reference study, its next steps: the image as the first state of the LSTM; the rest "
        "is GUSE_ResNet's",
        language=piece(GloveWords, dim=50), fusion=piece(ImageFirst, hidden=512, dropout=0.5),
    ),
    replace(
        _GUSE_RESNET, name="Attended_Words",
        source="reference study, its next steps: attention over the words; the rest is GUSE_ResNet's",
        language=piece(AttendedWords, dim=50, hidden=512),
    ),
    replace(
        _GUSE_RESNET, name="Word_Attention",
        source="reference study, its next steps: attention over the words, steered by the image; the "
        "rest is GUSE_ResNet's",
        language=piece(WordStates, dim=50, hidden=512),
        fusion=piece(WordAttention, width=1024, activation="relu", normalise=True, dropout=0.5),
    ),
    replace(
        _GRID, name="Stacked_Attention",
        source="Yang et al., 'Stacked Attention Networks', 2016, section 3.3; the rest is GUSE_ResNet's",
        fusion=piece(StackedAttention, width=512, hidden=512, layers=2, dropout=0.5),
    ),
    replace(
        _GRID, name="Top_Down_Attention",
        source="Anderson et al., 'Bottom-Up and Top-Down Attention', 2018, section 3.3, over a grid; the "
        "rest is GUSE_ResNet's",
        fusion=piece(TopDownAttention, width=512, dropout=0.5),
    ),
    replace(
        _GRID, name="Co_Attention",
        source="Yu et al., 'MCAN', 2019, section 3, over a grid, with two of its six layers; the rest is "
        "GUSE_ResNet's",
        language=piece(WordStates, dim=50, hidden=512),
        fusion=piece(CoAttention, width=512, heads=8, layers=2, dropout=0.1),
        training=Training("adam", 1e-4, batch=64, epochs=13),
        small=Training("adam", 1e-4, batch=64, epochs=8),
    ),
)  # fmt: skip
PRESETS = {recipe.name: recipe for recipe in _RECIPES}


# Published models by their kind: their papers' schedules, in parts that fit a GPU of 24 GB
_PUBLISHED = {
    "vilt": (pretrained.ViLT, "Kim et al., ViLT, 2021, section 4.2",
             Training("adamw", 1e-4, 256, 10, loss="binary cross entropy", accumulate=16)),
    "blip": (pretrained.BLIP, "Li et al., BLIP, 2022, appendix A",
             Training("adamw", 2e-5, 256, 10, accumulate=64)),
}  # fmt: skip


def find_preset(name: str) -> Recipe:
    """The preset of that name; case, "-" and "_" do not matter. "hf:NAME" is a published model.

    Raises:
        InputError: for an unknown one, naming the nearest, or a model that cannot be had.
    """
    if name.startswith(pretrained.HUB):
        return _published(name)
    for known, recipe in PRESETS.items():
        if fold(known) == fold(name):
            return recipe
    raise InputError(f"{name!r} is no preset; {nearest(name, PRESETS)}")


def _published(name: str) -> Recipe:
    kind = pretrained.config_of(name).model_type
    if kind not in _PUBLISHED:
        raise InputError(f"{name}: is a {kind}, and no {' or '.join(_PUBLISHED)} for questions")
    classifier, source, training = _PUBLISHED[kind]
    classes = (pretrained.Photographs, pretrained.WordPieces, pretrained.Together, classifier)
    small = replace(training, batch=32, epochs=5, accumulate=8)
    return Recipe(name, source, *(piece(c, pretrained=name) for c in classes), training, small)
