"""Everything in place for training: features, vocabularies, stand-ins, and clear refusals."""

import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
import torch

from tests.builders import write_dataset, write_json
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.experiment.prepare import HASHED_SENTENCES, LEARNED_WORDS, RANDOM_VISION
from vqa_helpers.language.word_vectors import read_glove
from vqa_helpers.model.config import LOSSES


def write_glove(path, words, dim=50, spoil=None):
    generator = np.random.default_rng(0)
    lines = [f"{word} {' '.join(map(str, generator.normal(size=dim).round(3)))}" for word in words]
    if spoil is not None:
        lines[spoil] = lines[spoil].rsplit(" ", 1)[0]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_split_is_there_and_whole(ready):
    experiment = ready("1.e")
    assert {name: len(batches) for name, batches in experiment.batches.items()} == {
        "train": 72, "validation": 72, "test": 72,
    }  # fmt: skip
    assert experiment.schedule.name == "small"
    assert experiment.batches["train"].size == 30


def test_vocabularies_know_train_alone(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=6)
    for name in ("questions_val.json", "annotations_val.json"):
        text = (data / name).read_text(encoding="utf-8")
        for old, new in (("What color", "Quelle couleur"), ('"yes"', '"oui"'), ('"no"', '"non"')):
            text = text.replace(old, new)
        (data / name).write_text(text, encoding="utf-8")
    experiment = ready("Original_VQA2015_ResNet", data)
    train = read_folder(data).splits["train"]
    assert "quelle" not in experiment.vocabularies.words.ids
    assert experiment.vocabularies.answers == AnswerVocabulary.build(train["answer"])
    targets = experiment.batches["validation"].target
    assert len(targets) == 18
    assert (targets == -1).sum() >= 6  # "oui" and "non" stay in the denominator


def test_questions_without_a_known_answer_teach_nothing(ready, tmp_path, monkeypatch):
    build = AnswerVocabulary.build
    monkeypatch.setattr(AnswerVocabulary, "build", classmethod(lambda cls, a: build(a, most=1)))
    experiment = ready("Question_Only")
    train, [answer] = experiment.dataset.splits["train"], experiment.vocabularies.answers.answers
    assert len(experiment.batches["train"]) == (train["answer"] == answer).sum() < 72
    assert len(experiment.batches["validation"]) == 72


def test_a_feature_row_is_that_of_its_image(ready):
    experiment = ready("1.e")
    batches, table = experiment.batches["test"], experiment.dataset.splits["test"]
    ids = experiment.dataset.image_ids()
    assert ids[batches.image_row.numpy()].tolist() == table["image_id"].tolist()
    assert batches.images.features.shape == (72, 512)
    assert batches.images is experiment.batches["train"].images


def test_statistics_come_from_train_images_alone(ready):
    experiment = ready("1.e")
    ids = experiment.dataset.image_ids()
    train = np.isin(ids, experiment.dataset.splits["train"]["image_id"])
    features = experiment.batches["train"].images.features.float()
    assert 0 < train.sum() < len(ids)
    torch.testing.assert_close(experiment.model.vision.mean, features[train].mean(0))
    std = features[train].std(0, correction=0)
    constant = std < 1e-6  # which carries nothing and is left as it is
    torch.testing.assert_close(experiment.model.vision.std, std.where(~constant, torch.ones(512)))


@pytest.mark.parametrize(
    ("preset", "stand_ins"),
    [
        ("1.e", [RANDOM_VISION, HASHED_SENTENCES]),
        ("Improved_VQA2015_ResNet", [RANDOM_VISION]),
        ("GloVe_ResNet", [RANDOM_VISION, LEARNED_WORDS]),
        ("Question_Only", []),
    ],
)
def test_stand_ins_are_named_in_the_config(ready, preset, stand_ins):
    assert ready(preset).config()["stand_ins"] == stand_ins


def test_the_config_tells_what_was_decided(ready, options):
    config = ready("1.e").config()
    assert config["preset"] == "1.e"
    assert config["dataset"] == "tiny"
    assert config["epochs"] == 3
    assert config["schedule"] == config["training"]["name"] == "small"
    assert config["weights"] == "random"
    assert config["weights_source"].startswith("random, seed 0")
    assert config["image_size_px"] == 32
    assert config["parameters"] > 8_000_000
    assert config["words"] is None
    assert config["answers"] == len(ready("1.e").vocabularies.answers)


def test_precision_is_configuration_only_where_it_was_asked_for(ready):
    experiment = ready("1.e")
    assert "precision" not in experiment.config()
    asked = dataclasses.replace(experiment.options, precision="bfloat16")
    assert dataclasses.replace(experiment, options=asked).config()["precision"] == "bfloat16"


def test_a_model_without_images_has_no_weights_to_tell(ready):
    config = ready("Question_Only").config()
    told = ("weights", "weights_source", "image_size_px")
    assert [config[name] for name in told] == [None] * 3
    assert config["standardised"] is False


