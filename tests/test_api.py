"""A saved run answers: the same answers as when it was measured, from its folder alone."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

from tests.pieces import own_pieces
from vqa_helpers.api import load
from vqa_helpers.cli import main
from vqa_helpers.errors import InputError
from vqa_helpers.pieces import sentences
from vqa_helpers.pieces.sentences import MULTILINGUAL, _multilingual
from vqa_helpers.presets import PRESETS
from vqa_helpers.runs import Run
from vqa_helpers.training.train import train_recipe

pytestmark = pytest.mark.usefixtures("place")

OWN_FILE = own_pieces.__file__
OWN = {
    name: getattr(own_pieces, name) for name in ("Gated", "MeanColour", "CountedWords", "Cosine")
}


@pytest.fixture(scope="module")
def dataset(opened):
    return opened().dataset


@pytest.fixture(scope="module")
def trained(opened, tmp_path_factory):
    """The run folder of a recipe, trained once for all tests; it is not to be changed."""
    kept = {}

    def make(preset, **changes):
        recipe = PRESETS[preset].with_(**changes, own=OWN)
        if recipe.name not in kept:
            folder = tmp_path_factory.mktemp("runs") / "run"
            kept[recipe.name] = train_recipe(recipe, opened(), folder, epochs=2).folder
        return kept[recipe.name]

    return make


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of a run, of Question_Only if no other is named, which may be damaged."""

    def make(folder=None):
        copy = shutil.copytree(folder or trained("Question_Only"), tmp_path / "run")
        (copy / "DONE").write_text("done\n")  # as old versions left it, without sums
        return copy

    return make


def rewrite(path, change) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def same_answers(answerer, folder, dataset, split="test", stores=None) -> None:
    """Assert that the loaded run repeats its predictions of a split."""
    given = answerer.predict(dataset.splits[split], dataset.images, stores=stores)
    kept = Run(folder).predictions.query("split == @split")
    assert [[answer.text for answer in row] for row in given] == kept["answers"].tolist()
    for row, probabilities in zip(given, kept["probabilities"], strict=True):
        assert [answer.probability for answer in row] == pytest.approx(probabilities, abs=5e-6)


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "my dog.jpeg"
    Image.new("RGB", (64, 48), (220, 30, 30)).save(path)
    return path


# Predictions are repeated -----------------------------------------------------------------------


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize(
    "preset",
    ["Question_Only", "Bag_Of_Words",
     *(pytest.param(name, marks=pytest.mark.slow)
       for name in ("1.e", "Original_VQA2015_ResNet", "GloVe_ResNet", "Image_Only"))],
)  # fmt: skip
def test_predictions_are_repeated(trained, opened, dataset, preset, split, caplog):
    answerer = load(trained(preset), device="cpu")
    same_answers(answerer, trained(preset), dataset, split, opened().features / "tiny")
    assert "quite as it was trained" not in caplog.text


@pytest.mark.parametrize("loss", ["weighted cross entropy", "binary cross entropy"])
def test_probabilities_are_those_of_the_loss(trained, dataset, loss):
    folder = trained("Question_Only", set={"loss": loss})
    same_answers(load(folder, device="cpu"), folder, dataset)
    table = dataset.splits["test"].head(1)
    [every] = load(folder, device="cpu").predict(table, {}, most=1000)
    total = sum(answer.probability for answer in every)
    assert (total != pytest.approx(1)) == (loss == "binary cross entropy")


def test_neighbours_order_and_known_answers_do_not_matter(trained, dataset):
    answerer = load(trained("Original_VQA2015_ResNet"), device="cpu")
    table = dataset.splits["test"].head(9).assign(question_id=range(2**62, 2**62 + 9))
    forward = answerer.predict(table, dataset.images)
    backward = answerer.predict(table.iloc[::-1], dataset.images)[::-1]
    alone = answerer.predict(table.iloc[[4]].assign(answer="strange"), dataset.images, most=2)[0]
    for one, other in zip(forward, backward, strict=True):
        assert [a.text for a in one] == [a.text for a in other]
    assert [a.probability for a in alone] == pytest.approx([a.probability for a in forward[4][:2]])
    # Computed in memory: not the batches of the store, half floats may differ in their last bit.
    kept = Run(trained("Original_VQA2015_ResNet")).predictions
    kept = kept[kept["split"] == "test"].head(9)
    for row, probabilities in zip(forward, kept["probabilities"], strict=True):
        assert [answer.probability for answer in row] == pytest.approx(probabilities, abs=2e-3)


