"""The page of a model's answers: its questions where the dataset is at hand, their numbers else."""

import shutil

import pytest

from tests.builders import write_dataset
from tests.report import samples
from vqa_helpers.data.folder import open_dataset
from vqa_helpers.errors import InputError
from vqa_helpers.report import answers
from vqa_helpers.runs import Experiment, Run


@pytest.fixture
def mine(tmp_path):
    """A dataset whose validation and test are cut with seed 3, and a run that learnt from it."""
    folder = write_dataset(tmp_path / "mine", images=20, splits=("train",))
    run = Run(samples.write_run(tmp_path / "runs", dataset="mine"))
    run.config["data_sha256"] = open_dataset(folder, 3).sha256()
    run.environment["data"], run.split["seed"] = str(folder), 3
    return folder, run


def test_the_dataset_is_found_where_it_lay_where_it_is_now_and_below_data(
    mine, tmp_path, monkeypatch
):
    folder, run = mine
    monkeypatch.chdir(tmp_path)
    assert answers.find_dataset(run).folder == folder
    moved = tmp_path / "away" / "mine"
    shutil.move(folder, moved)
    assert answers.find_dataset(run) is None
    assert answers.find_dataset(run, [moved]).folder == moved
    shutil.move(moved, tmp_path / "data" / "mine")
    assert answers.find_dataset(run).folder.resolve() == tmp_path / "data" / "mine"
    with pytest.raises(InputError, match="empty"):
        answers.find_dataset(run, [tmp_path / "empty"])


def test_data_that_changed_or_lack_images_are_told(mine, caplog):
    folder, run = mine
    shutil.rmtree(folder / "images")
    assert answers.find_dataset(run).images == {}
    assert "has no images" in caplog.text
    text = (folder / "questions_train.json").read_text().replace("How many", "Count the")
    (folder / "questions_train.json").write_text(text)
    caplog.clear()
    assert answers.find_dataset(run) is None
    assert "mine: its questions are not at hand, or changed" in caplog.text


def test_rows_hold_the_question_and_how_it_was_answered(tmp_path, dataset):
    experiment = Experiment("V", "demo", (Run(samples.write_run(tmp_path)),))
    page = answers.answers_page(experiment, dataset, "a.html")
    assert page.rows["outcome"].tolist() == ["hit", "top five", "miss"] * 4
    assert page.rows["question"].tolist() == samples.questions()["question"].tolist()
    assert set(page.rows["answer_type"]) == {"other", "number", "yes/no"}
    assert (page.split, page.questions, page.known, page.seed) == ("test", 12, True, 0)
    page = answers.answers_page(experiment, None, "a.html")
    assert page.rows["question"].tolist()[:2] == ["Question 1", "Question 2"]
    assert page.rows["outcome"].tolist() == ["hit", "top five", "miss"] * 4
    assert page.rows["answer_type"].isna().all() and not page.known


def test_of_too_many_some_are_drawn_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 5)
    page = answers.answers_page(
        Experiment("V", "demo", (Run(samples.write_run(tmp_path)),)), None, "a.html"
    )
    ids = page.rows["question_id"].tolist()
    assert len(ids) == 5 and ids == sorted(ids) and ids != [1, 2, 3, 4, 5]
    assert page.questions == 12


def test_a_file_of_records_is_found_and_images_are_called_by_name(tmp_path):
    lines = [
        f"{split}{n}.png,Is it {n}?,a{n},{split}"
        for split in ("train", "val", "test")
        for n in range(4)
    ]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["image,question,answer,split", *lines]), encoding="utf-8")
    test = open_dataset(path).splits["test"]
    said = [
        {"split": "test", "question_id": row.question_id, "image_id": row.image_id, "blind": "a1", "vqa": None,
         "answers": [row.answer, "other"], "probabilities": [0.9, 0.1], "truth": row.answer}
        for row in test.itertuples()
    ]  # fmt: skip
    run = Run(samples.write_run(tmp_path / "runs", dataset="mine", predictions=said))
    run.environment["data"] = str(path)
    page = answers.answers_page(
        Experiment("V", "mine", (run,)), answers.find_dataset(run), "a.html"
    )
    assert page.rows["image_id"].tolist() == [f"test{n}.png" for n in range(4)]
