"""The run folder: exact round trips, atomic writes, damage that names its file."""

import json

import numpy as np
import pytest

from vqa_helpers import runs
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_json

AWKWARD = [0.1, 1 / 3, 1e-17, 123456789.123456789, 2.0]


def prediction(question_id: int, known: bool = True) -> dict:
    said = {"answers": ["yes", "naïve $5"], "probabilities": [1 / 3, 0.1]}
    truth = {"truth": "yes", "vqa": 0.3, "blind": "no"}
    ids = {"split": "test", "question_id": question_id, "image_id": 42}
    return ids | said | (truth if known else dict.fromkeys(truth))


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "c:"])
def test_run_folder_refuses_names_that_leave_it(tmp_path, name):
    with pytest.raises(InputError, match="cannot name a folder"):
        runs.run_folder(tmp_path, "demo", name, 0)


def test_json_comes_back_bit_for_bit_and_what_it_cannot_say_is_refused(tmp_path):
    path, content = tmp_path / "new" / "metrics.json", {"validation": AWKWARD, "n": 7}
    write_json(path, {"validation": np.array(AWKWARD), "n": np.int64(7)})
    with pytest.raises(ValueError, match="metrics.json.*write None"):
        write_json(path, {"top1": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == content
    write_json(path, content)
    assert json.loads(path.read_text(encoding="utf-8")) == content


def test_history_round_trips_and_leaves_the_undefined_empty(tmp_path):
    rows = [
        {"epoch": epoch, "train_loss": value, "train_top1": np.float64(value), "seconds": 1.5,
         "validation_loss": float("nan"), "validation_vqa": None}
        for epoch, value in enumerate(AWKWARD, start=1)
    ]  # fmt: skip
    runs.write_history(tmp_path / "history.csv", rows)
    history = runs.Run(tmp_path).history
    assert list(history.columns) == [*runs.HISTORY_COLUMNS, "seconds"]
    assert history["train_loss"].tolist() == AWKWARD
    assert history["validation_vqa"].isna().all() and history["validation_loss"].isna().all()
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
    runs.write_history(tmp_path / "history.csv", [])
    history = runs.Run(tmp_path).history
    assert history.empty and tuple(history.columns) == runs.HISTORY_COLUMNS


def test_predictions_round_trip_with_and_without_truth(tmp_path):
    rows = [prediction(7), prediction(2**40, known=False)]
    runs.write_predictions(tmp_path / "predictions.jsonl", rows)
    table = runs.Run(tmp_path).predictions
    assert tuple(table.columns) == runs.PREDICTION_COLUMNS
    assert table.to_dict("records") == rows
    assert table["truth"].iloc[1] is None
    runs.write_predictions(tmp_path / "predictions.jsonl", [])
    assert runs.Run(tmp_path).predictions.empty


INTERVAL = {"value": 50.0, "low": 40.0, "high": 60.0}
KIND = {"questions": 3, "top1": INTERVAL, "top5": 70.0, "vqa": None}
SCORES = {
    "questions": 3, "images": 2, "top1": INTERVAL, "top5": INTERVAL, "vqa": None,
    "ceiling": {"top1": 90.0, "vqa": None}, "baselines": {"one": {"top1": 10.0, "vqa": None}},
    "per_answer_type": {"other": KIND}, "per_question_type": {},
}  # fmt: skip


def test_metrics_with_all_that_reports_show(tmp_path):
    whole = {"validation": SCORES, "test": SCORES | {"vqa": INTERVAL, "further": 1}}
    write_json(tmp_path / "metrics.json", whole)
    assert runs.Run(tmp_path).metrics == whole


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "absent") for name in SCORES),
        ("questions", None), ("images", "2"), ("questions", True),
        ("top1", 50.0), ("top1", None), ("top1", {"value": 50.0}), ("top5", {}),
        ("vqa", {"value": 50.0, "low": None, "high": 60.0}),
        ("ceiling", 90.0), ("ceiling", {"vqa": 3.0}),
        ("baselines", []), ("baselines", {"one": {"top1": None, "vqa": None}}), ("baselines", {"one": 3}),
        ("per_answer_type", {"other": KIND | {"top1": None}}), ("per_answer_type", None),
        ("per_question_type", {"is": {"questions": 3}}), ("per_question_type", {"is": 3}),
    ],
)  # fmt: skip
def test_metrics_without_something_that_reports_show(tmp_path, name, value):
    damaged = SCORES | {name: value}
    if value == "absent":
        del damaged[name]
    write_json(tmp_path / "metrics.json", {"validation": SCORES, "test": damaged})
    with pytest.raises(InputError, match=r"metrics.json: test: .*; restore"):
        _ = runs.Run(tmp_path).metrics


def test_done_lists_what_the_same_settings_always_give(tmp_path):
    for name in ("config.json", "timing.json", "environment.json", "metrics.json"):
        write_json(tmp_path / name, {"name": name})
    (tmp_path / "checkpoint.pt").touch()
    (tmp_path / "tensorboard").mkdir()
    assert not runs.Run(tmp_path).finished
    runs.mark_done(tmp_path, leave_out="checkpoint.pt")
    assert runs.Run(tmp_path).finished
    listed = [line.split("  ")[1] for line in (tmp_path / "DONE").read_text().splitlines()]
    assert listed == ["config.json", "metrics.json"]
    runs.Run(tmp_path).verify()
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="metrics.json: does not match its checksum in DONE"):
        runs.Run(tmp_path).verify()
    (tmp_path / "DONE").write_text("done\n")  # as old versions left it
    runs.Run(tmp_path).verify()


