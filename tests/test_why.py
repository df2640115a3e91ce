"""What counted is found in models of which it is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from vqa_helpers.answering import Answerer
from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.fusion import Concatenation
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.why import MOST_WORDS, PLACES, _nudged, changes, reasons

SIDE = 8 * 8


class Corner(nn.Module):
    """Sees the red of the top left corner alone."""

    out_dim = 1

    def forward(self, image):
        return image[:, :1, : SIDE // 8, : SIDE // 8].float().mean(dim=(1, 2, 3))[:, None] / 255


class CountsDogs(nn.Module):
    """Reads how often a question says dog."""

    out_dim = 1

    def encode(self, questions):
        return torch.tensor([[float(text.lower().count("dog"))] for text in questions])

    def forward(self, counts):
        return counts


class Both(nn.Module):
    """The answers "yes" and "no" from both numbers."""

    def forward(self, joined):
        score = joined[:, 0] * 2 + joined[:, 1] * 3
        return torch.stack([score, -score], dim=1)


def of(vision, fusion) -> Answerer:
    model = VQAModel(vision, CountsDogs(), fusion, Both()).eval()
    config = {"loss": "cross entropy", "image_size_px": SIDE}
    return Answerer(model, AnswerVocabulary(("yes", "no")), WordVocabulary(()), config)


@pytest.fixture
def answerer():
    return of(Corner(), Concatenation(1, 1))


@pytest.fixture
def blind():
    blind = of(None, nn.Identity())
    blind.model.fusion.forward = lambda image, question: torch.cat([question * 0, question], dim=1)
    return blind


def held_out(questions: list[str], image_ids: list[int], **images) -> Dataset:
    """A dataset of which the validation split alone is there; images are named `i0`, `i1`, …"""
    dataset = Dataset.__new__(Dataset)
    columns = {"question_id": range(len(questions)), "image_id": image_ids, "question": questions}
    dataset.splits = {"validation": pd.DataFrame(columns)}
    dataset.images = {int(name[1:]): path for name, path in images.items()}
    return dataset


@pytest.fixture(scope="module")
def photograph():
    """Red in the corner that counts, black elsewhere."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[: SIDE // 8, : SIDE // 8, 0] = 255
    return Image.fromarray(pixels)


