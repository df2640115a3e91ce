"""A dataset becomes tensors: what "auto" means, vocabularies from train alone, targets and soft
scores, models built for it, and clear refusals."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.builders import write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import Annotators
from vqa_helpers.pieces.classifier import vectors_of
from vqa_helpers.pieces.fusion import Concatenation, Product
from vqa_helpers.pieces.language import SentenceVectors, WordLSTM
from vqa_helpers.pieces.sentences import MULTILINGUAL, USE
from vqa_helpers.presets import PRESETS
from vqa_helpers.recipe import LOSSES, Training
from vqa_helpers.training.image_rows import ImageRows
from vqa_helpers.training.inputs import Data, change, examples_of, open_data, soft_scores
from vqa_helpers.training.losses import SOFT_LOSSES
from vqa_helpers.training.train import train_recipe

TRAINING = Training("adam", 1e-3, batch=30, epochs=3)


def batches(data: Data, training: Training = TRAINING, **more):
    model = data.build(PRESETS["Question_Only"])
    return data.batches(data.read(model), ImageRows(data.dataset.image_ids()), training, **more)


def test_answers_as_text_are_given_the_glove_vectors_of_the_train_answers(opened):
    data = opened()
    model = data.build(PRESETS["Question_Only"].with_(classifier="AnswerWords"))
    vectors = vectors_of(data.answers.answers, data.word_vectors(), 50)
    assert torch.equal(model.classifier.answer_vectors, vectors)
    assert_close(vectors.norm(dim=1), torch.ones(len(data.answers)))


# What is decided where nothing is chosen ----------------------------------------------------------


@pytest.mark.parametrize(
    ("drawn", "offline", "asked", "preset", "weights", "size_px"),
    [
        (None, True, "auto", "GUSE_ResNet", "packaged", 224),
        (None, True, "auto", "GUSE_VGG", "packaged", 224),
        (0, False, "auto", "GUSE_VGG", "packaged", 224),  # the demo implies offline
        (None, True, "random", "GUSE_VGG", "random", 64),
        (None, True, "imagenet", "GUSE_VGG", "imagenet", 512),
        (None, False, "net.pth", "GUSE_VGG", "net.pth", 512),
    ],
)
def test_what_is_taken_where_nothing_is_chosen(
    folder, drawn, offline, asked, preset, weights, size_px
):
    dataset = dataclasses.replace(read_folder(folder), drawn=drawn)
    data = open_data(dataset, weights=asked, offline=offline, device="cpu")
    usual = data.usual("vision", PRESETS[preset].vision)
    assert usual == {"weights": weights, "size_px": size_px}
    assert data.offline == (offline or drawn is not None)
    assert data.encoder == MULTILINGUAL or not data.offline
    larger = open_data(dataset, weights=asked, offline=offline, image_size=96, device="cpu")
    assert larger.usual("vision", PRESETS[preset].vision)["size_px"] == 96
    assert open_data(dataset, sentence_encoder=USE).encoder == USE


def test_without_validation_answers_data_open_and_nothing_is_trained(opened, tmp_path):
    folder = write_dataset(tmp_path / "d", images=4)
    (folder / "annotations_val.json").unlink()
    data = opened(folder)  # features can be stored all the same
    with pytest.raises(InputError, match="the validation split has no annotations"):
        train_recipe(PRESETS["Question_Only"], data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Splits as batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_every_split_is_there_with_soft_scores_for_the_losses_that_want_them(opened, loss):
    data = opened()
    data.answers = AnswerVocabulary(data.answers.answers[:3])
    made = batches(data, dataclasses.replace(TRAINING, loss=loss))
    assert [*made] == ["train", "validation", "test"] and made["train"].size == 30
    assert data.counts().loc["train"].to_dict() == {"questions": 72, "images": 24}
    for name, table in data.dataset.splits.items():
        examples = made[name].examples
        if name == "train":  # the questions that teach alone
            table = table[table["answer"].isin(data.answers.ids)]
        seen = data.dataset.image_ids()[examples.image_row.numpy()]
        assert seen.tolist() == table["image_id"].tolist()
        expected = [data.answers.ids.get(answer, -1) for answer in table["answer"]]
        assert examples.target.tolist() == expected
        assert (examples.soft is not None) == (loss in SOFT_LOSSES)
        if examples.soft:  # at least seven annotators of ten gave the target
            known = examples.target >= 0
            assert torch.equal(examples.soft.ids[known, 0].long(), examples.target[known])
            assert torch.equal(examples.soft.total(), known.float())


@pytest.mark.parametrize(("learnt", "answered"), [(30, 400), (500, 500)])
def test_batches_are_large_where_nothing_is_learnt_unless_photographs_are_seen(
    opened, learnt, answered
):
    data, training = opened(), dataclasses.replace(TRAINING, batch=learnt)
    sizes = {name: one.size for name, one in batches(data, training).items()}
    assert sizes == {"train": learnt, "validation": answered, "test": answered}
    model = data.build(PRESETS["1.f"])
    made = data.batches(data.read(model), data.images(model.vision), training)
    assert {one.size for one in made.values()} == {learnt}


def test_splits_that_cannot_be_learnt_from_or_shared_are_refused(opened, tmp_path):
    one = opened(write_dataset(tmp_path / "d", images=1, questions_per_image=1))
    with pytest.raises(InputError, match="needs at least two answered questions"):
        batches(one)
    with pytest.raises(InputError, match="73 processes cannot share 72 questions"):
        batches(opened(), dataclasses.replace(TRAINING, batch=400), share=(0, 73))


def test_rows_targets_and_soft_scores():
    table = pd.DataFrame({"image_id": [7, 2**62, 7, 3], "answer": ["yes", "bird", "cat", "dog"]})
    table["answers"] = [("cat",), ("dog", "yes"), ("yes",), ("cow",)]
    images, answers = np.array([3, 7, 2**62]), AnswerVocabulary(("cat", "dog", "yes"))
    examples = examples_of(table, (), images, answers)
    assert examples.image_row.tolist() == [1, 2, 1, 0]
    assert examples.target.tolist() == [2, -1, 0, 1]
    assert examples.soft is None
    soft = examples_of(table, (), images, answers, soft=True).soft
    assert soft.ids.tolist() == [[0, 0], [1, 2], [2, 0], [0, 0]]
    assert soft.scores.tolist() == [[1, 0], [1, 1], [1, 0], [0, 0]]
    unanswered = examples_of(table[["image_id"]], (), images, answers, soft=True)
    assert unanswered.target.tolist() == [-1] * 4 and unanswered.soft is None


# Soft scores --------------------------------------------------------------------------------------


def scores(given: list[list[str]], *known: str) -> list[dict[str, float]]:
    """Each question's soft scores by answer, rounded."""
    soft = soft_scores(given, AnswerVocabulary(known))
    return [
        {known[i]: round(value, 6) for i, value in zip(ids, values, strict=True) if value}
        for ids, values in zip(soft.ids.tolist(), soft.scores.tolist(), strict=True)
    ]


