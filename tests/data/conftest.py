"""A small folder, and the real data where this machine has them."""

from pathlib import Path

import pytest

from tests.builders import read_json, write_dataset, write_json

REAL = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture
def folder(tmp_path):
    """Five images and fifteen questions a split, without a fault."""
    return write_dataset(tmp_path / "own", images=5)


@pytest.fixture
def edit():
    """Change the entries of a file of questions or annotations."""

    def change_entries(path, change):
        content = read_json(path)
        (rows,) = content.values()
        change(rows)
        write_json(path, content)

    return change_entries


@pytest.fixture
def real():
    def find(name):
        if not (REAL / name).is_dir():
            pytest.skip(f"the real data {name} are not on this machine")
        return REAL / name

    return find
