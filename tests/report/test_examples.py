"""Examples: chosen by rule, each about another image."""

import pandas as pd
import pytest

from tests.report import samples
from vqa_helpers.data.folder import Dataset
from vqa_helpers.report.examples import best_run, by_weight, choose_examples, examples_of
from vqa_helpers.runs import Run


def row(number: int, image: int, answers: list[str], sure: float, truth: str, blind: str) -> dict:
    return {
        "split": "test", "question_id": number, "image_id": image, "answers": answers,
        "probabilities": [sure, 0.9 - sure], "truth": truth, "vqa": None, "blind": blind,
    }  # fmt: skip


ROWS = [
    row(1, 1, ["yes", "no"], 0.9, "yes", "yes"),  # surer, but a blind guess gets it too
    row(2, 2, ["red", "blue"], 0.7, "red", "blue"),
    row(3, 2, ["red", "blue"], 0.6, "blue", "red"),  # near, but of an image that is shown already
    row(4, 3, ["red", "blue"], 0.65, "blue", "red"),
    row(5, 4, ["red", "blue"], 0.8, "green", "red"),
    row(6, 5, ["red", "blue"], 0.5, "green", "red"),
]


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    table = pd.DataFrame(
        {
            "question_id": [row["question_id"] for row in ROWS],
            "image_id": [row["image_id"] for row in ROWS],
            "question": [f"question {row['question_id']}" for row in ROWS],
        }
    )
    return Dataset("demo", tmp_path, {"test": table}, {}, "demo", 0)


def test_each_rule_finds_its_question(tmp_path, dataset) -> None:
    run = Run(samples.write_run(tmp_path, predictions=ROWS))
    chosen = [(one.outcome, one.question, one.truth) for one in choose_examples(run, dataset)]
    assert chosen == [
        ("hit", "question 2", "red"), ("top five", "question 4", "blue"),
        ("miss", "question 5", "green"),
    ]  # fmt: skip


def test_rules_that_nothing_fits_are_left_out(tmp_path, dataset) -> None:
    run = Run(samples.write_run(tmp_path, predictions=ROWS[:1]))
    [only] = choose_examples(run, dataset)
    assert (only.outcome, only.question, only.picture) == ("hit", "question 1", None)
    none = Run(
        samples.write_run(tmp_path, "1.b", predictions=[row(9, 9, ["a"] * 2, 0.5, "a", "b")])
    )
    assert choose_examples(none, dataset) == []


def test_validation_chooses_the_run(tmp_path) -> None:
    weak = samples.metrics(70.0)
    weak["validation"] = samples.scores(10.0)
    runs = [Run(samples.write_run(tmp_path, "1.b", metrics=weak)),
            Run(samples.write_run(tmp_path, "1.e", metrics=samples.metrics(50.0)))]  # fmt: skip
    assert best_run(runs).config["preset"] == "1.e"


def test_a_dataset_that_is_not_here_gives_no_example(tmp_path) -> None:
    assert examples_of(tmp_path / "runs", tmp_path) == []
    samples.write_run(tmp_path / "runs", dataset="gone")
    assert examples_of(tmp_path / "runs", tmp_path) == []


def test_a_cut_with_more_runs_does_not_stand_for_the_whole() -> None:
    presets = ["1.b", "1.c", "1.e"]
    cuts = [("demo-A-of-D", preset) for preset in presets] + [("demo-D", presets[0])] * 9
    assert by_weight([("demo", "1.b"), *cuts, ("other", "1.b"), ("other", "1.c")]) == [
        "other", "demo", "demo-A-of-D", "demo-D",
    ]  # fmt: skip
    assert by_weight([]) == []