# Own classes --------------------------------------------------------------------------------------


def test_a_run_with_own_classes_answers_where_they_are_named(
    trained, copied, dataset, tmp_path, caplog
):
    """An own language encoder, fusion, vision network in the loop, and classifier."""
    folder = trained(
        "1.e", vision="MeanColour", language="CountedWords", fusion="Gated", classifier="Cosine",
        set={"fusion.width": "7", "classifier.sharpness": "5"},
    )  # fmt: skip
    for own in (OWN, OWN_FILE):
        same_answers(load(folder, device="cpu", own=own), folder, dataset)
    assert "quite as it was trained" not in caplog.text
    with pytest.raises(InputError, match="its vision is the class MeanColour, .*--pieces FILE.py"):
        load(folder, device="cpu")
    changed = tmp_path / "changed.py"
    source = Path(OWN_FILE).read_text(encoding="utf-8")
    changed.write_text(source.replace("torch.sigmoid", "torch.tanh"), encoding="utf-8")
    load(folder, device="cpu", own=changed)
    changed = "quite as it was trained, the code of Gated has changed; answers may be others"
    assert changed in caplog.text
    caplog.clear()
    rewrite(copied(folder) / "config.json", lambda config: config.update(structure="another"))
    load(tmp_path / "run", device="cpu", own=OWN)
    assert "quite as it was trained; answers may be others than the run's" in caplog.text


# Photographs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vision", [{}, {"vision": "MeanColour"}], ids=["stored", "in the loop"])
def test_what_cannot_be_seen_is_told(trained, dataset, tmp_path, vision):
    table = dataset.splits["test"].head(9)  # three images
    ids = table["image_id"].unique().tolist()
    broken = tmp_path / f"{ids[0]}.png"
    broken.write_bytes(dataset.images[ids[0]].read_bytes()[:50])
    images = {ids[0]: broken, ids[2]: dataset.images[ids[2]]}
    answerer = load(trained("1.e", **vision), device="cpu", own=OWN)
    for stores in (None, tmp_path / "stores"):
        assert len(answerer.predict(table, images, stores=stores)) == 9
        assert list(answerer.unreadable) == [ids[0]] and answerer.unreadable[ids[0]]
        answerer.predict(table.tail(3), images, stores=stores)
        assert answerer.unreadable == {}


@pytest.mark.parametrize("question", ["What color?", "???", "wörter 字 🤖", "x" * 5000])
@pytest.mark.parametrize("preset", ["1.e", "Original_VQA2015_ResNet", "Question_Only"])
def test_any_question_gets_an_answer(trained, photograph, preset, question, caplog):
    answers = load(trained(preset), device="cpu").answer(photograph, question)
    chances = [answer.probability for answer in answers]
    assert len(chances) == 5 and chances == sorted(chances)[::-1] and sum(chances) <= 1.00001
    known = "holds no word that the model knows" not in caplog.text
    assert known == (preset == "1.e" or question == "What color?")  # sentences are of any words


