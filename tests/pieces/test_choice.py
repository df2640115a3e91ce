"""A choice is a class and keywords, the package's or a user's; a live model tells what it is."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from tests.pieces import own_pieces
from tests.pieces.own_pieces import OWN
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.bilinear import MFB, MLB
from vqa_helpers.pieces.choice import (
    SLOTS,
    Choice,
    choice_from,
    choice_of,
    find_class,
    piece,
    read_pieces,
)
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import Concatenation, Product
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.pieces.language import GloveBiLSTM, SentenceVectors, WordLSTM
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.sentences import MULTILINGUAL
from vqa_helpers.pieces.vision import NetworkInLoop, StoredFeatures
from vqa_helpers.training.inputs import build_model

WORDS = WordVocabulary(("<pad>", "<unknown>", "what", "color", "is", "the", "cat"))
QUESTIONS = ["What color is the cat?", "Is it?"]
SIZES = {
    "vision": {},
    "language": {"vocabulary": WORDS, "vocabulary_size": len(WORDS)},
    "fusion": {"image_dim": 5, "question_dim": 3},
    "classifier": {"in_dim": 6, "answers": 4},
}


@pytest.fixture(params=["imported", "read"])
def own(request):
    """The classes of `own_pieces.py`, imported or read as a file that the user names."""
    if request.param == "read":
        return read_pieces(Path(own_pieces.__file__))
    return {cls.__name__: cls for classes in OWN.values() for cls in classes}


def build(recipe: dict[str, Choice | None], seed: int = 0) -> VQAModel:
    torch.manual_seed(seed)
    return build_model(recipe, WORDS, AnswerVocabulary(("a", "b", "c", "d")), {})


def answer(model: VQAModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return model.eval()(pixels, model.encode(QUESTIONS, WORDS))


# ---------------------------------------------------------------- classes of users


@pytest.mark.parametrize("style", [0, 1], ids=["plain modules", "pieces"])
def test_own_classes_are_built_recorded_and_read_back_where_they_are_named(own, style):
    names = {slot: OWN[slot][style].__name__ for slot in SLOTS}
    model = build({slot: Choice(own[name]) for slot, name in names.items()})
    record = json.loads(json.dumps({s: c.record() for s, c in model.choices().items()}))
    assert {slot: record[slot]["class"] for slot in SLOTS} == names
    choices = {slot: choice_from(slot, record[slot], own, "run/config.json") for slot in SLOTS}
    again = build(choices, seed=1)
    assert structure_of(again) == structure_of(model)
    again.load_saved_state(model.saved_state())
    assert torch.equal(answer(again), answer(model))
    for slot in SLOTS:
        message = rf"^run/config.json: its {slot} is the class {names[slot]}, .*--pieces FILE.py$"
        with pytest.raises(InputError, match=message):
            choice_from(slot, record[slot], {}, "run/config.json")


def test_an_own_class_is_found_before_the_packages():
    class Product(Concatenation):
        pass

    assert find_class("fusion", "Product", {"Product": Product}) is Product
    with pytest.raises(InputError, match="'Prodct' is no fusion; did you mean Product.*--pieces"):
        find_class("fusion", "Prodct", {})
    # A run that was trained with it is never read with the package's.
    record = Choice(Product).record()
    assert choice_from("fusion", record, {"Product": Product}, "c").made_by is Product
    with pytest.raises(InputError, match="the class Product, which is not here"):
        choice_from("fusion", record, {}, "c")
    record = Choice(nn.Linear).record()  # nor a library's
    assert choice_from("classifier", record, {"Linear": nn.Linear}, "c").made_by is nn.Linear


class Unkept(nn.Module):
    """A plain module that does not keep its keywords, one named like a size of another slot."""

    def __init__(self, image_dim, question_dim, factor=1, answers=5):
        super().__init__()
        self.out_dim = np.int64(factor * (image_dim + question_dim))


class Halved(nn.Module):
    def __init__(self, image_dim, question_dim):
        super().__init__()
        self.out_dim = 7 / 2


class Lazy(nn.Module):
    def __init__(self, image_dim, question_dim):
        super().__init__()
        self.layer, self.out_dim = nn.LazyLinear(4), 4


class Remembers(nn.Module):
    def __init__(self, image_dim, question_dim):
        super().__init__()
        self.out_dim = image_dim

    def get_extra_state(self):
        return {"seen": 0}


def test_what_a_plain_module_was_built_with_is_known():
    live = Choice(Unkept, {"factor": 3}).make("fusion", SIZES["fusion"], {})
    assert live.out_dim == 24 and choice_of(live).keywords["factor"] == 3
    assert piece(Unkept, 2, 7).keywords == {"factor": 2, "answers": 7}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(nn.Bilinear), "'out_features' has no value; a fusion is given image_dim or question"),
        (Choice(Lazy), "Lazy: a lazy layer has no width yet; give its width"),
        (Choice(Remembers), "Remembers: keeps state that is no tensor"),
        (Choice(nn.Linear), "Linear: has no `out_dim`; set it to the width"),
        (Choice(Halved), "Halved: its `out_dim` is 3.5, no whole number; set it to the width"),
        (Choice(Product, {"width": "wide"}), "Product: cannot be made"),
        (Choice(Product, {"activation": "gelu"}), "Product: cannot be made .KeyError"),
        (Choice(Product, {"width": 0}), "Product: a layer would have a width of 0"),
        (Choice(MFB, {"factors": 0}), "MFB: a layer would have a width of 0"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_built_is_one_line(choice, message):
    with pytest.raises(InputError, match=message) as caught:
        choice.make("fusion", SIZES["fusion"], {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def broken(:\n", r"pieces.py: line 1: SyntaxError"),
        ("\n\nraise RuntimeError('a\\nb')\n", r"pieces.py: line 3: RuntimeError: a b$"),
        ("import sys\nsys.exit(3)\n", r"pieces.py: line 2: SystemExit: 3$"),
        ("from torch.nn import Linear\n", "defines no class derived from torch.nn.Module"),
        (None, "there is no such file of pieces; check --pieces"),
    ],
)
def test_a_file_without_pieces_is_one_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    path = Path("pieces.py")
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_pieces(path)


# ---------------------------------------------------------------- choosing


def test_positions_fill_keywords_and_sizes_are_none_of_them():
    assert piece(Funnel, (3, 2), dropout=0.1) == Choice(Funnel, {"hidden": (3, 2), "dropout": 0.1})
    defaults = {"weights": "random", "size_px": 48, "encoder": "no keyword of this class"}
    live = piece(StoredFeatures, "resnet18").with_(size_px=64).make("vision", {}, defaults)
    assert (live.weights, live.size_px) == ("random", 64)  # the data's fill what is not chosen
    for wrong, near in (("widht", "did you mean width"), ("image_dim", ""), ("xyz", "")):
        with pytest.raises(InputError, match=f"no keyword '{wrong}'; {near}.*there are width, act"):
            piece(Product, **{wrong: 3})


def test_a_live_piece_says_what_it_is_now():
    fusion = Product(5, 3, 6, normalise=False)
    expected = {"width": 6, "activation": "relu", "normalise": False, "dropout": 0.0}
    assert choice_of(fusion) == Choice(Product, expected)
    fusion.normalise = True
    assert choice_of(fusion).keywords == expected | {"normalise": True}
    assert choice_of(copy.deepcopy(fusion)) == choice_of(fusion)
    assert choice_of(Funnel(6, (5, 4), 3)).keywords["hidden"] == [5, 4]
    # What is no plain data, such as the path of a cache, is no part of a record.
    record = choice_of(SentenceVectors(MULTILINGUAL)).record()
    assert record == {"class": "SentenceVectors", "keywords": {"encoder": MULTILINGUAL}}


# ---------------------------------------------------------------- structure


def model() -> VQAModel:
    torch.manual_seed(0)
    classifier = Funnel(8, (5,), 4, dropout=0.5)
    return VQAModel(None, WordLSTM(WORDS, 4, 3), Product(5, 6, 8, dropout=0.2), classifier)


CHANGES = {
    "a module inside": lambda live: setattr(live.classifier.layers, "1", nn.Tanh()),
    "a module beside": lambda live: live.classifier.layers.append(nn.Identity()),
    "a dropout": lambda live: setattr(live.fusion.dropout, "p", 0.3),
    "a function": lambda live: setattr(live.fusion, "last", torch.relu),
    "another function": lambda live: setattr(live.fusion, "last", torch.tanh),
    "a function of the user": lambda live: setattr(live.fusion, "last", lambda vector: 2 * vector),
    "a number inside": lambda live: setattr(live.fusion, "numbers", {"scale": [np.float32(2)]}),
    "a flag": lambda live: setattr(live.fusion, "normalise", True),
    "a shape": lambda live: setattr(live.classifier.layers, "3", nn.Linear(5, 6)),
    "a class of the user": lambda live: setattr(live.fusion, "dropout", own_pieces.MeanColour()),
    "a buffer": lambda live: live.fusion.register_buffer("more", torch.zeros(2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_structure_tells_models_apart_and_not_what_they_learnt(change):
    live = model()
    nn.init.ones_(live.classifier.layers[0].weight)
    live.fusion.source = "another place"  # where frozen parts come from may move
    live.fusion.last = torch.relu if change == "another function" else None
    before = structure_of(live)
    assert structure_of(live.eval()) == structure_of(copy.deepcopy(live)) == before
    CHANGES[change](live)
    assert structure_of(live) != before


MINE = """
from functools import cached_property
from torch import nn
SHIFT = {"by": [5]}
def moved(vector, by=SHIFT["by"][0]):
    return vector + by
