"""Recipes changed from outside: every slot, keyword and training number; names say what differs."""

from dataclasses import replace

import pytest

from tests.pieces.own_pieces import Gated, MeanColour
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import Choice, choice_of, piece
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import Concatenation, Product
from vqa_helpers.pieces.language import SentenceVectors, WordLSTM
from vqa_helpers.pieces.vision import NetworkInLoop, StoredFeatures
from vqa_helpers.presets import PRESETS
from vqa_helpers.recipe import (
    differences,
    folder_name,
    named,
    read_settings,
    spell,
    training_differences,
)

GUSE = PRESETS["GUSE_VGG"]


# ---------------------------------------------------------------- swapping


@pytest.mark.parametrize(
    ("slot", "wanted", "choice", "shown"),
    [
        ("vision", "resnet50", piece(StoredFeatures, "resnet50"), "vision=resnet50"),
        ("vision", "NetworkInLoop", piece(NetworkInLoop, "vgg16"), "vision=NetworkInLoop"),
        ("language", "WordLSTM", Choice(WordLSTM), "language=WordLSTM"),
        ("fusion", "Concatenation", Choice(Concatenation), "fusion=Concatenation"),
        ("fusion", piece(Product, width=8), piece(Product, width=8),
         "fusion.dropout=0+fusion.normalise=False+fusion.width=8"),
        ("fusion", "Gated", Choice(Gated), "fusion=Gated"),
        ("vision", "MeanColour", Choice(MeanColour), "vision=MeanColour"),
        ("classifier", Choice(Funnel, {"hidden": ()}), Choice(Funnel, {"hidden": ()}),
         "classifier.batch_norm=False+classifier.dropout=0+classifier.hidden=none"),
    ],
)  # fmt: skip
def test_every_slot_is_swapped_by_name_or_choice(slot, wanted, choice, shown):
    own = {"Gated": Gated, "MeanColour": MeanColour}
    recipe = GUSE.with_(**{slot: wanted}, own=own)
    assert getattr(recipe, slot) == choice
    assert recipe.name == f"GUSE_VGG+{shown}" and recipe.preset is GUSE
    same = {s: c for s, c in recipe.choices.items() if s != slot}
    assert same == {s: c for s, c in GUSE.choices.items() if s != slot}
    assert GUSE.with_(fusion="Product", classifier="Funnel") == replace(GUSE, preset=GUSE)
    wider = GUSE.with_(fusion="Gated", own=own, set={"fusion.width": "9"})  # of the new piece
    assert wider.fusion == Choice(Gated, {"width": 9})