def test_what_cannot_be_asked_is_one_line(trained, tmp_path):
    answerer = load(trained("1.e"), device="cpu")
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    for image, question, message in (
        ("a.png", "  \n", "the question is empty; ask something"),
        ("none.png", "What is it?", r"none\.png: the file is missing"),
        ("text.png", "What is it?", r"text\.png: is not an image"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message) as caught:
            answerer.answer(tmp_path / image, question)
        assert "\n" not in str(caught.value)
    # A model that sees no image does not look at one.
    assert load(trained("Question_Only"), device="cpu").answer(tmp_path / "none.png", "How many?")


# Runs that cannot answer --------------------------------------------------------------------------


@pytest.mark.parametrize("sums", [True, False], ids=["with sums", "old"])
@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json", "config.json", "DONE"])
def test_a_run_that_lost_a_file_names_it(trained, copied, name, sums):
    copy = copied()
    if sums:
        shutil.copy(trained("Question_Only") / "DONE", copy / "DONE")
    (copy / name).unlink()
    with pytest.raises(InputError, match="no finished run" if name == "DONE" else name):
        load(copy)


def of(slot, **changes):
    """Change the record of a piece, or its keywords."""

    def damage(config):
        record = config["model"][slot]
        (record if "class" in changes else record["keywords"]).update(changes)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda config, name=name: config.pop(name)
          for name in ("model", "structure", "image_size_px", "weights_source", "loss", "dataset")),
        *(lambda config, model=model: config.update(model=model)
          for model in ([], None, "model", 3, {})),
        lambda config: config["model"].pop("fusion"),
        lambda config: config["model"].update(classifier=3),
        of("language", **{"class": "os.system"}), of("language", **{"class": "evil", "code": "x"}),
        of("language", heads=8), of("language", hidden="many"), of("classifier", hidden=["x"]),
    ],
)  # fmt: skip
def test_a_damaged_config_is_one_line_and_runs_nothing(copied, damage, tmp_path, monkeypatch):
    copy = copied()
    rewrite(copy / "config.json", damage)
    for place in (copy, tmp_path):
        monkeypatch.syspath_prepend(str(place))
        (place / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(InputError) as caught:
        load(copy)
    assert "\n" not in str(caught.value) and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("structure", 3), ("weights_source", []), ("image_size_px", "32"), ("dataset", 3),
     ("question_source", {}), ("loss", "hinge"), ("model", 3), ("stand_ins", None)],
)  # fmt: skip
def test_a_field_that_no_run_has_is_named_with_its_file(copied, name, value):
    copy = copied()
    rewrite(copy / "config.json", lambda config: config.update({name: value}))
    with pytest.raises(InputError, match=rf"^{copy}/config\.json: '{name}' is no"):
        load(copy)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "metrics.json"])
def test_json_that_is_nested_too_deeply_is_no_traceback(copied, photograph, name):
    copy = copied()
    rewrite(copy / name, lambda content: None)  # without its sum
    (copy / name).write_text("[" * 100_000)
    if name == "metrics.json":  # answering needs none
        assert len(load(copy, device="cpu").answer(photograph, "Who?")) == 5
        return
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        load(copy)


def test_a_vocabulary_of_another_run_is_refused(copied):
    copy = copied()
    rewrite(copy / "vocabulary.json", lambda content: content["answers"].append("one more"))
    with pytest.raises(InputError, match="does not fit the run's configuration"):
        load(copy)


# Frozen parts from elsewhere ----------------------------------------------------------------------


def test_weights_that_moved_can_be_named_and_others_are_refused(opened, dataset, tmp_path, caplog):
    first, second, moved = (str(tmp_path / f"{name}.pth") for name in ("first", "second", "moved"))
    for path in (first, second):
        torch.save(torchvision.models.resnet18().state_dict(), path)
    run = train_recipe(PRESETS["1.b"], opened(weights=first), tmp_path / "run", epochs=1)
    shutil.move(first, moved)
    with pytest.raises(InputError, match=r"first\.pth: is no weights file"):
        load(run.folder)
    for other in (second, "random"):
        with pytest.raises(InputError, match="was trained with file, sha256 .* --weights FILE"):
            load(run.folder, weights=other)
    answerer = load(run.folder, device="cpu", weights=moved)
    same_answers(answerer, run.folder, dataset, stores=tmp_path / "stores")
    assert "quite as it was trained" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "size"), [("Model100", 22e6), ("1.fC", 100e6)])