def test_soft_scores_agree_with_the_metric_on_any_answers():
    generator = np.random.default_rng(0)
    known = ("yes", "no", "2", "the end", "blue and white", "it's")
    forms = [*known, "Yes", "two", "end", "blue & white", "its", "blue and  white.", "other"]
    given = [list(generator.choice(forms, 10)) for _ in range(200)]
    given += [["yes"] * people + ["thing"] * (10 - people) for people in range(11)]
    found = scores(given, *known)
    for answer in known:
        expected = Annotators(given).score([answer] * len(given)).tolist()
        assert [row.get(answer, 0) for row in found] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "known", "expected"),
    [
        # Every answer counts; texts meet after the official normalisation of both.
        (["cat"] * 5 + ["dog"] * 3 + ["cow", "ant"], ("ant", "cat", "dog"), {"cat": 1, "dog": 0.9, "ant": 0.3}),
        (["two"] * 2 + ["The  Dog."] * 4 + ["dont", "6,000", "x", "y"], ("2", "dog", "don't", "6000"),
         {"2": 0.6, "dog": 1, "don't": 0.3, "6000": 0.3}),
        (["2"] * 10, ("Two",), {"Two": 1}),
        # Of two answers that normalise alike the one that was written counts.
        (["a dog"] * 3 + ["dog"] * 3 + ["the dog"] * 4, ("dog", "a dog"), {"dog": 1, "a dog": 0.9}),
        # Other numbers of annotators are scaled to ten.
        ([], ("cat",), {}),
        (["cat"], ("cat", "dog"), {"cat": 1}),
        (["cat", "dog", "cow"], ("cat", "dog"), {"cat": 0.925926, "dog": 0.925926}),  # 10/3 of ten
        (["cat"] + ["cow"] * 9, ("cat", "dog"), {"cat": 0.3}),
        (["cat"] + ["cow"] * 19, ("cat", "dog"), {"cat": 0.158333}),  # half a match of ten
    ],
)  # fmt: skip
def test_soft_scores_by_hand(given, known, expected):
    assert scores([given], *known) == [expected]


