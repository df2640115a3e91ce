"""The run that is analysed, its tables as HTML, and its figures."""

import re

import pandas as pd
import pytest
from matplotlib.text import Text

from tests.builders import write_dataset
from tests.report import samples
from vqa_helpers.data.folder import read_folder
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation import analysis as tables
from vqa_helpers.report import analysis
from vqa_helpers.runs import CONFIG, mark_done, write_json

HOSTILE = "<script>alert(1)</script> $x$ | 狗"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return read_folder(write_dataset(tmp_path_factory.mktemp("data") / "tiny", images=24))


def write(root, dataset, preset, validation, split="test", **config):
    """A finished run that answers every third question right, and the others second."""
    table = dataset.splits[split]
    rows = [
        {
            "split": split, "question_id": row.question_id, "image_id": row.image_id,
            "answers": [row.answer, "x"] if number % 3 == 0 else ["x", row.answer],
            "probabilities": [0.6, 0.3], "truth": row.answer, "vqa": None, "blind": "x",
        }
        for number, row in enumerate(table.itertuples())
    ]  # fmt: skip
    metrics = samples.metrics(test=split == "test")
    metrics["validation"]["top1"] = samples.score(validation)
    folder = samples.write_run(
        root, preset, dataset=dataset.name, metrics=metrics, predictions=rows
    )
    known = analysis.Run(folder).config
    write_json(folder / CONFIG, {**known, "data_sha256": dataset.sha256(), **config})
    mark_done(folder)
    return folder


def texts(figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_best_run_is_chosen_on_validation_one_of_each_preset(tmp_path, dataset):
    write(tmp_path, dataset, "1.b", 50)
    write(tmp_path, dataset, "1.c", 70)
    write(tmp_path, dataset, "1.e", 60)
    names = [run.config["preset"] for run in analysis.best_runs(tmp_path, dataset)]
    assert names == ["1.c", "1.e", "1.b"]


def test_no_run_and_runs_on_other_data_are_named(tmp_path, dataset, caplog):
    with pytest.raises(InputError, match="holds no finished run on tiny; train one"):
        analysis.best_runs(tmp_path, dataset)
    write(tmp_path, dataset, "1.b", 90, data_sha256="other")
    with pytest.raises(InputError, match="no finished run"):
        analysis.best_runs(tmp_path, dataset)
    assert "other data of that name" in caplog.text
    write(tmp_path, dataset, "1.c", 10)
    assert len(analysis.best_runs(tmp_path, dataset)) == 1


def test_a_run_is_judged_on_the_split_it_was_scored_on(tmp_path, dataset):
    write(tmp_path, dataset, "1.b", 50)
    found = analysis.analyse(analysis.best_runs(tmp_path, dataset)[0], dataset)
    assert (str(found), found.split, len(found.judged)) == ("1.b, seed 0", "test", 72)
    assert found.judged["rank"].eq(1).sum() == 24
    write(tmp_path, dataset, "1.c", 60, split="validation")
    found = analysis.analyse(analysis.best_runs(tmp_path, dataset)[0], dataset)
    assert (found.split, len(found.judged)) == ("validation", 72)


def test_tables_are_plain_escaped_and_sorted():
    table = pd.DataFrame(
        {"answer": [HOSTILE, "b"], "questions": [3, 12_345], "top-1": [1.26, None],
         "top-1 low": [0.0, 0.0], "top-1 high": [10.0, 2.0]}
    )  # fmt: skip
    markup = analysis.shown(table.drop(columns=["top-1 low", "top-1 high"]), by="questions").data
    assert "<script>" not in markup and "&lt;script&gt;" in markup
    assert "mathjax_ignore" in markup and "<style" not in markup
    assert re.findall(r"<td>(.*?)</td>", markup)[1:3] == ["12,345", "–"]
    assert "1.3 [0.0, 10.0]" in analysis.shown(table.head(1)).data
    assert analysis.shown(table, rows=1).data.count("<tr") == 2
    with pytest.raises(InputError, match="no column 'hits'; there are answer"):
        analysis.shown(table, by="hits")


def test_every_text_of_a_table_is_escaped():
    table = pd.DataFrame([[1]], pd.Index([HOSTILE], name=HOSTILE), [f"{HOSTILE} 2"])
    assert "<script>" not in analysis.shown(table).data


@pytest.fixture(scope="module")
def judged(tmp_path_factory, dataset):
    root = tmp_path_factory.mktemp("runs")
    write(root, dataset, "1.b", 50)
    return analysis.analyse(analysis.best_runs(root, dataset)[0], dataset).judged


def test_both_ends_are_drawn_with_their_questions(judged):
    types = tables.kind_table(tables.without_yes_no(judged), "question_type")
    found = texts(analysis.plot_ends(*tables.best_and_worst(types, 1), "Types"))
    assert any(text.startswith("how many  (24)") for text in found)
    assert any(text.startswith("what color is the  (24)") for text in found)


def test_bins_confusions_and_counts_are_drawn(judged):
    figure = analysis.plot_bins({"times": tables.frequency_table(judged, ["red"] * 4)}, "Bins")
    assert "3–4" in texts(figure) and "times" in texts(figure)
    found = texts(analysis.plot_confusions(tables.confusion_matrix(judged, 4), "Confusions"))
    assert tables.OTHER in found and "answered" in found
    found = texts(analysis.plot_counts(tables.count_table(tables.counting(judged)), "Counts"))
    assert any(text.startswith("1  (") for text in found) and "second" in found


def test_hostile_answers_are_drawn(judged):
    odd = judged.assign(truth=pd.Series([HOSTILE, "$y^{"] * 36), question_type=HOSTILE)
    found = texts(analysis.plot_confusions(tables.confusion_matrix(odd), "C"))
    assert "$y^{" in found
    types = tables.kind_table(odd, "question_type")
    assert any("<script>" in text for text in texts(analysis.plot_ends(types, types, "T")))


def test_nothing_to_draw_is_said(judged):
    empty = judged.head(0)
    types = tables.kind_table(empty, "question_type")
    assert "no kind" in texts(analysis.plot_ends(types, types, "Types"))[0]
    assert "no such" in texts(analysis.plot_confusions(tables.confusion_matrix(empty), "C"))[0]
    counts = tables.count_table(tables.counting(empty))
    assert "how many" in texts(analysis.plot_counts(counts, "Counts"))[0]
    assert texts(analysis.plot_bins({"times": tables.frequency_table(empty, [])}, "Bins"))