def test_a_network_in_the_loop_is_given_back(opened, dataset, tmp_path, preset, size):
    """One that was trained needs no source; a frozen one is not saved (ResNet18 has 47 MB)."""
    recipe = PRESETS[preset].with_(vision="resnet18")
    weights = tmp_path / "net.pth"
    torch.save(torchvision.models.resnet18().state_dict(), weights)
    run = train_recipe(recipe, opened(weights=str(weights)), tmp_path / "run", epochs=1)
    assert (run.folder / "model.safetensors").stat().st_size < size
    if preset == "1.fC":
        weights.unlink()
    same_answers(load(run.folder, device="cpu"), run.folder, dataset)


def test_another_sentence_encoder_is_refused_and_a_moved_one_named(
    trained, opened, dataset, tmp_path, monkeypatch
):
    def embed(source, questions, width):
        return _multilingual().encode(questions)

    monkeypatch.setattr(sentences, "embed_in_subprocess", embed)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(folder.name.encode())
    data = opened(sentence_encoder=first, features=tmp_path / "features")
    run = train_recipe(PRESETS["1.b"], data, tmp_path / "run", epochs=1)
    with pytest.raises(InputError, match="the sentence encoder '.*first'; name its folder with --"):
        load(run.folder)  # what a run folder names is not run, though it is here
    moved = first.rename(tmp_path / "moved")
    for other in (second, MULTILINGUAL):
        with pytest.raises(InputError, match="was trained with universal.*--sentence-encoder DIR"):
            load(run.folder, encoder=other)
    answerer = load(run.folder, device="cpu", encoder=moved)
    same_answers(answerer, run.folder, dataset, stores=data.features / "tiny")
    line = "was trained with universal-sentence-encoder-multilingual-3, .*, which is not what"
    with pytest.raises(InputError, match=line):
        load(trained("1.e"), encoder=moved)


def test_a_run_that_reads_words_needs_no_sentence_encoder_and_minds_none(
    trained, dataset, tmp_path
):
    folder = trained("Question_Only")
    same_answers(load(folder, device="cpu", encoder=tmp_path), folder, dataset)


# The ways to ask ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeing(trained):
    return load(trained("1.e"), device="cpu")


def test_a_file_an_image_and_an_array_are_one_photograph(seeing, photograph):
    with Image.open(photograph) as image:
        pixels = np.asarray(image)
        asked = [str(photograph), photograph, image, pixels]
        answers = [seeing.answer(one, "What color?") for one in asked]
    assert len(answers[0]) == 5 and answers[0].text == answers[0][0].text
    assert len({str(each) for each in answers}) == 1
    first, *_ = str(answers[0]).splitlines()
    assert first.split("%")[1].strip() == answers[0].text
    png = answers[3]._repr_png_()
    with Image.open(io.BytesIO(png)) as card:
        seen = np.asarray(card.convert("RGB"))[60, 60]
    assert seen.tolist() == pytest.approx([220, 30, 30], abs=4)  # of 256 colours


def alike(given, alone) -> None:
    """Assert that many were answered as one by one."""
    assert [answers.text for answers in given] == [answers.text for answers in alone]
    chances = [answers[0].probability for answers in alone]
    assert [answers[0].probability for answers in given] == pytest.approx(chances, abs=2e-4)


def test_many_are_answered_as_one_by_one(seeing, photograph, tmp_path):
    other = tmp_path / "other.png"
    Image.new("RGB", (50, 50), (0, 0, 255)).save(other)
    asked = ["What color?", "How many cats?"]
    alone = [[seeing.answer(p, q) for q in asked] for p in (photograph, other)]
    alike(seeing.answer(photograph, asked), alone[0])
    alike(seeing.answer([photograph, other], asked[0]), [alone[0][0], alone[1][0]])
    for of in (list, tuple, pd.Series):
        alike(seeing.answer(of([photograph, other]), of(asked)), [alone[0][0], alone[1][1]])
    alike(seeing.answer(photograph, np.array(asked)), alone[0])
    names = np.array([str(photograph), other.as_posix()])
    alike(seeing.answer(names, asked[0]), [alone[0][0], alone[1][0]])
    batch = np.stack([np.full((20, 30, 3), shade, np.uint8) for shade in (0, 255)])
    alike(seeing.answer(batch, asked[0]), [seeing.answer(one, asked[0]) for one in batch])
    assert seeing.answer([], []) == []
    with pytest.raises(InputError, match="2 photographs and 3 questions; give as many, or one"):
        seeing.answer([photograph, other], ["a?", "b?", "c?"])


