"""Notebook parameters: only declared names and fitting types pass."""

from pathlib import Path

import pytest

from vqa_helpers.batch.parameters import check_parameters, literal_path, read_parameters
from vqa_helpers.errors import InputError

pytest.importorskip("papermill")
nbformat = pytest.importorskip("nbformat")

CELL = """\
DATA: str = "demo"  # a dataset
EPOCHS: int = 0  # 0: as the preset says
RATE: float = 0.5
OFFLINE: bool = False
SEED = 3
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write(tmp_path / "With {braces}.ipynb", CELL)


def write(path: Path, source: str) -> Path:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), path)
    return path


def test_text_is_read_by_the_declared_types(notebook: Path) -> None:
    given = ["DATA=5", "EPOCHS=5", "RATE=5", "OFFLINE=TRUE", "SEED=1"]
    expected = {"DATA": "5", "EPOCHS": 5, "RATE": 5.0, "OFFLINE": True, "SEED": 1}
    parameters = read_parameters(given, [notebook])
    assert parameters == expected
    assert {name: type(value) for name, value in parameters.items()} == {
        name: type(value) for name, value in expected.items()
    }
    check_parameters(parameters, [notebook])


def test_text_keeps_its_equals_signs(notebook: Path) -> None:
    assert read_parameters(["DATA=a=b"], [notebook]) == {"DATA": "a=b"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("EPOCHS", "NAME=VALUE"),
        ("EPOCHS=two", "EPOCHS=two: not of type int"),
        ("OFFLINE=1", "OFFLINE=1: not of type bool"),
        ("EPOCH=2", "did you mean EPOCHS?"),
    ],
)
def test_unusable_text_is_refused(notebook: Path, given: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("?", r"\?")):
        read_parameters([given], [notebook])


@pytest.mark.parametrize("value", ["2", 2.0, True, None])
def test_a_mistyped_value_names_notebook_parameter_and_types(notebook: Path, value: object) -> None:
    with pytest.raises(InputError, match="braces.*EPOCHS is declared int") as caught:
        check_parameters({"EPOCHS": value}, [notebook])
    assert type(value).__name__ in str(caught.value)


def test_a_whole_number_passes_for_a_float(notebook: Path) -> None:
    check_parameters({"RATE": 1}, [notebook])
    with pytest.raises(InputError, match="declared float"):
        check_parameters({"RATE": True}, [notebook])


def test_every_notebook_must_declare_the_parameter(notebook: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "Other.ipynb", "SEEDS: int = 0")
    with pytest.raises(InputError, match=r"Other.ipynb: no parameter 'SEED'; did you mean SEEDS\?"):
        check_parameters({"SEED": 1}, [notebook, other])


def test_code_never_passes_for_a_name(notebook: Path) -> None:
    with pytest.raises(InputError, match="no parameter"):
        check_parameters({"import os; EPOCHS": 1}, [notebook])


def test_braces_are_doubled_for_papermill() -> None:
    assert literal_path(Path("a{b}.ipynb")) == "a{{b}}.ipynb"