# Models -------------------------------------------------------------------------------------------


def test_word_vectors_are_the_packages_or_a_file(opened, tmp_path):
    glove = tmp_path / "glove.6B.50d.txt"
    glove.write_text("what" + " 0.5" * 50, encoding="utf-8")
    assert opened(glove=glove).word_vectors() == opened(glove=str(glove)).word_vectors() == glove
    table = opened().build(PRESETS["GloVe_ResNet"]).language.embedding.weight
    assert table[2:].any(dim=1).all() and not table[0].any()
    with pytest.raises(InputError, match="no GloVe vectors of width 7.*--glove FILE"):
        opened().word_vectors(7)
    for nowhere in (tmp_path / "nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(InputError, match="nowhere: no such file; check --glove"):
            opened(glove=nowhere)  # whether or not a piece will read it


# What a notebook's parameters change --------------------------------------------------------------


class Own(nn.Module):
    def __init__(self, image_dim: int, question_dim: int, width: int = 7) -> None:
        super().__init__()
        self.layer = nn.Linear(image_dim + question_dim, width)
        self.out_dim = width


def test_parameters_change_the_model_that_is_written_out(opened):
    data = opened()
    model = data.build(PRESETS["1.e"])
    assert change(model, TRAINING, data) == (model, TRAINING)
    other, training = change(model, TRAINING, data, fusion="Product", set="learning_rate=0.5")
    assert type(other.fusion) is Product and type(model.fusion) is Concatenation
    assert training == dataclasses.replace(TRAINING, learning_rate=0.5)
    assert type(other.language) is SentenceVectors
    assert other.vision.network == "resnet18" and other.classifier.layers[0].out_features == 4096
    words = dict(seed=3, own=[Own], fusion="Own", language="WordLSTM",
                 set="fusion.width=9 language.hidden=6 classifier.hidden=[5]")  # fmt: skip
    other, _ = change(model, TRAINING, data, **words)
    assert type(other.fusion) is Own and type(other.language) is WordLSTM
    assert (other.language.out_dim, other.fusion.out_dim) == (12, 9)
    torch.manual_seed(99)  # the seed alone gives the weights
    again, _ = change(model, TRAINING, data, **words)
    assert torch.equal(other.classifier.layers[0].weight, again.classifier.layers[0].weight)
    _, training = change(model, TRAINING, data, set="batch=9 loss='soft cross entropy'")
    assert (training.batch, training.loss) == (9, "soft cross entropy")
    for wrong, message in (
        ("learning_rat=1", "did you mean learning_rate"), ("batch", "use NAME=VALUE"),
        ("batch=1,2", "one value each"), ("loss='soft", "close the quotes"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            change(model, TRAINING, data, set=wrong)