def test_the_place_and_the_word_that_count_are_found(answerer, photograph):
    found = reasons(answerer, photograph, "Is the dog old?")
    assert found.answer == "yes"
    sure = 1 / (1 + np.exp(-2 * (2 + 3)))
    assert found.probability == pytest.approx(sure, abs=1e-6)
    # Without the dog 2 is left of the score, with the corner in its mean colour 3 and a 64th of 2.
    without = 1 / (1 + np.exp(-2 * 2))
    assert found.words == ["Is", "the", "dog", "old?"]
    assert found.word_drops == pytest.approx([0, 0, sure - without, 0], abs=1e-6)
    covered = 1 / (1 + np.exp(-2 * (3 + 2 * round(255 / 64) / 255)))
    expected = np.zeros((PLACES, PLACES))
    expected[0, 0] = sure - covered
    assert found.place_drops == pytest.approx(expected, abs=1e-4)
    heat = found.heat()
    assert heat.shape == (SIDE, SIDE, 3) and heat.dtype == np.uint8
    assert heat[: SIDE // 8, : SIDE // 8].mean() > 4 * heat[SIDE // 2 :, SIDE // 2 :].mean()
    assert len(found.figure().axes) == 3


def test_one_word_and_no_photograph_leave_nothing_to_compare(answerer, blind, photograph):
    assert reasons(answerer, photograph, "dogs?").words == []
    found = reasons(blind, None, "a dog")
    assert found.place_drops is None and len(found.figure().axes) == 1
    assert found.word_drops[0] == 0 < found.word_drops[1]
    low, high = found.figure().axes[0].get_xlim()
    assert low <= -1 and high >= 1  # what is next to nothing does not fill the panel
    figure = reasons(blind, None, "dogs?").figure()  # nothing was taken away: the answer alone
    assert figure._suptitle.get_text().startswith("dogs?\n") and not figure.axes[0].axison


def test_long_questions_stay_on_the_figure(answerer, photograph):
    question = " ".join(["w" * 90, "is", "the", "dog", *[f"so{n}" for n in range(90)]])
    found = reasons(answerer, photograph, question)
    figure = found.figure()
    figure.canvas.draw()
    shown = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert len(shown) == MOST_WORDS and "dog" in shown
    assert figure.axes[-1].get_title(loc="left") == "the words that counted most"
    for text in [figure._suptitle, *figure.axes[-1].get_yticklabels()]:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert figure.axes[-1].get_position().width > 0.2


def test_words_of_scripts_without_spaces(answerer, photograph):
    assert reasons(answerer, photograph, "什么颜色?").words == ["什", "么", "颜", "色"]


def test_changes_are_counted_over_a_split(answerer, photograph, tmp_path):
    pytest.importorskip("textblob", reason="the extra why is not installed")
    black = tmp_path / "black.png"
    Image.new("RGB", (SIDE, SIDE)).save(black)
    photograph.save(tmp_path / "red.png")
    answerer.model.classifier.forward = lambda joined: torch.stack(
        [joined[:, 0] + joined[:, 1] - 1.5, 1.5 - joined[:, 0] - joined[:, 1]], dim=1
    )  # yes for a dog and red alone
    questions = ["Is the dog old?", "Is this?"] * 20
    dataset = held_out(questions, [0, 0, 1, 1] * 10, i0=tmp_path / "red.png", i1=black)
    told = changes(answerer, dataset, "validation").set_index("changed")
    # "Is this?" has none; half of the dogs were red.
    assert told.loc["nouns"].tolist() == [20, 50.0]
    exchanged = told.loc["photograph"]
    assert 10 < exchanged["questions"] < 30 and 0 < exchanged["other answer"] < 100
    # Red is red when it is brighter, and the corner is cut by a thirtieth alone.
    assert told.loc["light and frame"].tolist() == [40, 0.0]
    assert told.loc["wording"]["questions"] == 0 and np.isnan(told.loc["wording"]["other answer"])


def test_words_that_ask_the_same_are_counted_alone(answerer, photograph, tmp_path, monkeypatch):
    monkeypatch.setattr("vqa_helpers.why._tagger", lambda: None)
    photograph.save(tmp_path / "red.png")
    dogs = ["How many dogs?", "what's a dog", "Is there a dog?", "Whatever dog?", "is therefore?"]
    dataset = held_out(dogs, [0] * 5, i0=tmp_path / "red.png")
    read, language = [], answerer.model.language
    encode = language.encode
    language.encode = lambda texts: read.append(texts) or encode(texts)
    told = changes(answerer, dataset, "validation").set_index("changed")
    assert read[-1] == ["what number of dogs?", "what is a dog", "do you see a dog?"]
    assert told.loc["wording"].tolist() == [3, 0.0]
    assert told.loc["photograph"]["questions"] == 0, "there is no other photograph"


def test_a_photograph_that_is_nudged_is_brighter_and_nearer(tmp_path):
    pixels = np.full((60, 60, 3), 100, np.uint8)
    pixels[:2] = 250  # the edge that is cut off
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    nudged = np.asarray(_nudged(tmp_path / "grey.png", 60))
    assert nudged.shape == (60, 60, 3) and set(nudged.ravel()) == {110}
    assert not np.asarray(_nudged(tmp_path / "none.png", 60)).any()


def test_where_nothing_is_taken_away_no_question_is_counted(blind, monkeypatch):
    monkeypatch.setattr("vqa_helpers.why._tagger", lambda: None)
    told = changes(blind, held_out(["a dog", "so?"], [1, 2]), "validation")
    assert told.columns.tolist() == ["changed", "questions", "other answer"]
    assert told["changed"].tolist() == ["wording"] and told["questions"].tolist() == [0]


def test_what_cannot_be_asked_is_one_line(answerer, tmp_path):
    with pytest.raises(InputError, match=r"none\.png: the file is missing"):
        reasons(answerer, tmp_path / "none.png", "Is it a dog?")
