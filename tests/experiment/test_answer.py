"""A saved run answers: the same answers as when it was measured, from its folder alone."""

import json
import shutil

import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

from tests.builders import write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.errors import InputError
from vqa_helpers.experiment.answer import Answerer, ask
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.model.config import LOSSES
from vqa_helpers.runs import Run


def same_answers(folder, dataset, split="test", **options) -> None:
    """Assert that the loaded run repeats its predictions of a split."""
    answerer = Answerer.load(folder)
    given = answerer.answer(dataset.splits[split], dataset.images, offline=True, **options)
    kept = Run(folder).predictions
    kept = kept[kept["split"] == split]
    assert [[answer.text for answer in row] for row in given] == kept["answers"].tolist()
    for row, probabilities in zip(given, kept["probabilities"], strict=True):
        assert [answer.probability for answer in row] == pytest.approx(probabilities, abs=5e-6)


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(
    "preset", ["1.e", "Original_VQA2015_ResNet", "Question_Only", "Bag_Of_Words"]
)
def test_predictions_are_repeated(trained, folder, options, preset, split):
    stores = options.features / "tiny"
    same_answers(trained(preset), read_folder(folder), split, stores=stores)


@pytest.mark.parametrize("loss", LOSSES)
def test_predictions_are_repeated_whatever_the_loss(ready, folder, tmp_path, loss):
    run = conduct(ready("Question_Only", loss=loss, epochs=1), tmp_path / "run")
    same_answers(run.folder, read_folder(folder))
    table = read_folder(folder).splits["test"].head(1)
    [every] = Answerer.load(run.folder).answer(table, {}, most=1000)
    total = sum(answer.probability for answer in every)
    assert (total != pytest.approx(1)) == (loss == "binary cross entropy")


def test_a_run_from_before_there_were_losses_answers(trained, folder, tmp_path):
    copy = shutil.copytree(trained("Question_Only"), tmp_path / "run")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    assert config.pop("loss") == "cross entropy"
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copy / "DONE").write_text("done\n")  # as old versions left it, without sums
    same_answers(copy, read_folder(folder))


@pytest.mark.slow
def test_a_model_that_reads_no_question_answers(trained, folder, options, tmp_path):
    dataset = read_folder(folder)
    same_answers(trained("Image_Only"), dataset, stores=options.features / "tiny")
    answerer = Answerer.load(trained("Image_Only"))
    image = dataset.images[int(dataset.splits["test"]["image_id"].iloc[0])]
    answers = ask(answerer, image, "What color is the ground?", offline=True)
    assert answers == ask(answerer, image, "How many?", offline=True)


def test_glove_vectors_lie_in_the_run(trained, folder, options):
    # Neither the file of vectors nor the questions they were learnt from are needed.
    same_answers(trained("GloVe_ResNet"), read_folder(folder), stores=options.features / "tiny")


