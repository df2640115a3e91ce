"""What the tests of the command share: a place of its own, a dataset, two runs, the command."""

from pathlib import Path

import pytest

from tests.builders import write_dataset
from tests.cli.calling import QUICK
from vqa_helpers.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package", autouse=True)
def place(tmp_path_factory):
    """A folder of our own to work in; nothing of this machine is found by chance."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("place")
        patch.chdir(folder)
        patch.setenv("TFHUB_CACHE_DIR", str(folder / "hub"))
        patch.setenv("PYTHONPATH", str(ROOT))
        yield folder


@pytest.fixture(scope="package")
def data(place) -> Path:
    return write_dataset(place / "tiny", images=12)


@pytest.fixture(scope="package")
def run(place, data) -> Path:
    """A run of 1.e, trained by the command."""
    arguments = ["train", "1.e", "--data", str(data), "--epochs", "2", *QUICK]
    assert main(arguments) == 0
    return place / "runs" / "tiny" / "1.e" / "0"


@pytest.fixture(scope="package")
def blind(place, data) -> Path:
    """A run of Question_Only."""
    out = place / "blind"
    assert main(["train", "Question_Only", "--data", str(data), "--out", str(out),
                 "--epochs", "2", *QUICK]) == 0  # fmt: skip
    return out


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