def test_experiments_are_runs_that_agree_in_all_but_the_seed(tmp_path):
    changes = (
        ("1.f", 10, {}), ("1.f", 9, {}), ("1.f", 0, {"epochs": 3}), ("1.b", 0, {"name": "1.b x"}),
    )  # fmt: skip
    for preset, seed, change in changes:
        folder = runs.run_folder(tmp_path, "demo", preset, seed)
        config = {"dataset": "demo", "preset": preset, "seed": seed, "epochs": 1, **change}
        write_json(folder / "config.json", config)
        runs.mark_done(folder)
    found = runs.find_experiments(tmp_path, "demo")
    assert [one.name for one in found] == ["1.b x", "1.f", "1.f"]
    assert [run.config["seed"] for run in found[2].runs] == [9, 10]
    assert str(found[0]) == "1.b x on demo" and runs.find_experiments(tmp_path, "other") == []
    write_json(runs.run_folder(tmp_path, "demo", "1.e", 0) / "config.json", {})  # not finished
    found = [run.folder.relative_to(tmp_path).as_posix() for run in runs.find_runs(tmp_path)]
    assert found == ["demo/1.b/0", "demo/1.f/0", "demo/1.f/9", "demo/1.f/10"]


def test_runs_are_found_at_any_depth_and_what_is_not_finished_is_told(tmp_path):
    for place in ("mine", "demo/1.f/0", "demo/1.f/0.1", "demo/1.f/1", "a/b/c/d/0"):
        (tmp_path / place).mkdir(parents=True)
        write_json(tmp_path / place / "config.json", {"dataset": "d", "preset": "p", "seed": 0})
        if place != "demo/1.f/1":
            runs.mark_done(tmp_path / place)

    def names(found) -> list[str]:
        return [run.folder.relative_to(tmp_path).as_posix() for run in found]

    assert names(runs.find_runs(tmp_path)) == ["demo/1.f/0", "mine"]  # `0.1` was set aside
    for folder in ("demo", "demo/1.f", "demo/1.f/0"):
        assert names(runs.runs_at(tmp_path / folder)) == ["demo/1.f/0"]
    assert runs.unfinished_runs(tmp_path) == [tmp_path / "demo/1.f/1"]
    with pytest.raises(InputError, match="1.f/1: is no finished run.*1 was begun: train it again"):
        runs.runs_at(tmp_path / "demo/1.f/1")
    with pytest.raises(InputError, match="nowhere: is no finished run.*; train one first"):
        runs.runs_at(tmp_path / "nowhere")
    [both] = runs.group_runs(runs.find_runs(tmp_path))  # a copy is no second seed
    assert names(both.runs) == ["demo/1.f/0"]


def test_a_run_knows_its_train_questions_its_best_epoch_and_what_is_scored(tmp_path):
    run = runs.Run(tmp_path)
    assert run.train_questions is None
    record = {"counts": {"train": {"questions": 12}}}
    write_json(tmp_path / "split.json", record)
    assert runs.Run(tmp_path).train_questions == 12
    rows = [{"epoch": epoch, "validation_top1": top1} for epoch, top1 in ((1, 5), (2, 7), (3, 7))]
    runs.write_history(tmp_path / "history.csv", rows)
    assert run.best_epoch["epoch"] == 2
    run.__dict__["metrics"] = {"validation": {"top1": 1}}
    assert run.scored == ("validation", {"top1": 1})
    run.metrics["test"] = {"top1": 2}
    assert run.scored[0] == "test"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.json", b'{"validation": {', "cannot be read"),
        ("metrics.json", b"[1, 2]", "not an object"),
        ("metrics.json", b'{"test": {}}', "'validation' is missing"),
        ("metrics.json", b'{"validation": {}}', "validation: "),
        ("metrics.json", b'{"validation": 3}', "validation: "),
        ("timing.json", None, "no such file"),
        ("predictions.jsonl", b"[]\n", "line 1 is not a prediction"),
        ("config.json", b'{"preset": "1.f"}', "'dataset' is missing"),
        ("history.csv", b"", "cannot be read"),
        ("history.csv", b"epoch,train_loss\n1,2\n", "'train_top1' is missing"),
        ("history.csv", b"epoch,train_loss\n1,2\n3,4,5", "cannot be read"),
        ("history.csv", b"epoch,train_loss\n,2\n", "cannot be read"),
        ("history.csv", b"\x89PNG\r\n", "cannot be read"),
        ("predictions.jsonl", b'{"split": "test"}\n', "line 1 is not a prediction"),
        ("predictions.jsonl", b"\xff\n", "cannot be read"),
    ],
)
def test_damage_names_the_file_in_one_line(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        getattr(runs.Run(tmp_path), name.split(".")[0])
    message = str(caught.value)
    assert str(tmp_path / name) in message and said in message and "\n" not in message


@pytest.mark.parametrize(
    "damage",
    [
        {"answers": ["a"]}, {"question_id": None}, {"question_id": "7"}, {"question_id": 2**70}, {"image_id": [3]},
        {"image_id": 1.5}, {"answers": [], "probabilities": []}, {"answers": [3, "a"]},
        {"vqa": "x"}, {"vqa": [1]}, {"vqa": float("inf")}, {"vqa": float("nan")},
    ],
)  # fmt: skip
def test_a_prediction_with_a_malformed_field_names_its_line(tmp_path, damage):
    rows = [prediction(1), prediction(2) | damage]
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InputError, match="line 2 is not a prediction"):
        _ = runs.Run(tmp_path).predictions


def test_files_are_read_once(tmp_path):
    write_json(tmp_path / "timing.json", {"train_s": 1.0})
    run = runs.Run(tmp_path)
    assert run.timing == {"train_s": 1.0}
    (tmp_path / "timing.json").unlink()
    assert run.timing == {"train_s": 1.0}