def test_a_table_is_answered_row_by_row(seeing, trained, photograph, caplog):
    asked = {"image": [photograph, "none.png", photograph], "question": ["What?", "Why?", "Who?"]}
    table = pd.DataFrame(asked, index=[7, 8, 9])
    answered = seeing.answer(table, most=3)
    assert answered.index.tolist() == [7, 8, 9] and list(table) == ["image", "question"]
    assert "is replaced" not in caplog.text
    seeing.answer(table[2:].assign(answer="a truth"))
    assert "the table's own 'answer' is replaced in the result" in caplog.text
    with pytest.raises(InputError, match="a table has its questions in a column"):
        seeing.answer(table, "Who?")
    alone = seeing.answer(photograph, "Who?", most=3)
    assert answered.loc[9, "answers"] == [answer.text for answer in alone]
    assert answered.loc[9, "probability"] == pytest.approx(alone[0].probability, abs=2e-4)
    assert answered["answer"].isna().tolist() == [False, True, False]
    assert answered.loc[8, "answers"] == []
    assert "none.png: the file is missing; its questions are not answered" in caplog.text
    with pytest.raises(InputError, match="no column 'image' but picture, question; rename one"):
        seeing.answer(table.rename(columns={"image": "picture"}))
    blind = load(trained("Question_Only"), device="cpu").answer(table[["question"]])
    assert blind["answer"].notna().all()


def test_a_table_with_cells_that_hold_no_photograph(seeing, photograph, caplog):
    for nothing in (None, np.nan, pd.NA, 3, "", "a\0b"):
        table = pd.DataFrame({"image": [photograph, nothing], "question": ["Who?", "What color?"]})
        answered = seeing.answer(table.astype({"image": object}))
        assert answered["answer"].isna().tolist() == [False, True]
        assert "its questions are not answered" in caplog.text
        caplog.clear()
    with pytest.raises(InputError, match="question 2 is empty; ask something"):
        seeing.answer(pd.DataFrame({"image": [photograph] * 2, "question": ["Who?", np.nan]}))


@pytest.mark.parametrize("command", ["ask", "why"])
def test_an_address_is_no_photograph(trained, capsys, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    run = str(trained("1.e"))
    assert main([command, run, "https://example.org/a.jpg", "What?"]) == 2
    line = "vqa: https://example.org/a.jpg: is an address, and nothing is downloaded here; give a"
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [None, 5, np.nan, b"What?", [None], "Caf\udce9?"])
def test_what_is_no_question_is_one_line(seeing, photograph, wrong):
    with pytest.raises(InputError, match="the question is (empty|not UTF-8)"):
        seeing.answer(photograph, wrong)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((3, 4, 5, 6)), "x", np.zeros((4, 4, 5), np.uint8), 3, 3.5, None, np.uint8(3),
     np.zeros((0, 0, 3), np.uint8), np.zeros(9, np.uint8)],
)  # fmt: skip
def test_what_is_no_photograph_is_one_line(seeing, wrong):
    with pytest.raises(InputError) as caught:
        seeing.answer(wrong, "What?")
    assert "\n" not in str(caught.value) and "give a" in str(caught.value)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3"])
def test_a_count_below_one_is_refused(seeing, photograph, wrong):
    with pytest.raises(InputError, match=rf"most is {wrong!r}; give a whole number from 1 on"):
        seeing.answer(photograph, "What?", most=wrong)
