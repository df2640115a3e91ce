"""Published models beside ours: measured as they are, fine-tuned, in one table."""

import re

import pytest

from tests.builders import write_dataset
from tests.published import write_published
from vqa_helpers.api import load
from vqa_helpers.cli import main
from vqa_helpers.errors import InputError
from vqa_helpers.presets import find_preset
from vqa_helpers.training.train import train_recipe

pytest.importorskip("transformers")

HEAD = ["yes", "no", "1", "2", "3", "red", "green", "blue", "purple"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return {kind: f"hf:{write_published(folder / kind, kind, HEAD)}" for kind in ("vilt", "blip")}


@pytest.mark.parametrize("kind", ["vilt", "blip"])
def test_zero_shot_leaves_a_run_that_answers_and_stands_beside_ours(
    published, opened, trained, tmp_path, capsys, kind
):
    data = opened()
    run = train_recipe(find_preset(published[kind]), data, tmp_path / kind, zero_shot=True)
    run.verify()
    before = (run.folder / "DONE").stat().st_mtime_ns
    again = train_recipe(find_preset(published[kind]), data, run.folder, zero_shot=True)
    assert (again.folder / "DONE").stat().st_mtime_ns == before  # it is finished
    assert run.name == f"{published[kind]}+epochs=0" and run.config["epochs"] == 0
    assert list(run.history["epoch"]) == [0]
    assert run.timing["train_s"] == 0
    scores = run.metrics["validation"]
    assert run.history["validation_top1"][0] == pytest.approx(scores["top1"]["value"], abs=0.01)
    assert scores["ceiling"]["top1"] == 100  # the answers of train, as for our models

    # It says what the published model says, of these answers.
    rows = run.predictions.query("split == 'validation'").reset_index(drop=True)
    table = data.dataset.splits["validation"]
    answerer = load(run.folder, device="cpu")
    given = answerer.predict(table, data.dataset.images)
    assert [[answer.text for answer in row] for row in given] == rows["answers"].tolist()
    if kind == "vilt":
        every = load(published[kind], device="cpu").predict(table, data.dataset.images, most=9)
        known = [[a.text for a in row if a.text in data.answers.ids] for row in every]
        assert [row[:5] for row in known] == rows["answers"].tolist()

    ours = trained("1.c")
    assert main(["report", "--table", "--runs", str(run.folder), str(ours)]) == 0
    assert "epochs=0" in (shown := capsys.readouterr().out) and "1.c" in shown
    assert main(["compare", str(run.folder), str(ours)]) == 0
    assert "points" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vilt", "blip"])
def test_fine_tuning_learns_a_few_questions_by_heart(published, opened, tmp_path, kind):
    data = opened(write_dataset(tmp_path / "few", images=3))
    rate = {"vilt": 1e-2, "blip": 3e-3}[kind]
    settings = {"learning_rate": rate, "batch": 9, "accumulate": 2}
    recipe = find_preset(published[kind]).with_(set=settings)
    run = train_recipe(recipe, data, tmp_path / "run", epochs=35)
    assert f"learning_rate={rate}" in run.name and "epochs" not in run.name
    assert run.history["train_top1"].max() == 100
    first, last = run.history["train_loss"].iloc[[0, -1]]
    assert last < first / 10
    assert load(run.folder, device="cpu").answers == data.answers


def test_the_command_line_trains_and_predicts_by_name(published, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = published["vilt"]
    words = ["train", name, "--data", str(folder), "--zero-shot", "--offline"]
    assert main([*words, "--device", "cpu"]) == 0
    [run] = tmp_path.glob("runs/tiny/*/0")
    assert run.parent.name == re.sub("[:/]+", "-", f"{name}+epochs=0")
    results = tmp_path / "results.json"
    words = ["predict", name, "--questions", str(folder / "questions_val.json")]
    words += ["--images", str(folder), "--out", str(results), "--device", "cpu"]
    assert main(words) == 0
    questions, truth = folder / "questions_val.json", folder / "annotations_val.json"
    words = ["evaluate", "--questions", str(questions), "--annotations", str(truth)]
    assert main([*words, "--results", str(results)]) == 0


def test_what_does_not_fit_a_published_model_is_one_line(published, opened, tmp_path):
    data = opened()
    for changed in ({"vision": "resnet18"}, {"language": "WordLSTM"}, {"classifier": "Funnel"}):
        recipe = find_preset(published["vilt"])
        line = "of a published model go together|no keyword|no value"
        with pytest.raises(InputError, match=line):
            train_recipe(recipe.with_(**changed), data, tmp_path / "run")
    ours = find_preset("1.c").with_(vision="resnet18")
    with pytest.raises(InputError, match=r"1\.c: has learnt nothing yet; zero-shot is for hf:NAME"):
        train_recipe(ours, data, tmp_path / "r", zero_shot=True)
