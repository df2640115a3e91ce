"""The static contract of the notebooks, read without running one."""

import ast
import importlib.util
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from papermill import inspect_notebook

from tools.badges import NO_BADGE, address_set, badge, rewritten
from vqa_helpers.presets import PRESETS

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODELS = {path.stem for path in NOTEBOOKS} & PRESETS.keys()
WRITTEN_OUT_IN = {  # the presets that share a notebook; those of the preliminary tests do too
    "Image_First": "Next_Steps", "Attended_Words": "Next_Steps", "Word_Attention": "Next_Steps",
    "Stacked_Attention": "Image_Attention", "Top_Down_Attention": "Image_Attention",
    "Co_Attention": "Image_Attention",
}  # fmt: skip
PROMISED = {"Split_Model", "Datasets", "Results_Summary", "Result_Analysis", "Interesting_Samples"}
SWAPS = {name: "str" for name in ("VISION", "LANGUAGE", "FUSION", "CLASSIFIER", "SET")}
PARAMETERS = {"DATA": "str", "EPOCHS": "int", "SEED": "int", "RUNS": "str"}
PLAIN = {"str", "int", "float", "bool"}
FETCHES = re.compile(
    r"://|git@|git\+|\b(?:clone|pip|curl|wget|urlopen|urlretrieve|requests|subprocess|hub|exec)\b"
)
ABSOLUTE = re.compile(r"(?<![\w:/.])/(?:root|home|work|tmp|usr|opt|mnt|content|Users)/")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code(notebook: dict) -> list[str]:
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


def test_every_experiment_has_its_notebook() -> None:
    assert {path.stem for path in NOTEBOOKS} >= PROMISED
    named = {name for name in PRESETS if not name[0].isdigit()}
    assert MODELS == named - WRITTEN_OUT_IN.keys() and named >= WRITTEN_OUT_IN.keys()
    for name, notebook in WRITTEN_OUT_IN.items():
        cells = "".join(code(read(ROOT / "notebooks" / f"{notebook}.ipynb")))
        assert f'"{name}": (' in cells
        for slot in ("language", "fusion"):
            assert f"piece({PRESETS[name].choices[slot].made_by.__name__}" in cells


@each
def test_badge_title_and_claim_come_first(path: Path) -> None:
    first = read(path)["cells"][0]
    text = "".join(first["source"])
    assert first["cell_type"] == "markdown"
    own = badge(address_set(ROOT), f"notebooks/{path.name}")
    assert text.startswith("# " if own == NO_BADGE else f"{own}\n\n# ")
    assert "colab.research" not in path.read_text(encoding="utf-8").replace(own, "")
    assert "stud" in text


def test_badges_and_set_up_cells_are_made_from_the_address_that_is_set() -> None:
    assert not rewritten(ROOT, address_set(ROOT))


@each
def test_code_is_fetched_from_the_address_that_is_set_alone(path: Path) -> None:
    parameters, set_up, *others = code(read(path))
    for cell in (parameters, *others):
        assert not FETCHES.search(cell)
    line = f'    repository = "{address_set(ROOT)}"  # '
    assert set_up.count(line) == 1
    rest = set_up.replace(line, "")
    assert FETCHES.findall(rest) == ["subprocess", "clone", "pip", "subprocess", "pip", "git+"]
    assert 'f"git+{repository}"]' in rest


@each
def test_parameters_are_plain_typed_and_explained(path: Path) -> None:
    notebook = read(path)
    (tagged,) = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    source = "".join(tagged["source"])
    assert source == code(notebook)[0], "the parameters come before all other code"
    declared = {}
    for line in source.splitlines():
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Constant)
        declared[statement.target.id] = statement.annotation.id
        assert type(statement.value.value).__name__ == statement.annotation.id in PLAIN
        assert re.search(r"  # \S", line), f"{line!r} has no help"
    assert inspect_notebook(str(path)).keys() == declared.keys(), "a batch can set each"
    assert PARAMETERS.items() <= declared.items()
    assert (SWAPS.items() <= declared.items()) == (path.stem in MODELS)


def test_parameters_and_set_up_are_the_same_everywhere() -> None:
    """One batch passes its parameters to every notebook; models have further ones, and what is
    trained with several seeds says with how many."""
    for models in (True, False):
        chosen = [path for path in NOTEBOOKS if (path.stem in MODELS) == models]
        common = {re.sub("SEEDS: int = .*\n", "", code(read(path))[0]) for path in chosen}
        assert len(common) == 1
    assert len({code(read(path))[1] for path in NOTEBOOKS}) == 1


def test_the_set_up_cell_can_be_run_again_after_a_failure(tmp_path, monkeypatch) -> None:
    """In Colab, where pip was cut off: nothing is left that would be in its way."""
    cell, calls = code(read(NOTEBOOKS[0]))[1], []
    cell = re.sub(r'repository = ".*?"', 'repository = "https://example.org/owner/name"', cell)

    def pip(command: list[str], check: bool) -> None:
        calls.append(command)
        if len(calls) == 1:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("vqa_helpers.notebook.start", lambda: None)
    with pytest.raises(subprocess.CalledProcessError):
        exec(cell, {})
    exec(cell, {})
    assert calls[0] == calls[1] and calls[0][1:4] == ["-m", "pip", "install"] and len(calls) == 2
    assert not list(tmp_path.iterdir())


@each
def test_prose_before_every_code_cell(path: Path) -> None:
    kinds = [cell["cell_type"] for cell in read(path)["cells"]]
    assert {before for before, kind in pairwise(kinds) if kind == "code"} == {"markdown"}


@each
def test_thin(path: Path) -> None:
    cells = code(read(path))
    lines = [sum(bool(line.strip()) for line in cell.splitlines()) for cell in cells]
    assert sum(lines) <= 130 and max(lines) <= 25
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell))]
    assert not any(isinstance(node, ast.ClassDef) for node in nodes)
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert len(functions) <= 2
    assert all(node.end_lineno - node.lineno < 25 for node in functions)


@each
def test_no_shell_and_no_absolute_path(path: Path) -> None:
    for cell in code(read(path)):
        assert not re.search(r"^\s*[!%]", cell, re.M)
    assert not ABSOLUTE.search(path.read_text(encoding="utf-8"))


@each
def test_runs_anywhere_and_is_small(path: Path) -> None:
    assert read(path)["metadata"]["kernelspec"]["name"] == "python3"
    assert path.stat().st_size <= 500_000


@each
def test_the_last_cell_checks_and_records(path: Path) -> None:
    last = code(read(path))[-1]
    assert "assert " in last
    assert last.strip().splitlines()[-1].startswith("finish(")


@each
def test_committed_with_the_outputs_of_a_clean_run(path: Path) -> None:
    notebook = read(path)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not {"papermill", "widgets"} & notebook["metadata"].keys()
    assert sum((c["metadata"].get("tags", []) for c in notebook["cells"]), []) == ["parameters"]


def test_the_summaries_run_after_all_others() -> None:
    after = {path.stem: read(path)["metadata"].get("vqa", {}).get("after") for path in NOTEBOOKS}
    summaries = [
        "Interesting_Samples", "Language_Priors", "Result_Analysis", "Results_Summary",
        "Why_This_Answer",
    ]  # fmt: skip
    assert [name for name, wave in after.items() if wave == "all"] == summaries