def powers(exponent):
    return lambda vector: vector**exponent
squared = powers(4)
class Mine(nn.Module):
    factor = 2
    def __init__(self, image_dim, question_dim):
        super().__init__()
        self.out_dim = image_dim
    def scale(self, vector):
        return self.factor * vector
    @staticmethod
    def turned(image):
        return -image  # upside down
    @cached_property
    def doubled(self):
        return moved(squared(self.bias), SHIFT["by"]) * 6
"""


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("factor = 2", "factor = 3"), ("self.factor * vector", "1 + vector"), ("-image", "+image"),
        ("[5]", "[7]"), ("vector + by", "vector - by"), ("powers(4)", "powers(3)"), ("* 6", "* 7"),
    ],
)  # fmt: skip
def test_the_source_of_an_own_class_is_part_of_it(tmp_path, part, other):
    """A method, and what its code names: helpers, constants, closures; comments are none of it."""
    found = []
    same = MINE.replace("  # upside down", "\n        # another") + "\nscale = bias = UNUSED = 1\n"
    for name, text in (("a", MINE), ("b", same), ("c", MINE.replace(part, other))):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        choice = Choice(read_pieces(tmp_path / f"{name}.py")["Mine"])
        live = choice.make("fusion", SIZES["fusion"], {})
        found.append((structure_of(live), choice.record()["code"]))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0] and found[0][1] != found[2][1]


# ---------------------------------------------------------------- records that are not to be trusted


@pytest.mark.parametrize(
    "record",
    [
        None, 3, "Product", [], {}, {"class": "Product"}, {"keywords": {}}, {"class": [], "keywords": {}},
        {"class": "Product", "keywords": 3}, {"class": "Product", "keywords": [1]},
        {"class": "os.system", "keywords": {}}, {"class": "torch.nn.Linear", "keywords": {}},
        {"class": "InputError", "keywords": {}}, {"class": "Piece", "keywords": {}},
        {"class": "Funnel", "keywords": {}}, {"class": "Product", "keywords": {"image_dim": 3}},
        {"class": "Product", "keywords": {"depth": 3}}, {"class": "evil", "keywords": {}, "code": "x"},
        {"class": "Product", "keywords": {}, "code": "x"},
    ],
)  # fmt: skip
def test_a_record_that_is_no_fusion_is_one_line_and_runs_nothing(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil.py").write_text("open('ran', 'w')\nfrom torch.nn import Module as evil\n")
    with pytest.raises(InputError) as caught:
        choice_from("fusion", record, {}, "config.json")
    assert "\n" not in str(caught.value) and not (tmp_path / "ran").exists()


# ---------------------------------------------------------------- words of the command line


class Typed(nn.Module):
    def __init__(
        self, mode: Literal["relu", "tanh", 2] | None = "relu", rates: list[float] = (),
        sizes: tuple[int, ...] = (), words: Sequence[str] = (), made: Callable[[int], int] = abs,
        free=None,
    ):  # fmt: skip
        pass


@pytest.mark.parametrize(
    ("made_by", "name", "text", "value"),
    [
        (Product, "width", "512", 512), (Product, "normalise", "true", True), (Product, "dropout", "3e-4", 3e-4),
        (Funnel, "hidden", "[512,256]", (512, 256)), (NetworkInLoop, "trained", "last block", "last block"),
        (Funnel, "hidden", "[]", ()), (Funnel, "hidden", "7", (7,)), (GloveBiLSTM, "vectors", "none", None),
        (GloveBiLSTM, "vectors", "a/b.txt", Path("a/b.txt")),
        (own_pieces.Gated, "width", "3", 3), (own_pieces.Summed, "hidden", "[3]", (3,)),
        (Typed, "mode", "Tanh", "tanh"), (Typed, "mode", "2", 2), (Typed, "rates", "[0.5, 1]", [0.5, 1.0]),
        (Typed, "sizes", "(3,)", (3,)), (Typed, "words", "[a, b]", ("a", "b")), (Typed, "free", "a b", "a b"),
        (Typed, "free", "none", None), (Typed, "free", "true", True), (Typed, "free", "3", 3),
        (Typed, "free", "3e-4", 3e-4), (own_pieces.OneLayer, "bias", "false", False), (own_pieces.MeanColour, "scale", "2", 2.0),
    ],
)  # fmt: skip
def test_a_keyword_is_read_by_its_annotation_or_its_default(made_by, name, text, value):
    read = Choice(made_by).read(name, text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("made_by", "name", "text", "message"),
    [
        (Product, "width", "2.5", "Product.width=2.5: use a whole number"), (Product, "width", "none", "whole"),
        (MLB, "activation", "gelu", "MLB.activation=gelu: use one of relu, tanh"),
        (Product, "dropout", "wide", "use a number"), (Product, "normalise", "yes", "use true or false"),
        (Funnel, "hidden", "[a]", r"use whole numbers such as \[512,256\]"),
        (Typed, "mode", "cos", "Typed.mode=cos: use one of relu, tanh, 2 or none"),
        (Typed, "rates", "[a]", r"use numbers such as \[0.5,0.1\]"),
        (Typed, "made", "nn.Linear", "use another way: --set cannot write Callable"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_with_what_is_wanted(made_by, name, text, message):
    with pytest.raises(InputError, match=message):
        Choice(made_by).read(name, text)
