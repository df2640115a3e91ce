"""The page of a model's answers: its questions where the dataset is at hand, their numbers else."""

import shutil

import pytest

from tests.builders import write_dataset
from tests.report import samples
from tests.report.browser import check_reads_well, without_script
from tests.report.samples import NO_RUNS, answers_page
from vqa_helpers.data.folder import open_dataset
from vqa_helpers.data.subset import keep_train
from vqa_helpers.errors import InputError
from vqa_helpers.report import answers
from vqa_helpers.report.site import build_site
from vqa_helpers.report.verdicts import as_one
from vqa_helpers.runs import Run


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
    assert answers.find_dataset(run) is None


def test_what_was_cut_from_a_dataset_has_its_questions(tmp_path, mine):
    whole = open_dataset(mine[0], 3)
    asked = keep_train(whole, 8).splits["test"]
    rows = [
        samples.prediction(row.question_id, [row.answer, "no"], row.answer, image_id=row.image_id)
        for row in asked.itertuples()
    ]

    def run_on(name: str, rows: list[dict]) -> Run:
        run = Run(samples.write_run(tmp_path / "cut", dataset=name, predictions=rows))
        run.environment["data"], run.split["seed"] = str(mine[0]), 3
        return run

    run = run_on("mine-8", rows)
    page = answers.answers_page(as_one(run), answers.find_dataset(run), "a.html")
    assert page.rows["question"].tolist() == asked["question"].tolist() and page.known
    assert page.dataset == "mine-8"
    changed = [*rows[:-1], rows[-1] | {"truth": "another answer"}]
    added = [*rows, rows[0] | {"question_id": 10**6}]
    for name, other in ("mine-changed", changed), ("mine-added", added), ("mines", rows):
        assert answers.find_dataset(run_on(name, other)) is None


def test_rows_hold_the_question_and_how_it_was_answered(run, dataset):
    page = answers.answers_page(as_one(run), dataset, "a.html")
    assert page.rows["outcome"].tolist() == ["hit", "top five", "miss"] * 4
    assert page.rows["question"].tolist() == samples.questions()["question"].tolist()
    assert set(page.rows["answer_type"]) == {"other", "number", "yes/no"}
    assert (page.split, page.questions, page.known, page.seed) == ("test", 12, True, 0)
    page = answers.answers_page(as_one(run), None, "a.html")
    assert page.rows["question"].tolist()[:2] == ["Question 1", "Question 2"]
    assert page.rows["outcome"].tolist() == ["hit", "top five", "miss"] * 4
    assert page.rows["answer_type"].isna().all() and not page.known


def test_of_too_many_some_are_drawn_in_their_order(run, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 5)
    page = answers.answers_page(as_one(run), None, "a.html")
    ids = page.rows["question_id"].tolist()
    assert len(ids) == 5 and ids == sorted(ids) and ids != [1, 2, 3, 4, 5]
    assert page.questions == 12


def test_a_file_of_records_is_found_and_images_are_called_by_name(tmp_path):
    lines = ["image,question,answer,split"]
    for split in ("train", "val", "test"):
        lines += [f"{split}{n}.png,Is it {n}?,a{n},{split}" for n in range(4)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    said = samples.right_rows(path)
    run = Run(samples.write_run(tmp_path / "runs", dataset="mine", predictions=said))
    run.environment["data"] = str(path)
    page = answers.answers_page(as_one(run), answers.find_dataset(run), "a.html")
    assert page.rows["image_id"].tolist() == [f"test{n}.png" for n in range(4)]


# What is typed or chosen; how many fit, how many are shown.
SEARCH = """((selector, value) => {
    const box = document.querySelector(".search " + selector), start = performance.now();
    box.value = value;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    const shown = [...document.querySelectorAll(".answers li")].filter((row) => row.checkVisibility());
    return [document.querySelector("output").textContent, shown.length,
            document.querySelector(".more").checkVisibility(), performance.now() - start];
})"""


def test_answers_are_searched_and_filtered(browser, tmp_path) -> None:
    index = build_site([], tmp_path / "out", scores=NO_RUNS, answers=[answers_page(240)])
    page = index.with_name("answers-1.html")
    check_reads_well(browser, page, [320, 390, 1280])
    assert browser.run("typeof window.ran") == "undefined"
    browser.run("click('.more')")
    assert browser.run("document.querySelectorAll('.answers .shown').length") == 200
    for box, value, fitting in (
        ("input", "WHEELS  has 12", 13), ("[name=outcome]", "hit", 5), ("input", "", 80),
        ("[name=outcome]", "near miss", 160), ("[name=type]", "number", 80),
        ("[name=outcome]", "near", 40), ("input", "onerror", 0),
    ):  # fmt: skip
        found = browser.run(f"{SEARCH}('{box}', '{value}')")[:3]
        assert found == [f"{fitting} of 240", min(fitting, 100), fitting > 100], (box, value)
    browser.open(without_script(page, tmp_path))
    seen = "[...document.querySelectorAll('.answers li')].filter((row) => row.checkVisibility())"
    assert browser.run(f"{seen}.length") == 240
    assert not browser.run("isVisible('.search')")


@pytest.mark.slow
def test_twenty_thousand_answers_stay_usable(browser, tmp_path) -> None:
    index = build_site([], tmp_path / "out", scores=NO_RUNS, answers=[answers_page(20_000)])
    browser.open(index.with_name("answers-1.html"), 390)
    for words, fitting in (("19998", "1"), ("bus", "19,999"), ("", "20,000")):
        said, shown, _, took_ms = browser.run(f"{SEARCH}('input', '{words}')")
        assert said == f"{fitting} of 20,000" and shown <= 100
        assert took_ms < 1500  # 20 to 200 by itself; numbered list items took 6,000