@pytest.mark.parametrize(("preset", "standardised"), [("1.e", True), ("1.fC", False)])
def test_standardised_is_said_only_where_it_is_so(ready, preset, standardised):
    experiment = ready(preset)
    normaliser = experiment.model.vision if preset == "1.e" else experiment.model.vision[1]
    assert experiment.config()["standardised"] is standardised
    assert bool((normaliser.std != 1).any()) == standardised


def test_a_seed_decides_the_weights(ready):
    def weights(seed: int) -> torch.Tensor:
        return ready("Question_Only", seed=seed).model.classifier.layers[0].weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_an_image_store_is_filled_once(ready, tmp_path):
    first, second = (ready("1.e", features=tmp_path) for _ in range(2))
    assert (tmp_path / "tiny" / "resnet18-random-32" / "manifest.json").is_file()
    features = [e.batches["train"].images.features for e in (first, second)]
    assert torch.equal(*features)
    assert second.seen.seconds < first.seen.seconds


@pytest.mark.slow
def test_a_model_without_questions_has_no_words_to_tell(ready):
    experiment = ready("Image_Only")
    config = experiment.config()
    told = ("words", "word_coverage", "question_source")
    assert [config[name] for name in told] == [None] * 3
    assert config["pieces"]["questions"] is None
    batch = next(experiment.batches["test"].in_order())
    assert batch.question is None and batch.lengths is None and batch.image is not None


# Losses ---------------------------------------------------------------------------------------


def test_a_loss_is_told_by_config_and_name(ready):
    plain, soft = ready("Question_Only"), ready("Question_Only", loss="soft cross entropy")
    assert plain.config()["loss"] == "cross entropy"
    assert soft.config()["loss"] == "soft cross entropy"
    assert soft.config()["preset"] == "Question_Only-soft-cross-entropy"
    assert ready("Question_Only", loss="cross entropy").config() == plain.config()
    with pytest.raises(InputError, match="loss 'hinge': use one of"):
        ready("Question_Only", loss="hinge")


@pytest.mark.parametrize("loss", LOSSES)
def test_only_soft_losses_have_soft_scores(ready, loss):
    experiment = ready("Question_Only", loss=loss)
    soft = loss in ("soft cross entropy", "binary cross entropy")
    for batches in experiment.batches.values():
        assert (batches.soft is not None) == soft
        if soft:  # at least seven annotators of ten gave the target
            assert (batches.soft.ids[:, 0] == batches.target).all()
            assert (batches.soft.scores.sum(1) == 1).all()


def test_with_soft_scores_a_question_teaches_by_any_of_its_answers(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=6)
    path = data / "annotations_train.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for number, annotation in enumerate(content["annotations"]):
        annotation["multiple_choice_answer"] = "rare" if number == 0 else "yes"
        annotation["answers"] = [{"answer": "yes"}] * 2 + [{"answer": "rare"}] * 8
    write_json(path, content)
    build = AnswerVocabulary.build
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnswerVocabulary, "build", classmethod(lambda cls, a: build(a, most=1)))
        hard, soft = (ready("Question_Only", data, loss=name) for name in (None, LOSSES[2]))
    assert len(hard.batches["train"]) == 17
    assert len(soft.batches["train"]) == 18
    assert soft.batches["train"].soft.scores.tolist() == [[pytest.approx(0.6)]] * 18


def test_class_weights_are_those_of_the_train_answers(ready):
    experiment = ready("Question_Only", loss="weighted cross entropy")
    counts = experiment.dataset.splits["train"]["answer"].value_counts()
    answers = experiment.vocabularies.answers.answers
    assert experiment.class_weights.tolist() == pytest.approx([72 / counts[a] for a in answers])
    assert ready("Question_Only").class_weights is None


def test_only_sigmoids_begin_at_the_prior(ready):
    experiment = ready("Question_Only", loss="binary cross entropy")
    answers = experiment.vocabularies.answers.answers
    train = experiment.dataset.splits["train"]["answer"]
    bias = experiment.model.classifier.layers[-1].bias.sigmoid()
    expected = [(train == answer).mean() for answer in answers]  # all but unanimous annotators
    assert bias.tolist() == pytest.approx(expected, abs=1e-5)
    assert ready("Question_Only").model.classifier.layers[-1].bias.abs().max() < 0.1


# VQA accuracy ---------------------------------------------------------------------------------


def test_vqa_accuracy_is_scored_with_ten_answers(ready):
    experiment = ready("Question_Only")
    answers = experiment.vocabularies.answers
    table = experiment.dataset.splits["validation"]
    truths = torch.tensor([max(answers.ids.get(a, 0), 0) for a in table["answer"]])
    assert experiment.score(truths) > 90
    assert experiment.score(truths.roll(1)) < 60


