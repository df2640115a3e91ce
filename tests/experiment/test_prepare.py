"""Everything in place for training: features, vocabularies, stand-ins, and clear refusals."""

import dataclasses
import json

import pytest
import torch

from tests.builders import write_dataset, write_json
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.model.config import LOSSES


def test_every_split_is_there_and_whole(ready):
    experiment = ready("1.e")
    assert {name: len(batches) for name, batches in experiment.batches.items()} == {
        "train": 72, "validation": 72, "test": 72,
    }  # fmt: skip
    assert experiment.schedule.name == "small"
    assert experiment.batches["train"].size == 30


def test_questions_without_a_known_answer_teach_nothing(ready, tmp_path, monkeypatch):
    build = AnswerVocabulary.build
    monkeypatch.setattr(AnswerVocabulary, "build", classmethod(lambda cls, a: build(a, most=1)))
    experiment = ready("Question_Only")
    train, [answer] = experiment.dataset.splits["train"], experiment.vocabularies.answers.answers
    assert len(experiment.batches["train"]) == (train["answer"] == answer).sum() < 72
    assert len(experiment.batches["validation"]) == 72


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


def test_a_seed_decides_the_weights(ready):
    def weights(seed: int) -> torch.Tensor:
        return ready("Question_Only", seed=seed).model.classifier.layers[0].weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


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


def test_validation_without_answers_is_refused(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    (data / "annotations_val.json").unlink()
    with pytest.raises(InputError, match="the validation split has no annotations"):
        ready("Question_Only", data)


def test_one_question_is_too_few(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=1, questions_per_image=1)
    with pytest.raises(InputError, match="needs at least two questions"):
        ready("Question_Only", data)


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
