"""A small folder, and its entries changed."""

import pytest

from tests.builders import read_json, write_dataset, write_json


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