@pytest.mark.slow
def test_a_frozen_network_in_the_loop_is_given_back(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    run = conduct(ready("Model100", data, epochs=1), tmp_path / "run")
    assert (run.folder / "model.safetensors").stat().st_size < 30e6  # VGG16 has 537 MB
    same_answers(run.folder, read_folder(data))


def test_features_computed_in_memory_give_the_same_answer(trained, folder):
    # One image at a time instead of a batch: half floats may differ in their last bit.
    dataset = read_folder(folder)
    table = dataset.splits["test"].head(12)
    given = Answerer.load(trained("1.e")).answer(table, dataset.images, offline=True)
    kept = Run(trained("1.e")).predictions
    kept = kept[kept["split"] == "test"].head(12)
    assert [row[0].text for row in given] == [answers[0] for answers in kept["answers"]]
    for row, probabilities in zip(given, kept["probabilities"], strict=True):
        assert [answer.probability for answer in row] == pytest.approx(probabilities, abs=2e-3)


def test_neighbours_and_order_do_not_matter(trained, folder):
    dataset = read_folder(folder)
    answerer = Answerer.load(trained("Original_VQA2015_ResNet"))
    table = dataset.splits["test"].head(9)
    forward = answerer.answer(table, dataset.images)
    backward = answerer.answer(table.iloc[::-1], dataset.images)[::-1]
    alone = answerer.answer(table.iloc[[4]], dataset.images)[0]
    for one, other in zip(forward, backward, strict=True):
        assert [a.text for a in one] == [a.text for a in other]
    assert [a.probability for a in alone] == pytest.approx([a.probability for a in forward[4]])


def test_a_table_with_answers_is_answered_all_the_same(trained, folder):
    table = read_folder(folder).splits["test"].head(3)
    answerer = Answerer.load(trained("Question_Only"))
    assert "answer" in table.columns
    strange = table.assign(answer="not in the vocabulary")
    assert answerer.answer(strange, {}) == answerer.answer(table.drop(columns="answer"), {})


def test_fewer_answers_can_be_asked_for(trained, folder):
    table = read_folder(folder).splits["test"].head(2)
    rows = Answerer.load(trained("Question_Only")).answer(table, {}, most=2)
    assert [len(row) for row in rows] == [2, 2]


# Photographs ----------------------------------------------------------------------------------


def test_what_cannot_be_seen_is_told(trained, folder, tmp_path):
    dataset = read_folder(folder)
    table = dataset.splits["test"].head(9)  # three images
    ids = table["image_id"].unique().tolist()
    broken = tmp_path / f"{ids[0]}.png"
    broken.write_bytes(dataset.images[ids[0]].read_bytes()[:50])
    images = {ids[0]: broken, ids[2]: dataset.images[ids[2]]}
    answerer = Answerer.load(trained("1.e"))
    for stores in (None, tmp_path / "stores"):
        rows = answerer.answer(table, images, stores=stores, offline=True)
        assert len(rows) == 9
        assert answerer.unreadable == [ids[0]]
        answerer.answer(table.tail(3), images, stores=stores, offline=True)
        assert answerer.unreadable == []


def test_a_question_about_a_photograph(trained, tmp_path):
    photograph = tmp_path / "my dog.jpeg"
    Image.new("RGB", (64, 48), (220, 30, 30)).save(photograph)
    answerer = Answerer.load(trained("1.e"))
    answers = ask(answerer, photograph, "What color is the ground?", offline=True)
    assert len(answers) == 5
    assert answers == sorted(answers, key=lambda answer: -answer.probability)
    again = ask(answerer, photograph, "What color is the ground?", offline=True)
    assert again == answers


@pytest.mark.parametrize("question", ["???", "¿Qué?", "wörter 字 🤖", "x" * 5000])
@pytest.mark.parametrize("preset", ["1.e", "Original_VQA2015_ResNet", "Question_Only"])
def test_any_question_gets_an_answer(trained, tmp_path, preset, question):
    photograph = tmp_path / "a.png"
    Image.new("RGB", (40, 40), (1, 2, 3)).save(photograph)
    answers = ask(Answerer.load(trained(preset)), photograph, question, offline=True)
    assert len(answers) == 5
    assert sum(answer.probability for answer in answers) <= 1.00001


@pytest.mark.parametrize("question", ["", "  \n"])
def test_no_question_is_refused(trained, tmp_path, question):
    with pytest.raises(InputError, match="the question is empty"):
        ask(Answerer.load(trained("Question_Only")), tmp_path / "a.png", question)


def test_a_photograph_that_does_not_open_is_refused(trained, tmp_path):
    answerer = Answerer.load(trained("1.e"))
    with pytest.raises(InputError, match=r"none\.png: the file is missing"):
        ask(answerer, tmp_path / "none.png", "What is it?")
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.png: is not an image"):
        ask(answerer, tmp_path / "text.png", "What is it?")


# Runs that cannot answer ----------------------------------------------------------------------


def test_an_unfinished_run_is_refused(trained, tmp_path):
    copy = shutil.copytree(trained("Question_Only"), tmp_path / "run")
    (copy / "DONE").unlink()
    for folder in (copy, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="holds no finished run"):
            Answerer.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json", "config.json"])
def test_a_run_that_lost_a_file_names_it(trained, tmp_path, name):
    copy = shutil.copytree(trained("Question_Only"), tmp_path / "run")
    (copy / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        Answerer.load(copy)


@pytest.mark.parametrize("name", ["pieces", "weights", "image_size_px", "weights_source"])
def test_a_config_that_lost_a_field_names_it(trained, tmp_path, name):
    copy = shutil.copytree(trained("1.e"), tmp_path / "run")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config.pop(name)
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copy / "DONE").write_text("done\n")  # as old versions left it, without sums
    with pytest.raises(InputError, match=f"config.json: lacks '{name}'"):
        Answerer.load(copy)


def test_a_vocabulary_of_another_run_is_refused(trained, tmp_path):
    copy = shutil.copytree(trained("Question_Only"), tmp_path / "run")
    path = copy / "vocabulary.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["answers"].append("one more")
    path.write_text(json.dumps(content), encoding="utf-8")
    (copy / "DONE").write_text("done\n")  # as old versions left it, without sums
    with pytest.raises(InputError, match="does not fit the run's configuration"):
        Answerer.load(copy)


# Weights from a file --------------------------------------------------------------------------


def weights_file(path, seed: int, name: str = "resnet18"):
    torch.manual_seed(seed)
    torch.save(torchvision.models.get_model(name, weights=None).state_dict(), path)
    return str(path)


def test_weights_that_moved_can_be_named_and_others_are_refused(ready, folder, tmp_path):
    first = weights_file(tmp_path / "first.pth", 1)
    run = conduct(ready("1.b", weights=first, epochs=1), tmp_path / "run")
    assert run.config["stand_ins"] == ["hashed n-grams for the Universal Sentence Encoder"]
    moved = str(shutil.move(first, tmp_path / "moved.pth"))
    with pytest.raises(InputError, match=r"first\.pth: is no weights file"):
        Answerer.load(run.folder)
    with pytest.raises(InputError, match="was trained on vision weights.*name the right ones"):
        Answerer.load(run.folder, weights=weights_file(tmp_path / "second.pth", 2))
    with pytest.raises(InputError, match="was trained on vision weights"):
        Answerer.load(run.folder, weights="random")
    dataset = read_folder(folder)
    answerer = Answerer.load(run.folder, weights=moved)
    table = dataset.splits["test"].head(6)
    given = answerer.answer(table, dataset.images, offline=True)
    kept = run.predictions[run.predictions["split"] == "test"].head(6)
    assert [row[0].text for row in given] == [answers[0] for answers in kept["answers"]]


@pytest.mark.slow
def test_a_network_that_was_trained_needs_no_source(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    path = weights_file(tmp_path / "net.pth", 1, "resnet50")
    run = conduct(ready("1.fC", data, weights=path, epochs=1), tmp_path / "run")
    (tmp_path / "net.pth").unlink()
    same_answers(run.folder, read_folder(data))


def test_huge_ids(trained):
    table = pd.DataFrame(
        {"question_id": [2**62], "image_id": [2**63 - 1], "question": ["How many?"]}
    )
    assert len(Answerer.load(trained("1.e")).answer(table, {}, offline=True)[0]) == 5
