"""The command: help, exit codes, one line for what went wrong, and what each command leaves."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.builders import read_json, write_dataset, write_json
from tests.calling import QUICK, python, refused
from tests.pieces import own_pieces
from vqa_helpers import commands
from vqa_helpers.cli import main
from vqa_helpers.errors import InputError
from vqa_helpers.runs import Run

pytestmark = pytest.mark.usefixtures("place")

COMMANDS = [
    [], ["data"], ["data", "list"], ["data", "download"], ["data", "build"], ["data", "check"],
    ["features"], ["train"], ["predict"], ["evaluate"], ["compare"], ["ask"], ["batch"], ["report"],
    ["serve"], ["sweep"],
]  # fmt: skip


@pytest.fixture(scope="module")
def run(place, data) -> Path:
    """A run of 1.e, trained by the command."""
    assert main(["train", "1.e", "--data", str(data), "--epochs", "2", *QUICK]) == 0
    return place / "runs" / "tiny" / "1.e" / "0"


@pytest.fixture(scope="module")
def blind(place, data) -> Path:
    """A run of Question_Only."""
    out = ["--out", str(place / "blind"), "--epochs", "2", *QUICK]
    assert main(["train", "Question_Only", "--data", str(data), *out]) == 0
    return place / "blind"


@pytest.fixture
def vqa(capsys):
    """Run the command: exit code, standard output, standard error."""

    def call(*words) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # of argparse
            code = end.code
        given = capsys.readouterr()
        return code, given.out, given.err

    return call


# Words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(vqa, words):
    code, out, _ = vqa(*words, "--help")
    assert code == 0
    assert out.startswith(" ".join(["usage: vqa", *words]))
    if not words:
        assert all(command[0] in out for command in COMMANDS if command)


def test_help_answers_at_once_and_imports_nothing_heavy():
    code = (
        "import contextlib, sys\nfrom vqa_helpers.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['train', '--help'])\n"
        "assert not {'torch', 'pandas', 'matplotlib', 'accelerate', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    began = time.monotonic()
    assert python("train", "--help").wait(timeout=60) == 0
    assert time.monotonic() - began < 3  # half a second where nothing else runs


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["train"], ["train", "1.e"], ["data"], ["data", "burn"],
              ["train", "1.e", "--data", "demo", "--epochs", "many"], ["ask", "a.jpg"],
              ["train", "1.e", "--data", "demo", "--executor", "magic"], ["evaluate"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_wrong_use(vqa, words):
    code, _, error = vqa(*words)
    assert code == 2
    assert "usage: vqa" in error and "Traceback" not in error


def test_an_interruption_is_one_line_and_debug_shows_where_it_came_from(vqa, data, monkeypatch):
    with pytest.raises(InputError, match="is no preset"):
        main(["train", "nothing", "--data", str(data), "--debug"])
    monkeypatch.setattr(commands, "list_data", Mock(side_effect=KeyboardInterrupt))
    assert "the same command goes on" in refused(vqa("data", "list"), 130)


def test_a_reader_that_goes_away_is_no_error():
    process = python("data", "list")
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["ascii:strict", "latin-1"])
def test_an_output_that_cannot_show_a_letter_gets_its_number(place, coding):
    coding, environment = coding.split(":")[0], {**os.environ, "PYTHONIOENCODING": coding}
    folder = write_dataset(place / f"größe-字-{coding}", images=4)
    (folder / "images" / f"{1:012d}.png").write_bytes(b"")

    def said(*words) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "vqa_helpers", "data", "check", *words]
        return subprocess.run(command, env=environment, capture_output=True, encoding=coding)

    plain, as_json, absent = said(folder), said(folder, "--json"), said(folder / "absent")
    assert [done.returncode for done in (plain, as_json, absent)] == [1, 1, 2]
    assert "\\u5b57" in plain.stdout and "\\u5b57" in absent.stderr
    assert str(folder) in json.dumps(json.loads(as_json.stdout), ensure_ascii=False)
    assert plain.stderr == as_json.stderr == absent.stdout == ""


# Training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Improved_VQA2015_Resnet49"], "did you mean Improved_VQA2015_ResNet?"),
        (["1.e", "--vision", "vgg61"], "did you mean vgg"),
        (["1.e", "--fusion", "Prodct"], "did you mean Product?"),
        (["1.e", "--set", "learning_rat=1"], "did you mean learning_rate?"),
        (["1.e", "--set", "fusion.width=3"], "Concatenation has no keyword 'width'"),
        (["1.e", "--set", "batch=many"], "batch=many: use a whole number"),
        (["1.e", "--set", "batch=3,none"], "batch=none"),  # before any of a sweep is trained
        (["1.e", "--set", "batch"], "use NAME=VALUE"),
        *((["1.e", "--set", "batch=8,9", "--set", f"{name}={values}"], f"--set {name}: two of the")
          for name, values in (("schedule", "study,small"), ("learning_rate", "1e-4,0.0001"))),
        (["1.e", "--set", "batch=8,8"], "--set batch: two of the combinations are both called 1.e"),
        (["1.e", "--pieces", "no.py"], "no.py: there is no such file of pieces"),
        (["1.e", "--device", "gpu"], "device 'gpu'"),
        (["1.e", "--epochs", "-3"], "-3 epochs: use 1 or more"),
        (["1.e", "--epochs", "1", "--set", "epochs=2"], "--epochs 1 and --set epochs: give one"),
        (["1.e", "--seed", "-1"], "seed -1: use 0 to"),
        (["1.e", "--seed", str(2**80)], f"seed {2**80}: use 0 to"),
        (["1.e", "--seeds", "0"], "0 seeds: use 1 or more"),
        (["1.e", "--image-size", "8"], "image size 8 px"),
        (["1.e", "--weights", "net.pth"], "net.pth: is no weights file"),
        (["1.e", "--sentence-encoder", "nowhere"], "is not a SavedModel folder"),
        (["GloVe_VGG", "--glove", "none.txt"], "none.txt"),
        (["1.e", "--set", "crop=0.2"], "this model sees none"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(vqa, data, words, message):
    assert message in refused(vqa("train", "--data", data, *QUICK, *words))
    assert not Path("runs", "tiny", "1.e+batch=3").exists()


def test_what_is_no_dataset_is_refused(vqa, tmp_path):
    (tmp_path / "file").write_text("hello", encoding="utf-8")
    for path in (tmp_path, tmp_path / "file", tmp_path / "nothing"):
        for words in (["train", "Question_Only", *QUICK], ["features", "--weights", "random"]):
            assert str(path) in refused(vqa(*words, "--data", path))


def test_training_prints_scores_and_stand_ins_and_returns_a_finished_run(vqa, run, data):
    before = (run / "model.safetensors").stat().st_mtime_ns
    code, out, _ = vqa("train", "1.e", "--data", data, "--epochs", "2", *QUICK)
    assert code == 0
    assert out.startswith("stand-ins: random-weight vision, multilingual USE 3 for USE 4")
    assert out.splitlines()[-1] == str(Path("runs", "tiny", "1.e", "0"))
    line = refused(vqa("train", "1.e", "--data", data, "--epochs", "3", *QUICK))
    assert "holds a finished run that differs in epochs (2, not 3)" in line
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_an_own_piece_and_swaps_are_trained_and_asked_where_the_piece_is_named(vqa, data):
    pieces = own_pieces.__file__
    words = ["--vision", "resnet18", "--fusion", "Gated", "--set", "learning_rate=3e-4",
             "--set", "classifier.hidden=[16,8]", "--set", "fusion.width=9", "--epochs", "1"]  # fmt: skip
    code, text, error = vqa("train", "GUSE_VGG", "--data", data, "--pieces", pieces, *words, *QUICK)
    assert code == 0, error
    out = Path(text.splitlines()[-1])
    pieces_named = "classifier.hidden=16-8+fusion=Gated+fusion.width=9"
    changed = f"{pieces_named}+learning_rate=0.0003+vision=resnet18"
    assert out == Path("runs", "tiny", f"GUSE_VGG+{changed}", "0")
    config = Run(out).config
    assert config["model"]["vision"]["keywords"]["network"] == "resnet18"
    assert config["model"]["classifier"]["keywords"]["hidden"] == [16, 8]
    assert config["training"]["learning_rate"] == 3e-4
    asked = ["ask", out, data / "images" / f"{1:012d}.png", "What color is the ground?"]
    line = refused(vqa(*asked))
    assert "the class Gated, which is not here" in line and "--pieces FILE.py" in line
    code, text, error = vqa(*asked, "--pieces", pieces)
    assert code == 0 and len(text.splitlines()) == 5, error


@pytest.mark.slow
def test_a_sweep_trains_each_and_prints_one_table(vqa, data, tmp_path):
    words = ["--set", "batch=16,32", "--set", "classifier.hidden=[8]", "--seeds", "2"]
    code, out, error = vqa("train", "Bag_Of_Words", "--data", data, "--epochs", "1", *words,
                           "--out", tmp_path / "sweep", *QUICK)  # fmt: skip
    assert code == 0, error
    names = [f"Bag_Of_Words+batch={batch}+classifier.hidden=8" for batch in (16, 32)]
    made = sorted(path.relative_to(tmp_path / "sweep").parent for path in tmp_path.rglob("DONE"))
    assert made == sorted(Path(name, seed) for name in names for seed in "01")
    first, second = (Run(tmp_path / "sweep" / names[0] / seed).config for seed in "01")
    assert {key for key in first if first[key] != second[key]} == {"seed"}
    table = out[out.rindex(str(tmp_path)) :]  # after the last run's own lines
    assert all(f"| Bag_Of_Words batch={batch} " in table for batch in (16, 32))
    assert "All on tiny have classifier.hidden=8." in table


def test_what_is_in_the_way_or_lacks_images_is_named(vqa, data, tmp_path):
    (tmp_path / "run").write_text("in the way", encoding="utf-8")
    words = ["--out", tmp_path / "run", "--epochs", "1", *QUICK]
    assert "run: is a file" in refused(vqa("train", "Question_Only", "--data", data, *words))
    folder = write_dataset(tmp_path / "d", images=4)
    shutil.rmtree(folder / "images")
    assert "Question_Only" in refused(vqa("train", "1.e", "--data", folder, *QUICK))


def test_features_name_what_cannot_be_seen(vqa, tmp_path, caplog):
    data = write_dataset(tmp_path / "d", images=4)
    broken, missing = (data / "images" / f"{i:012d}.png" for i in (2, 3))
    words = ["features", "--data", data, "--encoder", "resnet18", *QUICK]
    for precision, name in (("float32", ""), ("bfloat16", "-bfloat16")):
        how = ["--precision", precision, "--features", tmp_path / "f"]
        code, out, error = vqa(*words, *how)
        assert (code, out.strip()) == (0, str(tmp_path / "f" / "d" / f"resnet18-random-32{name}"))
    broken.write_bytes(broken.read_bytes()[:60])
    missing.unlink()
    code, _, error = vqa(*words)
    assert code == 1 and str(broken) in caplog.text + error and "image 3 has no file" in error
    assert "'vgg19x' is no vision network" in refused(vqa(*words, "--encoder", "vgg19x"))


# Answering and scoring ----------------------------------------------------------------------------


def test_predictions_are_scored_as_the_run_was(vqa, run, data, tmp_path):
    results = tmp_path / "new" / "results.json"
    questions, annotations = data / "questions_test.json", data / "annotations_test.json"
    words = ["--questions", questions, "--images", data, "--out", results]
    code, out, error = vqa("predict", run, *words, "--features", "features/tiny")
    assert (code, out.strip()) == (0, str(results)), error
    asked = read_json(questions)["questions"]
    assert [row["question_id"] for row in read_json(results)] == [q["question_id"] for q in asked]
    words = ["evaluate", "--questions", questions, "--results", results]
    report = json.loads(vqa(*words, "--annotations", annotations)[1])
    measured = Run(run).metrics["test"]
    assert report["overall"] == measured["vqa"]["value"]
    assert report["top1"] == measured["top1"]["value"]
    for kind in ("per_answer_type", "per_question_type"):
        assert report[kind] == {name: row["vqa"]["value"] for name, row in measured[kind].items()}
    assert json.loads(vqa(*words)[1]) == {"accepted": True, "answers": len(asked)}
    for content, message in (("[]", "has no answer"), ("{}", "array"), ("", "is empty")):
        results.write_text(content, encoding="utf-8")
        line = refused(vqa(*words))
        assert "results.json" in line and message in line
    answers = read_json(annotations)["annotations"]
    answers = [(row["question_id"], row["multiple_choice_answer"] + ".") for row in answers]
    write_json(results, [{"question_id": i, "answer": text} for i, text in answers])
    words += ["--annotations", annotations]
    old, new = json.loads(vqa(*words, "--normaliser", "2015")[1]), json.loads(vqa(*words)[1])
    assert old["overall"] == 100.0  # the full stop is always stripped
    assert new["overall"] < 100.0  # where all agree the answer must be the same word for word


def test_prediction_names_what_it_could_not_see(vqa, run, blind, data, tmp_path, caplog):
    images = shutil.copytree(data / "images", tmp_path / "images")
    words = ["--questions", data / "questions_test.json", "--out", tmp_path / "r.json"]
    assert "--images" in refused(vqa("predict", run, *words))
    assert vqa("predict", blind, *words)[0] == 0
    broken = images / f"{2001:012d}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (images / f"{2002:012d}.png").unlink()
    code, _, error = vqa("predict", run, *words, "--images", images)
    said = caplog.text + error
    assert code == 1 and str(broken) in said and "no file for 1 of 12 images (2002)" in said
    assert len(read_json(tmp_path / "r.json")) == 36
    (tmp_path / "r.json").unlink()
    for path in list(images.glob("00000000200*.png"))[:3]:
        path.write_bytes(b"")
    answer = ["predict", run, *words, "--images"]
    code, _, error = vqa(*answer, images)
    assert code == 2 and error.splitlines()[-1].endswith("of 12 images cannot be read; repair them")
    (images / f"{2011:012d}.png").unlink()
    assert "no file for 2 of 12 images (2002, 2011)" in refused(vqa(*answer, images))
    (tmp_path / "empty").mkdir()
    assert "empty: has no images" in refused(vqa(*answer, tmp_path / "empty"))
    assert not (tmp_path / "r.json").exists()
    assert "holds no finished run" in refused(vqa("predict", tmp_path, *words))
    assert "is a folder; name the file" in refused(vqa(*answer, data, "--out", tmp_path))
    os.mkfifo(tmp_path / "pipe")
    assert "is no file; name the file" in refused(vqa(*answer, data, "--out", tmp_path / "pipe"))
    assert "name the folder of the photographs" in refused(vqa("predict", run, *words))
    for command in ("ask", "why"):  # the question was forgotten
        line = refused(vqa(command, run, "a.png"))
        assert "is a folder; name a photograph and a question" in line
    questions = tmp_path / "q.json"
    shutil.copy(data / "questions_test.json", questions)
    answer = ["predict", run, "--questions", questions, "--images", images, "--out", questions]
    assert "q.json: holds the questions; name another file" in refused(vqa(*answer))
    others = (data / name for name in ("annotations_test.json", "questions_val.json"))
    for mine in (next(images.iterdir()), *others):
        kept = mine.read_bytes()
        assert f"{mine}: holds no results" in refused(vqa(*answer[:-1], mine))
        assert mine.read_bytes() == kept
    missing = refused(vqa("predict", tmp_path / "nowhere", *words))
    assert "nowhere: holds no finished run, as there is no such folder" in missing
    assert questions.read_bytes() == (data / "questions_test.json").read_bytes()


def test_predictions_of_images_that_some_questions_name(vqa, run, data, tmp_path):
    asked = read_json(data / "questions_test.json")["questions"][:20]
    for row in asked:
        if row["image_id"] % 2:
            row["image_id"] = f"images/{row['image_id']:012d}.png"
    write_json(tmp_path / "q.json", {"questions": asked})
    words = ["--questions", tmp_path / "q.json", "--images", data, "--out", tmp_path / "r.json"]
    assert vqa("predict", run, *words)[0] == 0
    named = read_json(tmp_path / "r.json")
    assert vqa("predict", run, "--questions", data / "questions_test.json", *words[2:])[0] == 0
    assert named == read_json(tmp_path / "r.json")[:20]
    write_json(tmp_path / "q.json", [asked[0], asked[-1] | {"image_id": "lost.png"}])
    assert "no file for 1 of 2 images (lost.png)" in refused(vqa("predict", run, *words))


def test_asking_prints_five_answers_or_one_line(vqa, run, data, tmp_path):
    photograph = data / "images" / f"{1:012d}.png"
    code, out, _ = vqa("ask", run, photograph, "What color is the ground?")
    assert code == 0
    chances, answers = zip(*(line.split(" %  ") for line in out.splitlines()), strict=True)
    assert len(chances) == 5 and [*map(float, chances)] == sorted(map(float, chances))[::-1]
    assert set(answers) <= set(read_json(run / "vocabulary.json")["answers"])
    unquoted = vqa("ask", run, photograph, "What", "color", "is", "the", "ground?")
    assert unquoted == vqa("ask", run, photograph, "What color is the ground?")
    assert "in quotes after the photograph" in refused(
        vqa("ask", photograph, *"what is it".split())
    )
    lost = refused(vqa("ask", tmp_path / "lost.jpg", *"what is it".split()))
    assert "no such folder; check the path; a question goes in quotes after" in lost
    assert "the question is empty" in refused(vqa("ask", run, photograph, " "))
    assert "holds no finished run" in refused(vqa("ask", tmp_path, photograph, "What?"))
    assert f"name one, such as {run}" in refused(vqa("ask", run.parent, photograph, "What?"))
    for out in (tmp_path, tmp_path / "why.xyz"):
        line = refused(vqa("why", run, photograph, "What is it?", "--out", out))
        assert line == f"vqa: {out}: name a picture, in .png, .jpg, .svg or .pdf, with --out"
    for asked in (["What is it?"], ["What", "is", "it?"]):
        line = refused(vqa("why", run, photograph, *asked, "--out", photograph))
        assert line == f"vqa: {photograph}: is the photograph; name another picture with --out"
    line = refused(vqa("why", run, photograph, "--data", run.parent))
    assert (
        line
        == f"vqa: {photograph}: with --data nothing is asked about one photograph; leave this out"
    )
    assert list(tmp_path.iterdir()) == []


def test_two_runs_are_told_apart(vqa, run, blind, tmp_path):
    code, out, _ = vqa("compare", run, blind)
    assert code == 0 and "top-1" in out and "VQA accuracy" in out
    told = json.loads(vqa("compare", run, run, "--json")[1])
    assert told["verdict"] == "cannot tell" and told["top1"]["value"] == 0
    assert "is no finished run" in refused(vqa("compare", run, tmp_path))


def test_any_number_of_runs_are_told_apart_pair_by_pair(vqa, run, blind, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    code, out, _ = vqa("compare", run, blind, copy)
    models, pairs = (
        [[cell.split()[0] for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
        for table in out.strip().split("\n\n")[::2]
    )
    assert code == 0 and [row[1] for row in models] == ["1.e", "Question_Only", "1.e"]
    assert pairs == [["1.e", "Question_Only"], ["1.e", "1.e"], ["Question_Only", "1.e"]]
    told = [json.loads(line) for line in vqa("compare", run, blind, copy, "--json")[1].splitlines()]
    gains = [pair["top1"]["value"] for pair in told]
    assert len(told) == 3 and gains[0] == -gains[2] and gains[1] == 0
    assert "name another to compare it with" in refused(vqa("compare", run))
    predictions = (copy / "predictions.jsonl").read_text(encoding="utf-8")
    (copy / "predictions.jsonl").write_text(predictions.replace('"image_id": ', '"image_id": 9'))
    (copy / "DONE").write_text("done\n")
    line = refused(vqa("compare", run, blind, copy))
    assert "1.e on tiny and 1.e on tiny: were not scored on the same questions" in line


def test_the_results_are_a_table_and_a_site_tells_failed_notebooks(vqa, run, tmp_path):
    code, out, _ = vqa("report", "--table", "--runs", "runs")
    assert code == 0 and "1.e" in out
    (tmp_path / "nb" / "failed").mkdir(parents=True)
    made = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    write_json(tmp_path / "nb" / "failed" / "One.ipynb", made)
    words = ["report", "--runs", "runs", "--notebooks", tmp_path / "nb", "--out", tmp_path / "out"]
    code, _, error = vqa(*words)
    assert code == 1 and "One.ipynb: failed when it was last run" in error
    assert (tmp_path / "out" / "One.html").is_file()


def test_results_come_out_of_any_runs_and_of_none_in_one_line(vqa, run, blind, tmp_path):
    code, out, _ = vqa("report", "--runs", run.parents[1], "--out", tmp_path / "site")
    assert code == 0 and out.strip() == str(tmp_path / "site" / "index.html")
    page = (tmp_path / "site" / "answers-1.html").read_text(encoding="utf-8")
    assert "How many marks are there?" in page  # the data are found where they lay
    assert 'src="data:image/jpeg' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    (tmp_path / "empty").mkdir()
    line = refused(vqa("report", "--runs", tmp_path / "empty"))
    assert "empty: is no finished run, and holds none; train one first" in line
    begun = tmp_path / "begun" / "0"
    shutil.copytree(run, begun)
    (begun / "DONE").unlink()
    assert f"{begun} was begun" in refused(vqa("report", "--runs", tmp_path / "begun"))
    shutil.copytree(run, tmp_path / "begun" / "1")
    code, out, error = vqa("report", "--table", "--runs", tmp_path / "begun")
    assert code == 0 and "1.e" in out
    assert "unfinished runs are left out, 1 in all" in error and str(begun) in error
    assert "no notebooks here" in refused(vqa("report", "--notebooks", tmp_path / "empty"))
    (begun / "DONE").write_bytes((run / "DONE").read_bytes())
    for folder in (begun, tmp_path / "begun" / "1"):
        (folder / "predictions.jsonl").unlink()
    for words in (("--table",), ("--table", "--format", "csv"), ("--out", tmp_path / "site")):
        code, out, error = vqa("report", *words, "--runs", tmp_path / "begun")
        assert code == 2 and not out and error.count("vqa: ") == 1
        assert "predictions.jsonl: no such file" in error


def test_an_exported_model_has_no_results(vqa, run, tmp_path):
    code, _, _ = vqa("export", run, tmp_path / "runs" / "exported")
    assert code == 0
    for words in (("report", "--table", "--runs"), ("report", "--runs"), ("compare", run)):
        line = refused(vqa(*words, tmp_path / "runs"))
        assert f"{tmp_path / 'runs'}: is no finished run, and holds none; " in line
        said = "exported was exported, without results: name the run that it comes from"
        assert line.endswith(said)
    shutil.copytree(run, tmp_path / "runs" / "own")  # is not taken for a copy of the other's
    code, out, error = vqa("report", "--table", "--runs", tmp_path / "runs")
    assert code == 0 and "1.e" in out and "left out" not in error


# Datasets -----------------------------------------------------------------------------------------


def test_datasets_and_public_files_are_listed(vqa, tmp_path):
    assert "coco-val2014" in vqa("data", "list", "--root", tmp_path)[1]
    listed = json.loads(vqa("data", "list", "--root", tmp_path, "--json")[1])
    by_name = {row["dataset"]: row for row in listed["datasets"]}
    assert [*by_name] == ["demo", *"ABCDE", "100k", "v1", "v2", "daquar"]
    assert by_name["v2"]["questions"] == 658_111 and by_name["v2"]["on disk"] == "20.2 GB"
    assert by_name["100k"]["state"] == "not built; lacks v1, coco-val2014"


def test_a_dataset_is_cut_and_trained_on(vqa, data, tmp_path):
    code, out, error = vqa("data", "build", "A", "--from", data, "--out", tmp_path / "A")
    assert (code, out.strip()) == (0, str(tmp_path / "A")), error
    words = ["--data", tmp_path / "A", "--out", tmp_path / "run", "--epochs", "1", *QUICK]
    assert vqa("train", "Question_Only", *words)[0] == 0
    assert Run(tmp_path / "run").config["dataset"] == "A"


def test_every_problem_of_a_folder_is_named(vqa, data, tmp_path):
    assert json.loads(vqa("data", "check", data, "--json")[1])["problems"] == []
    folder = write_dataset(tmp_path / "d", images=4)
    (folder / "images" / f"{2:012d}.png").unlink()
    (folder / "questions_test.json").write_text("{}", encoding="utf-8")
    code, out, _ = vqa("data", "check", folder)
    assert code == 1 and "image 2" in out and "questions_test.json" in out


def test_what_cannot_be_downloaded_is_named(vqa, tmp_path):
    for words in (["build", "A"], ["download", "v1"]):
        line = refused(vqa("data", *words, "--offline", "--root", tmp_path))
        assert "Questions_Val_mscoco.zip" in line and str(tmp_path / "raw" / "v1") in line
    assert "'v3': no such download; there are v1" in refused(vqa("data", "download", "v3"))
    code, out, error = vqa("data", "download", "v1", "v2", "--offline", "--root", tmp_path)
    assert (code, out) == (1, "")
    assert [line.split()[1] for line in error.splitlines()] == ["v1", "v2"]


def test_of_many_that_were_left_out_the_first_are_named(capsys):
    commands.name_some([f"image {number} has no file" for number in range(25)])
    out, error = capsys.readouterr()
    assert out == "" and len(error.splitlines()) == 21
    assert error.splitlines()[-1] == "vqa: 5 more"
    commands.name_some([])
    assert capsys.readouterr().err == ""
