"""Leaks, planted for real: each is found and named, and `prepare` leaves no trace of held-out data.

The held-out splits of `marked` shout: words, answers and colours that train never has, so often
that any vocabulary, weight or mean that looked at them would show it.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.builders import write_dataset, write_json
from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.text import tokenize
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.experiment import conduct as conducting
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.leaks import find_leaks
from vqa_helpers.experiment.prepare import Experiment
from vqa_helpers.language.word_vectors import learn_vectors, read_glove
from vqa_helpers.model.config import Images
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.losses import inverse_frequencies
from vqa_helpers.training.tensors import Vocabularies, soft_scores
from vqa_helpers.vision.normalise import FeatureNormaliser, train_statistics

HELD_OUT = ("val", "test")
STRANGE = "zyzzyva"


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> Path:
    """Held-out splits whose every question, answer and image is unlike any of train."""
    folder = write_dataset(tmp_path_factory.mktemp("marked") / "tiny", images=12)
    for split in HELD_OUT:
        path = folder / f"questions_{split}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        for question in content["questions"]:
            question["question"] = f"{STRANGE} " * 9 + question["question"]
        write_json(path, content)
        path = folder / f"annotations_{split}.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        for number, annotation in enumerate(content["annotations"]):
            if number % 2:
                annotation["multiple_choice_answer"] = STRANGE
                annotation["answers"] = [{"answer": STRANGE}] * 10
        write_json(path, content)
    for path in (folder / "images").iterdir():
        if int(path.stem) > 1000:
            noise = np.random.default_rng(int(path.stem)).integers(0, 256, (32, 32, 3))
            Image.fromarray(noise.astype(np.uint8)).save(path)
    return folder


def every_question(dataset: Dataset) -> list[str]:
    return [text for table in dataset.splits.values() for text in table["question"]]


def refused(experiment: Experiment, folder: Path, leak: str) -> None:
    """Assert that the guard names this leak alone, and that nothing is trained or written."""
    [found] = find_leaks(experiment)
    assert leak in found
    with pytest.raises(InputError, match="would know more than the train split") as error:
        conduct(experiment, folder)
    assert found in str(error.value) and "\n" not in str(error.value)
    assert not folder.exists()


# Nothing leaks from `prepare` -----------------------------------------------------------------

KINDS = ["1.e", "GloVe_ResNet", "Original_VQA2015_ResNet", "Question_Only", "Bag_Of_Words"]


@pytest.mark.parametrize("preset", [*KINDS, pytest.param("Image_Only", marks=pytest.mark.slow)])
def test_no_leak_is_found_where_there_is_none(ready, marked, preset):
    assert find_leaks(ready(preset, marked)) == []


@pytest.mark.parametrize("preset", KINDS)
def test_held_out_words_and_answers_leave_no_trace(ready, marked, preset):
    experiment = ready(preset, marked)
    assert STRANGE not in experiment.vocabularies.answers.ids
    words = experiment.vocabularies.words
    assert words is None or STRANGE not in words.ids
    train = experiment.dataset.splits["train"]
    assert experiment.vocabularies.answers == AnswerVocabulary.build(train["answer"])
    assert len(experiment.batches["train"]) == len(train) == 36


@pytest.mark.parametrize("loss", ["weighted cross entropy", "soft cross entropy"])
def test_held_out_answers_leave_no_trace_in_a_loss(ready, marked, folder, loss):
    one = ready("Question_Only", marked, loss=loss)
    counts = one.dataset.splits["train"]["answer"].value_counts()
    answers = one.vocabularies.answers.answers
    if loss == "weighted cross entropy":
        assert one.class_weights.tolist() == pytest.approx([36 / counts[a] for a in answers])
    else:
        assert (one.batches["train"].soft.scores.sum(1) == 1).all()
        odd = one.batches["validation"].soft.scores.sum(1)
        assert (odd == 0).sum() == 18


@pytest.mark.parametrize("in_loop", [False, True])
def test_held_out_images_leave_no_trace_in_the_statistics(ready, marked, tmp_path, in_loop):
    # The same train split without its held-out images, and with others in their place.
    images = Images("resnet18", in_loop=in_loop)
    preset = dataclasses.replace(PRESETS["1.e"], images=images)
    plain = write_dataset(tmp_path / "tiny", images=12)
    features = [tmp_path / name for name in ("one", "other")]
    found = [
        normaliser(ready(preset, data, features=store))
        for data, store in zip((marked, plain), features, strict=True)
    ]
    assert (found[0].std != 1).any()
    assert torch.equal(found[0].mean, found[1].mean)
    assert torch.equal(found[0].std, found[1].std)


def test_held_out_questions_leave_no_trace_in_the_word_vectors(ready, marked, tmp_path):
    experiment = ready("GloVe_ResNet", marked, features=tmp_path)
    [path] = (tmp_path / "tiny" / "words").glob("learned-*.txt")
    train = {
        word for text in experiment.dataset.splits["train"]["question"] for word in tokenize(text)
    }
    assert {line.split()[0] for line in path.read_text(encoding="utf-8").splitlines()} == train


def normaliser(experiment: Experiment) -> FeatureNormaliser:
    vision = experiment.model.vision
    return vision if isinstance(vision, FeatureNormaliser) else vision[1]


# Images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("splits", [("train", "test"), ("validation", "test")])
def test_an_image_in_two_splits_is_found(ready, tmp_path, splits):
    experiment = ready("Question_Only")
    tables = {name: table.copy() for name, table in experiment.dataset.splits.items()}
    one, other = splits
    shared = int(tables[other]["image_id"].iloc[0])
    tables[one].loc[tables[one].index[-1], "image_id"] = shared
    experiment.dataset = dataclasses.replace(experiment.dataset, splits=tables)
    refused(experiment, tmp_path / "run", f"{one} and {other} share 1 images, such as {shared}")


def test_the_studys_own_rule_may_split_rows(ready, marked, tmp_path):
    experiment = ready("Question_Only")
    tables = dict(experiment.dataset.splits)
    tables["test"] = tables["test"].assign(image_id=tables["train"]["image_id"].to_numpy())
    experiment.dataset = dataclasses.replace(experiment.dataset, splits=tables)
    assert len(find_leaks(experiment)) == 1
    experiment.dataset.rule = "study"
    assert find_leaks(experiment) == []
    experiment.dataset.rule = "by-image"
    assert len(find_leaks(experiment)) == 1


def test_training_on_a_held_out_question_is_found(ready, tmp_path):
    experiment = ready("Question_Only")
    validation = experiment.batches["validation"]
    experiment.batches["train"].image_row[5] = validation.image_row[0]
    refused(experiment, tmp_path / "run", "training is given image 1001, which is not of the train")
    experiment.batches["train"] = twice(validation)
    [found] = find_leaks(experiment)
    assert "training is given 144 questions, the train split has 72" in found


def test_answers_of_another_split_in_the_batches_are_found(ready, tmp_path):
    experiment = ready("Question_Only")
    train, test = experiment.batches["train"], experiment.batches["test"]
    assert not torch.equal(train.target, test.target)
    train.target = test.target.clone()
    refused(experiment, tmp_path / "run", "the train batches are not those of the train split")
    experiment = ready("Question_Only", loss="soft cross entropy")
    answers = experiment.vocabularies.answers
    experiment.batches["train"].soft = soft_scores(
        experiment.dataset.splits["test"]["answers"], answers
    )
    refused(experiment, tmp_path / "run", "the train batches are not those of the train split")


def test_an_epoch_chosen_on_test_is_found(ready, tmp_path):
    experiment = ready("Question_Only")
    experiment.batches["validation"] = experiment.batches["test"]
    refused(experiment, tmp_path / "run", "the validation batches are not those of the validation")


def twice(batches: Batches) -> Batches:
    batches.target = batches.target.repeat(2)
    return batches


# Vocabularies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["Original_VQA2015_ResNet", "Question_Only", "Bag_Of_Words"])
def test_a_vocabulary_with_test_words_is_found(ready, marked, tmp_path, monkeypatch, preset):
    experiment = ready(preset, marked)
    words = WordVocabulary.build(map(tokenize, every_question(experiment.dataset)))
    assert STRANGE in words.ids
    experiment.vocabularies = dataclasses.replace(experiment.vocabularies, words=words)
    refused(experiment, tmp_path / "run", "the word vocabulary holds ")


def test_one_word_more_or_in_another_order_is_found(ready):
    experiment = ready("Question_Only")
    known = experiment.vocabularies.words.words
    for words, leak in [
        ((*known, STRANGE), f"the word vocabulary holds '{STRANGE}'"),
        (known[:-1], "is not that of the train split"),
        ((*known[:2], *known[:1:-1]), "is not that of the train split"),
    ]:
        vocabularies = dataclasses.replace(experiment.vocabularies, words=WordVocabulary(words))
        [found] = find_leaks(dataclasses.replace(experiment, vocabularies=vocabularies))
        assert leak in found


def test_an_answer_list_that_saw_validation_is_found(ready, marked, tmp_path):
    experiment = ready("1.e", marked)
    tables = experiment.dataset.splits
    seen = AnswerVocabulary.build([*tables["train"]["answer"], *tables["validation"]["answer"]])
    experiment.vocabularies = dataclasses.replace(experiment.vocabularies, answers=seen)
    refused(experiment, tmp_path / "run", f"the answer vocabulary holds '{STRANGE}'")


def test_answers_counted_on_validation_are_found_by_their_order(ready):
    experiment = ready("1.e")
    answers = AnswerVocabulary(experiment.vocabularies.answers.answers[::-1])
    experiment.vocabularies = dataclasses.replace(experiment.vocabularies, answers=answers)
    [found] = find_leaks(experiment)
    assert "the answer vocabulary is not that of the train split" in found


def test_a_prepare_that_leaks_is_stopped(ready, marked, tmp_path, monkeypatch):
    # Vocabularies that are learnt from whatever table they are given, given a wrong one.
    build = Vocabularies.build.__func__
    tables = ready("Question_Only", marked).dataset.splits
    with monkeypatch.context() as patch:
        patch.setattr(
            Vocabularies,
            "build",
            classmethod(lambda cls, _, *rest: build(cls, tables["test"], *rest)),
        )
        experiment = ready("Question_Only", marked)
    assert len(find_leaks(experiment)) == 2
    with pytest.raises(InputError, match=f"answer vocabulary holds '{STRANGE}'.*; the word"):
        conduct(experiment, tmp_path / "run")


# Statistics, vectors, weights -----------------------------------------------------------------


def test_statistics_over_all_images_are_found(ready, marked, tmp_path):
    experiment = ready("1.e", marked)
    features = experiment.seen.rows.features.numpy()
    experiment.model.vision = FeatureNormaliser(features.shape[1], train_statistics(features))
    refused(experiment, tmp_path / "run", "image statistics are not those of the train images")


def test_statistics_where_there_should_be_none_are_found(ready):
    experiment = ready("1.e")
    normaliser(experiment).mean.zero_()
    normaliser(experiment).std.fill_(1)
    experiment.seen = dataclasses.replace(experiment.seen, statistics=None)
    assert find_leaks(experiment) == []
    normaliser(experiment).mean[0] = 0.1
    assert find_leaks(experiment) == ["the image statistics are not those of the train images"]


def test_one_held_out_image_in_the_statistics_is_found(ready):
    experiment = ready("1.e")
    ids, features = experiment.seen.ids, experiment.seen.rows.features.numpy()
    train = np.isin(ids, experiment.dataset.splits["train"]["image_id"])
    train[np.flatnonzero(~train)[0]] = True
    normaliser(experiment).mean.copy_(train_statistics(features[train])[0])
    assert find_leaks(experiment) == ["the image statistics are not those of the train images"]


def test_statistics_of_a_network_in_the_loop_are_worked_out_again(ready):
    preset = dataclasses.replace(PRESETS["1.e"], images=Images("resnet18", in_loop=True))
    experiment = ready(preset)
    assert find_leaks(experiment) == []
    normaliser(experiment).std.mul_(1.01)
    assert len(find_leaks(experiment)) == 1


def test_images_that_cannot_be_seen_are_no_leak(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=12)
    (data / "images" / f"{2:012d}.png").unlink()
    (data / "images" / f"{3:012d}.png").write_bytes(b"not a picture")
    experiment = ready("1.e", data, features=tmp_path / "features")
    assert experiment.seen.unseen == (2, 3)
    assert find_leaks(experiment) == []


def test_a_photograph_removed_after_its_features_were_kept_is_no_leak(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=12)
    ready("1.e", data, features=tmp_path / "features")
    (data / "images" / f"{2:012d}.png").unlink()
    experiment = ready("1.e", data, features=tmp_path / "features")
    row = np.flatnonzero(experiment.seen.ids == 2)
    assert experiment.seen.unseen == (2,) and not experiment.seen.rows.features[row].any()
    assert find_leaks(experiment) == []


def test_word_vectors_learned_from_all_questions_are_found(ready, marked, tmp_path):
    experiment = ready("GloVe_ResNet", marked)
    learn_vectors([tokenize(text) for text in every_question(experiment.dataset)], tmp_path / "w")
    vectors, _ = read_glove(tmp_path / "w", experiment.vocabularies.words.words)
    experiment.model.language.embedding.weight.copy_(torch.from_numpy(vectors))
    refused(experiment, tmp_path / "run", "word vectors were not learned from the train questions")


def test_word_vectors_turned_by_another_machine_are_no_leak(ready):
    experiment = ready("GloVe_ResNet")
    rotation, _ = torch.linalg.qr(torch.randn(50, 50))
    weight = experiment.model.language.embedding.weight
    weight.copy_(weight @ rotation)
    assert find_leaks(experiment) == []


def test_class_weights_over_all_splits_are_found(ready, marked, tmp_path):
    experiment = ready("Question_Only", marked, loss="weighted cross entropy")
    answers = experiment.vocabularies.answers
    targets = [answers.encode(table["answer"]) for table in experiment.dataset.splits.values()]
    every = torch.from_numpy(np.concatenate(targets))
    experiment.class_weights = inverse_frequencies(every, len(answers))
    refused(experiment, tmp_path / "run", "class weights are not those of the train answers")


def test_without_the_guard_a_leak_would_train(ready, marked, tmp_path, monkeypatch):
    # What makes the tests above mean something: only the guard stands between a leak and a run.
    experiment = ready("Question_Only", marked, loss="weighted cross entropy", epochs=1)
    experiment.class_weights = experiment.class_weights * 2
    monkeypatch.setattr(conducting, "find_leaks", lambda experiment: [])
    assert conduct(experiment, tmp_path / "run").finished