def test_vqa_accuracy_is_not_defined_with_one_answer(ready, tmp_path):
    data = write_dataset(tmp_path / "single", images=4, answers_per_question=1)
    assert ready("Question_Only", data).score is None


# GloVe ----------------------------------------------------------------------------------------


def test_a_glove_file_is_no_stand_in(ready, tmp_path):
    glove = write_glove(tmp_path / "glove.txt", ["what", "color", "is"])
    experiment = ready("GloVe_ResNet", glove=glove)
    assert experiment.config()["stand_ins"] == [RANDOM_VISION]
    words = experiment.vocabularies.words
    matrix, _ = read_glove(glove, ["what"], 50)
    table = experiment.model.language.embedding.weight
    assert torch.equal(table[words.ids["what"]], torch.from_numpy(matrix[0]))
    assert not table[0].any() and not table[words.ids["marks"]].any()


def test_a_glove_line_of_another_width_is_named(ready, tmp_path):
    glove = write_glove(tmp_path / "glove.txt", ["what", "color", "is"], spoil=1)
    with pytest.raises(InputError, match=r"glove\.txt: line 2: expected 50 numbers"):
        ready("GloVe_ResNet", glove=glove)


def test_without_glove_and_online_the_remedy_is_named(ready):
    with pytest.raises(InputError, match="no GloVe vectors of width 50.*--glove FILE"):
        ready("GloVe_ResNet", offline=False)


# What cannot be used --------------------------------------------------------------------------


def test_no_images_names_the_preset_that_needs_none(ready, tmp_path):
    data = write_dataset(tmp_path / "text", images=4)
    shutil.rmtree(data / "images")
    for preset in ("1.e", "Model100"):
        with pytest.raises(InputError, match="has no images.*Question_Only"):
            ready(preset, data)
    assert len(ready("Question_Only", data).batches["train"]) == 12


def test_a_few_missing_images_are_named_and_survived(ready, tmp_path, caplog):
    data = write_dataset(tmp_path / "d", images=8)
    (data / "images" / f"{1003:012d}.png").unlink()
    with caplog.at_level(logging.WARNING):
        experiment = ready("1.e", data)
    assert "no file for 1 of 24 images (1003)" in caplog.text
    row = experiment.dataset.image_ids().tolist().index(1003)
    assert not experiment.batches["validation"].images.features[row].any()
    assert len(experiment.batches["validation"]) == 24


@pytest.mark.parametrize("preset", ["1.e", "Model100"])
def test_many_missing_images_are_refused(ready, tmp_path, preset):
    data = write_dataset(tmp_path / "d", images=8)
    for image_id in (1, 2, 1003):
        (data / "images" / f"{image_id:012d}.png").unlink()
    with pytest.raises(InputError, match=r"no file for 3 of 24 images \(1, 2, 1003\)"):
        ready(preset, data)


def test_many_unreadable_images_are_refused(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=8)
    for image_id in (1, 2, 1003):
        (data / "images" / f"{image_id:012d}.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"3 of 24 images cannot be read.*0001\.png"):
        ready("1.e", data, features=tmp_path / "features")


def test_validation_without_answers_is_refused(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    (data / "annotations_val.json").unlink()
    with pytest.raises(InputError, match="the validation split has no annotations"):
        ready("Question_Only", data)


def test_one_question_is_too_few(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=1, questions_per_image=1)
    with pytest.raises(InputError, match="needs at least two questions"):
        ready("Question_Only", data)


def test_weights_that_are_not_there_are_refused(ready, tmp_path):
    with pytest.raises(InputError, match="is no weights file"):
        ready("1.e", weights=str(tmp_path / "net.pth"))


def test_weights_of_another_network_are_refused(ready, tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net\.pth: does not fit resnet18") as error:
        ready("1.e", weights=str(tmp_path / "net.pth"), features=tmp_path / "features")
    assert "\n" not in str(error.value)


# Odd data -------------------------------------------------------------------------------------


def test_ids_of_any_size_and_questions_of_any_letters(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=3)
    huge = 2**63 - 10
    for path in data.glob("*_train.json"):
        text = path.read_text(encoding="utf-8")
        text = text.replace('"image_id": 2,', f'"image_id": {huge},').replace(
            '"image_id": 2}', f'"image_id": {huge}}}'
        )
        text = text.replace("What color is the ground?", "¿Qué colör 地 🤖?")
        path.write_text(text.replace("How many marks are there?", "???"), encoding="utf-8")
    (data / "images" / f"{2:012d}.png").rename(data / "images" / f"{huge}.png")
    experiment = ready("Improved_VQA2015_ResNet", data)
    assert experiment.dataset.image_ids().max() == huge
    assert experiment.batches["train"].images.features[-1].any()
    assert int(experiment.batches["train"].lengths.min()) == 1
