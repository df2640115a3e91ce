"""A small folder."""

import pytest

from tests.builders import write_dataset


@pytest.fixture
def folder(tmp_path):
    """Five images and fifteen questions a split, without a fault."""
    return write_dataset(tmp_path / "own", images=5)
