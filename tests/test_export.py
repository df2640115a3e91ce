"""A run that was taken elsewhere answers as it did."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

from tests.builders import write_dataset
from tests.pieces import own_pieces
from vqa_helpers.api import load
from vqa_helpers.errors import InputError
from vqa_helpers.export import card, export
from vqa_helpers.features.pixels import load_square
from vqa_helpers.presets import PRESETS
from vqa_helpers.runs import Run
from vqa_helpers.training.inputs import open_data
from vqa_helpers.training.train import train_recipe

pytestmark = pytest.mark.usefixtures("place")

OWN = {"MeanColour": own_pieces.MeanColour, "Gated": own_pieces.Gated}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", images=12)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """The run folder of a recipe, trained once."""
    kept = {}

    def make(preset, weights="random", size_px=32, **changes):
        name = f"{preset} {weights} {changes}"
        if name not in kept:
            data = open_data(
                folder, weights=str(weights), image_size=size_px, offline=True, device="cpu",
                features=tmp_path_factory.mktemp("features"), precision="float32",  # as ONNX has it
            )  # fmt: skip
            recipe = PRESETS[preset].with_(**changes, own=OWN)
            out = tmp_path_factory.mktemp("runs") / "run"
            kept[name] = train_recipe(recipe, data, out, epochs=1).folder
        return kept[name]

    return make


@pytest.fixture
def photographs(tmp_path):
    chance = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for path in paths:
        Image.fromarray(chance.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    return paths


WORDS = ["what", "color", "is", "the", "ground", "how", "many", "cats", "are", "there", "zebra"]


def questions(count: int) -> list[str]:
    chance = np.random.default_rng(1)
    return [" ".join(chance.choice(WORDS, chance.integers(1, 12))) + "?" for _ in range(count)]


# The folder ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["1.e", "Question_Only"])
def test_the_exported_folder_answers_alike(trained, photographs, tmp_path, preset, caplog):
    out = export(trained(preset), tmp_path / "out")
    asked = pd.DataFrame({"image": photographs * 2, "question": questions(20)})
    there, here = load(trained(preset), device="cpu"), load(out, device="cpu")
    pd.testing.assert_frame_equal(here.answer(asked), there.answer(asked))
    assert here.about == there.about
    assert "quite as it was trained" not in caplog.text
    small = export(trained(preset), tmp_path / "small", half=True)
    name = "model.safetensors"
    assert (small / name).stat().st_size < 0.55 * (out / name).stat().st_size
    halved = load(small, device="cpu").answer(asked)["probability"]
    assert halved.tolist() == pytest.approx(there.answer(asked)["probability"].tolist(), abs=5e-3)
    with pytest.raises(InputError, match="small: exists already; name a new folder"):
        export(trained(preset), small)


def test_weights_that_nobody_publishes_travel_along(trained, photographs, tmp_path, caplog):
    weights = tmp_path / "mine.pth"
    torch.save(torchvision.models.resnet18().state_dict(), weights)
    run = trained("1.b", weights=weights)
    before = load(run, device="cpu").answer(photographs[0], "what is it?")
    out = export(run, tmp_path / "out")
    weights.unlink()
    with pytest.raises(InputError, match=r"mine\.pth: is no weights file"):
        load(run)
    moved = out.rename(tmp_path / "moved")
    assert str(load(moved, device="cpu").answer(photographs[0], "what is it?")) == str(before)
    assert "quite as it was trained" not in caplog.text


def test_a_run_answers_on_another_version_of_torch(trained, photographs, monkeypatch, caplog):
    before = load(trained("1.e"), device="cpu").answer(photographs[0], "what is it?")
    monkeypatch.setattr(torch, "__version__", "3.0.0")
    assert str(load(trained("1.e"), device="cpu").answer(photographs[0], "what is it?")) == str(
        before
    )
    assert "torch 3.0.0" in caplog.text


def test_the_card_says_what_the_run_measured(trained, tmp_path):
    run = trained("1.e")
    text = (export(run, tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    head, _, body = text.removeprefix("---\n").partition("---\n")
    assert "pipeline_tag: visual-question-answering" in head.splitlines()
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert f"{metrics['top1']['value']:.1f} [" in body and "Scores, test" in body
    assert "random-weight vision" in body and "blind top-1" in body
    again = export(tmp_path / "out", tmp_path / "again", half=True)  # without the predictions
    assert (again / "README.md").read_text(encoding="utf-8") == text
    assert 'vqa ask . photo.jpg "what is on the table?"\n' in body
    own = card(Run(trained("1.e", fusion="Gated")))
    assert 'vqa ask . photo.jpg "what is on the table?" --pieces FILE.py' in own
    assert "Vision weights: none. Sentences: none." in card(Run(trained("Question_Only")))


# ONNX ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "changes"),
    [("Improved_VQA2015_ResNet", {"vision": "efficientnet_lite0"}),
     ("GloVe_ResNet", {"vision": "MeanColour"}), ("Bag_Of_Words", {}),
     ("Image_Only", {"vision": "MeanColour"}),
     ("1.fC", {"vision": "test_resnet", "set": {"vision.trained": "last block"}}),
     ("1.e", {"vision": "StoredGrid", "language": "WordStates", "fusion": "CoAttention",
              "set": {"vision.network": "test_resnet", "fusion.layers": 1}}),
     ("1.e", {"vision": "MeanColour", "language": "GloveWords", "fusion": "ImageFirst"}),
     ("1.e", {"vision": "MeanColour", "language": "WordLSTM", "fusion": "MCB",
              "set": {"fusion.width": 64}})],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_onnx_gives_the_same_five_answers(trained, photographs, tmp_path, preset, changes, recwarn):
    """A thousand questions, those of one length at a time; `MeanColour` has a name of its own for
    the image."""
    # MCB's signed root enlarges what two Fourier transforms round differently: of 1e-7 it is 3e-4.
    near = 1e-2 if changes.get("fusion") == "MCB" else 1e-4
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    out = export(trained(preset, **changes), tmp_path / "out", onnx=True, own=OWN)
    told = [str(warning.message) for warning in recwarn]
    assert not [line for line in told if "training mode" in line or "axis name" in line]
    answerer = load(out, device="cpu", own=OWN)
    texts, model = questions(1000), answerer.model
    table = pd.DataFrame({"question_id": range(1000), "image_id": np.arange(1000) % 10})
    ours = answerer.predict(table.assign(question=texts), dict(enumerate(photographs)))
    answer = onnxruntime.InferenceSession(out / "answer.onnx")
    sides = [*answer.get_inputs(), *answer.get_outputs()]
    assert {side.shape[0] for side in sides} == {"B"}
    vectors = None
    if model.vision is not None:
        squares = [load_square(path, 32).transpose(2, 0, 1) for path in photographs]
        image = onnxruntime.InferenceSession(out / "image.onnx")
        [vectors] = image.run(None, {"image": np.stack(squares)})
    read = model.encode(texts, answerer.words)
    lengths = read[1].numpy() if len(read) > 1 else np.zeros(1000, int)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        given = {}
        if vectors is not None:
            given["image"] = vectors[rows % 10]
        if read:
            given["question"] = read[0][rows].numpy()
        if read and len(read) > 1:
            given["question"] = given["question"][
                :, : max(length, 3 if preset == "Bag_Of_Words" else 1)
            ]
        [chances] = answer.run(None, given)
        for row, chance in zip(rows, chances, strict=True):
            mine = {a.text: a.probability for a in ours[row]}
            theirs = np.argsort(-chance, kind="stable")[:5]
            assert chance[theirs].tolist() == pytest.approx([*mine.values()], abs=near)
            for place, text in zip(theirs, mine, strict=True):
                other = answerer.answers.answers[
                    place
                ]  # two that are as probable may change places
                assert other == text or chance[place] == pytest.approx(mine[text], abs=near)


def test_what_onnx_lacks_is_one_line(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match="ONNX needs onnxscript; pip install onnx onnxscript"):
        export(trained("Question_Only"), tmp_path / "out", onnx=True)
    assert not (tmp_path / "out").exists()