@pytest.mark.parametrize(
    ("slot", "wanted", "message"),
    [
        ("vision", "resnet181", "is no vision; did you mean resnet18 or .*StoredFeatures"),
        ("language", "word-lstm", "did you mean WordLSTM"),
        ("fusion", "Gated", "'Gated' is no fusion; there are .*--pieces FILE.py"),
        ("classifier", "MLP", "is no classifier; there are Funnel"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(slot, wanted, message):
    with pytest.raises(InputError, match=message):
        GUSE.with_(**{slot: wanted})


def test_a_network_keeps_where_it_runs():
    block = piece(NetworkInLoop, "resnet18", trained="last block")
    assert PRESETS["1.fC"].with_(vision="resnet18").vision == block
    added = PRESETS["Question_Only"].with_(vision="resnet18", fusion="Product")
    assert added.vision == piece(StoredFeatures, "resnet18")
    shown = "fusion=Product+vision=StoredFeatures+vision.network=resnet18"
    assert added.name == f"Question_Only+{shown}"
    looped = GUSE.with_(vision=piece(NetworkInLoop, "resnet18"))
    assert looped.name == "GUSE_VGG+vision=NetworkInLoop+vision.network=resnet18"


# ---------------------------------------------------------------- setting


@pytest.mark.parametrize("as_text", [True, False])
def test_keywords_and_training_numbers_are_set_from_text_or_values(as_text):
    values = {"fusion.width": 512, "classifier.hidden": (64, 32), "fusion.normalise": False,
              "learning_rate": 3e-4, "batch": 8, "vision_rate": 1e-5, "flip": True,
              "loss": "soft cross entropy"}  # fmt: skip
    texts = {key: str(value) for key, value in values.items()} | {"classifier.hidden": "[64,32]"}
    recipe = GUSE.with_(set=texts if as_text else values)
    assert recipe.fusion == GUSE.fusion.with_(width=512, normalise=False)
    assert recipe.classifier == GUSE.classifier.with_(hidden=(64, 32))
    changes = {key: value for key, value in values.items() if "." not in key}
    assert recipe.training == replace(GUSE.training, **changes)
    assert recipe.small == replace(GUSE.small, **changes)
    assert recipe.name == (
        "GUSE_VGG+batch=8+classifier.hidden=64-32+flip=True+fusion.normalise=False"
        "+fusion.width=512+learning_rate=0.0003+loss=soft-cross-entropy+vision_rate=1e-05"
    )
    assert recipe.with_(set={"vision_rate": "none"}).training.vision_rate is None


def test_changes_add_up_and_what_is_as_before_shows_nothing():
    same = {"learning_rate": GUSE.training.learning_rate, "fusion.width": "1024",
            "fusion.dropout": 0.5, "classifier.hidden": [1024], "decay": 1.0}  # fmt: skip
    assert GUSE.with_().name == GUSE.with_(vision="vgg16").name == "GUSE_VGG"
    assert GUSE.with_(set={**same, "decay": "0.95"}).name == "GUSE_VGG+decay=0.95"  # of the small
    once = GUSE.with_(fusion="Concatenation").with_(set={"accumulate": 2})
    assert once.name == "GUSE_VGG+accumulate=2+fusion=Concatenation" and once.preset is GUSE
    back = once.with_(fusion=GUSE.fusion, set={"accumulate": 1})
    assert back == GUSE and back.name == "GUSE_VGG"
    assert PRESETS["Model100"].with_(set={"learning_rate": "0.001"}).name == "Model100"


@pytest.mark.parametrize(("which", "other"), [("study", "training"), ("small", "small")])
def test_a_schedule_is_taken_whatever_the_size_of_the_data(which, other):
    recipe = GUSE.with_(set={"schedule": which})
    assert recipe.schedule(10) is recipe.schedule(10**6) is getattr(GUSE, other)
    more = GUSE.with_(set={"schedule": which, "epochs": "7"})
    assert more.schedule(10) == replace(getattr(GUSE, other), epochs=7)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"learning-rte": 1}, "'learning-rte' cannot be set; did you mean learning_rate[?]"),
        ({"fusion.widht": 5}, "Product has no keyword 'widht'; did you mean width[?]"),
        ({"fusion.image_dim": 5}, "has no keyword 'image_dim'"),
        ({"head.width": 5}, "'head.width' cannot be set; .*schedule, optimiser"),
        ({"": 5}, "cannot be set"),
        ({"fusion.width": "wide"}, "Product.width=wide: use a whole number"),
        ({"batch": 2.5}, "batch=2.5: use a whole number"),
        ({"learning_rate": None}, "learning_rate=None: use a number"),
        ({"flip": "maybe"}, "flip=maybe: use true or false"),
        ({"schedule": "fast"}, "schedule=fast: use study or small"),
        ({"loss": "hinge"}, "loss 'hinge' is none of them; there are cross entropy, weighted"),
        ({"optimiser": "sgd"}, "optimiser 'sgd' is none of them; there are adam, adamw"),
        ({"precision": "half"}, "there are float32, bfloat16"),
        ({"learning_rate": "nan"}, "learning_rate nan: use a number above 0"),
        ({"epochs": -1}, "epochs -1: use a number above 0"),
        ({"vision_rate": -1.0}, "vision_rate -1.0: use a number above 0, or none"),
        ({"clamp": 0.0}, "clamp 0.0: use a number above 0, or none"),
        ({"step_decay": 0.0}, "step_decay 0.0: use a number above 0"),
        ({"crop": 1.0}, "crop 1.0, jitter 0.0: use 0 to 0.9"),
    ],
)
def test_settings_that_cannot_be_are_one_line(setting, message):
    with pytest.raises(InputError, match=message) as caught:
        GUSE.with_(set=setting)
    assert "\n" not in str(caught.value)


