"""The notebook that explains answers, where there is little to explain."""

import json
from pathlib import Path

import pytest

from tests.builders import write_dataset, write_json
from tests.notebooks.test_contract import ROOT, code, read
from vqa_helpers.presets import find_preset
from vqa_helpers.training.inputs import open_data
from vqa_helpers.training.train import train_recipe


@pytest.mark.parametrize(
    ("answer", "said", "explained"),
    [
        (
            "yes",
            ["No right answer is one that the best blind guess misses", "No answer is wrong."],
            0,
        ),
        ("own", ["No right answer is one that the best blind guess misses"], 1),
    ],
)
def test_a_model_without_hits_or_misses_is_told_in_a_sentence(
    answer: str,
    said: list[str],
    explained: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys,
) -> None:
    folder = write_dataset(tmp_path / "tiny", images=4)
    for path in folder.glob("annotations_*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for one in content["annotations"]:
            text = "yes" if answer == "yes" else f"a{one['question_id']}"
            one["multiple_choice_answer"], one["answers"] = text, [{"answer": text}] * 10
        write_json(path, content)
    monkeypatch.chdir(tmp_path)
    data = open_data(folder, offline=True, image_size=32, features=tmp_path / "features")
    run = train_recipe(find_preset("Question_Only"), data, tmp_path / "runs/1", epochs=1)

    parameters, set_up, *cells = code(read(ROOT / "notebooks" / "Why_This_Answer.ipynb"))
    names: dict = {}
    exec(parameters, names)
    names |= {"DATA": str(folder), "RUNS": str(tmp_path / "runs"), "finish": lambda results: None}
    for cell in cells:
        exec(cell, names)
    told = capsys.readouterr().out
    assert all(sentence in told for sentence in said)
    assert names["run"].folder == run.folder
    assert len(names["explained"]) == explained
