"""Records of pieces: they travel as JSON and come back the same, or are refused."""

import json

import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.model.config import (
    LOSSES,
    BagOfWords,
    Classifier,
    Glove,
    Images,
    Product,
    Words,
    read_pieces,
)
from vqa_helpers.model.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name):
    preset = PRESETS[name]
    travelled = json.loads(json.dumps(preset.pieces()))
    assert read_pieces(travelled, "config.json") == preset.records()


def test_fields_that_are_not_the_defaults_survive():
    records = {
        "images": Images("resnet18", in_loop=True, trained="last block"),
        "questions": Words(7, 5, 2, True, True, True, 0.25),
        "fusion": Product(None, "tanh", True, 0.1),
        "classifier": Classifier((3, 2, 1), "tanh", True, 0.3),
    }
    preset = PRESETS["1.b"]
    changed = type(preset)(**{**vars(preset), **records})
    assert read_pieces(json.loads(json.dumps(changed.pieces())), "here") == records


def test_a_bag_of_words_survives():
    record = BagOfWords(7, 2, 5, 3, 0.25)
    changed = type(PRESETS["Image_Only"])(**{**vars(PRESETS["Bag_Of_Words"]), "questions": record})
    assert read_pieces(json.loads(json.dumps(changed.pieces())), "here")["questions"] == record


@pytest.mark.parametrize("loss", LOSSES)
def test_another_loss_is_told_by_the_name(loss):
    preset = PRESETS["Question_Only"].with_loss(loss)
    assert preset.loss == loss
    if loss == "cross entropy":
        assert preset is PRESETS["Question_Only"]  # a run keeps its name
    else:
        assert preset.name == f"Question_Only-{loss.replace(' ', '-')}"
        assert preset.with_loss(loss) is preset
        assert preset.records() == PRESETS["Question_Only"].records()


@pytest.mark.parametrize("loss", ["", "hinge", "cross-entropy", "Cross entropy", None])
def test_a_loss_that_is_none_is_refused(loss):
    with pytest.raises(InputError, match="use one of cross entropy, weighted"):
        PRESETS["Question_Only"].with_loss(loss)


@pytest.mark.parametrize(
    "damage",
    [
        lambda pieces: pieces.pop("fusion"),
        lambda pieces: pieces["questions"].update(piece="Transformer"),
        lambda pieces: pieces["questions"].update(heads=8),
        lambda pieces: pieces["questions"].pop("piece"),
        lambda pieces: pieces.update(classifier=3),
        lambda pieces: pieces.update(classifier="Funnel"),
        lambda pieces: pieces["classifier"].pop("hidden"),
    ],
)
def test_an_unknown_piece_is_refused_with_its_place(damage):
    pieces = PRESETS["GUSE_VGG"].pieces()
    damage(pieces)
    with pytest.raises(InputError, match=r"runs/x/config\.json: piece '\w+' is not one") as error:
        read_pieces(pieces, "runs/x/config.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pieces", [[], None, "pieces", 3])
def test_pieces_that_are_no_mapping_are_refused(pieces):
    with pytest.raises(InputError, match="config.json"):
        read_pieces(pieces, "config.json")


def test_a_schedule_is_found_by_its_name():
    preset = PRESETS["GloVe_VGG"]
    assert preset.schedule_named("study") is preset.schedule
    assert preset.schedule_named("small") is preset.small


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        Glove().dim = 100