def test_a_slot_that_is_empty_has_nothing_to_set():
    with pytest.raises(InputError, match="Question_Only has no vision; choose one with --vision"):
        PRESETS["Question_Only"].with_(set={"vision.network": "vgg16"})
    assert "vision.network" not in PRESETS["Question_Only"].settable()
    assert {"schedule", "learning_rate", "fusion.width", "vision.network"} < set(GUSE.settable())


# ---------------------------------------------------------------- names


def test_differences_are_those_of_live_pieces_from_a_preset():
    usual = {"vision": {"weights": "random", "size_px": 32}}
    vision = choice_of(StoredFeatures("vgg16", "random", 32))
    choices = {**GUSE.choices, "vision": vision}
    assert differences(GUSE, choices, usual) == {}  # the data decide the weights
    assert differences(GUSE, choices) == {"vision.size_px": "32", "vision.weights": "random"}
    larger = {**choices, "vision": choice_of(StoredFeatures("resnet18", "random", 64))}
    assert differences(GUSE, larger, usual) == {"vision": "resnet18", "vision.size_px": "64"}
    fusion = Product(4096, 512, 1024, "relu", True, 0.5)
    assert differences(GUSE, {**GUSE.choices, "fusion": choice_of(fusion)}) == {}
    fusion.normalise = False
    changed = differences(GUSE, {**GUSE.choices, "fusion": choice_of(fusion)})
    assert changed == {"fusion.normalise": "False"}
    blind = {**GUSE.choices, "vision": None, "language": piece(SentenceVectors)}
    assert differences(GUSE, blind) == {"vision": "none"}


def test_a_schedule_differs_by_its_numbers_from_the_one_beside_it():
    usual = GUSE.training, GUSE.small
    for schedule in usual:
        assert training_differences(schedule, usual) == {}
        assert training_differences(replace(schedule, batch=7), usual) == {"batch": "7"}


@pytest.mark.parametrize(
    ("value", "spelt"),
    [((512, 256), "512-256"), ((), "none"), (None, "None"), (3e-4, "0.0003"), (0.0, "0"), (1.23456789e-5, "1.23456789e-05"), (True, "True"),
     ("last block", "last-block"), ("../a/b c.pth", "..-a-b-c.pth"), ("x\n:*?", "x-")],
)  # fmt: skip
def test_values_are_spelt_fit_for_a_folder(value, spelt):
    assert spell(value) == spelt
    assert named("P", {"b": spelt, "a": "1"}) == f"P+a=1+b={spelt}"


def test_a_folder_is_named_shortly_and_without_signs_of_a_path():
    assert folder_name("1.e+fusion.width=512") == "1.e+fusion.width=512"
    assert folder_name("hf:someone/model+epochs=0") == "hf-someone-model+epochs=0"
    long = [folder_name("x" * 200 + end) for end in "ab"]
    assert long[0] != long[1] and max(map(len, long)) < 140


# ---------------------------------------------------------------- words of the command line


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], [{}]), (["a=1"], [{"a": "1"}]),
        (["a=1,2", "b=x"], [{"a": "1", "b": "x"}, {"a": "2", "b": "x"}]),
        (["a=1,2", "b=3,4"], [{"a": a, "b": b} for a in "12" for b in "34"]),
        (["h=[512,256],[64]"], [{"h": "[512,256]"}, {"h": "[64]"}]),
        (["h=(512,256),(64,),7"], [{"h": "(512,256)"}, {"h": "(64,)"}, {"h": "7"}]),
        (["h=[512,256]"], [{"h": "[512,256]"}]), (["path=a=b"], [{"path": "a=b"}]),
    ],
)  # fmt: skip
def test_settings_with_several_values_are_a_sweep(words, settings):
    assert read_settings(words) == settings


@pytest.mark.parametrize("word", ["a", "=1", "a=", "", "="])
def test_a_word_that_sets_nothing_is_refused(word):
    with pytest.raises(InputError, match="use NAME=VALUE, such as learning_rate=3e-4"):
        read_settings([word])


def test_a_setting_given_twice_is_refused():
    with pytest.raises(InputError, match="^a=2: a is given twice; give several values as a=A,B$"):
        read_settings(["a=1", "b=3", "a=2"])
