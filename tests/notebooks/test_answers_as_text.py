"""The notebook that ranks new answers, where there are none."""

from pathlib import Path

import pytest

from tests.builders import read_json, write_dataset, write_json
from tests.notebooks.test_contract import ROOT, code, read
from vqa_helpers.errors import InputError


@pytest.mark.parametrize("answers", [["yes"], ["blue", "no", "red", "two", "yes"]])
def test_data_without_a_question_about_a_new_answer_are_refused_before_any_training(
    answers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dataset(tmp_path / "tiny", images=5)
    for path in folder.glob("annotations_*.json"):
        content = read_json(path)
        known = answers if path.stem.endswith("train") else answers[:1]
        for place, one in enumerate(content["annotations"]):
            text = known[place % len(known)]
            one["multiple_choice_answer"], one["answers"] = text, [{"answer": text}] * 10
        write_json(path, content)
    monkeypatch.chdir(tmp_path)
    parameters, _, held_out, *_ = code(read(ROOT / "notebooks" / "Answers_As_Text.ipynb"))
    names: dict = {}
    exec(parameters, names)
    names |= {"DATA": str(folder), "OFFLINE": True, "WEIGHTS": "random", "IMAGE_SIZE": 32}
    with pytest.raises(InputError, match="tiny: no test question has an answer that was held out"):
        exec(held_out, names)
