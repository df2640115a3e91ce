"""The command: help, exit codes, one line for what went wrong."""

import subprocess
import sys
import time

import pytest

from tests.cli.calling import python
from vqa_helpers.cli import main
from vqa_helpers.errors import InputError

COMMANDS = [
    [], ["data"], ["data", "list"], ["data", "download"], ["data", "build"], ["data", "check"],
    ["features"], ["train"], ["predict"], ["evaluate"], ["compare"], ["ask"], ["batch"], ["report"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(vqa, words):
    code, out, _ = vqa(*words, "--help")
    assert code == 0
    assert out.startswith(" ".join(["usage: vqa", *words]))


def test_every_command_is_tested_above(vqa):
    from vqa_helpers.cli import _parser

    commands = _parser()._subparsers._group_actions[0].choices
    assert set(commands) == {words[0] for words in COMMANDS if words}


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_needs_no_torch(words):
    code = (
        "import contextlib, sys\nfrom vqa_helpers.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({words})\n"
        "assert 'vqa_helpers.cli' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_answers_at_once():
    began = time.monotonic()
    process = python("train", "--help")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "PRESET" in out.upper()
    assert time.monotonic() - began < 3  # half a second where nothing else runs


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["train"], ["train", "1.e"], ["data"], ["data", "burn"],
              ["train", "1.e", "--data", "demo", "--epochs", "many"], ["ask", "run", "a.jpg"],
              ["train", "1.e", "--data", "demo", "--schedule", "fast"], ["evaluate"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_wrong_use(vqa, words):
    code, _, error = vqa(*words)
    assert code == 2
    assert "usage: vqa" in error and "Traceback" not in error


def test_debug_shows_where_it_came_from(data):
    with pytest.raises(InputError, match="is no preset"):
        main(["train", "nothing", "--data", str(data), "--debug"])


def test_a_reader_that_goes_away_is_no_error(data):
    process = python("data", "list")
    process.stdout.close()
    process.wait(timeout=60)
    assert "Traceback" not in process.stderr.read()
