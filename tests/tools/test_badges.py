"""Badges, and what is installed in Colab, follow the one address that is set, and nothing before."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import badges
from tools.badges import address_set, public, rewritten

OURS = "https://github.com/ada/vqa"
OTHER = "https://github.com/GT-Vision-Lab/VQA"
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://"
    "colab.research.google.com/github/ada/vqa/blob/main/notebooks/A%20b.ipynb)"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without an address: the tool, two pages, a notebook."""
    for name in ("tools", "docs", "notebooks"):
        (tmp_path / name).mkdir()
    shutil.copy(badges.__file__, tmp_path / "tools" / "badges.py")
    (tmp_path / "pyproject.toml").write_text("[project.urls]\n# Why.\n\n[project]\nname = 'x'\n")
    (tmp_path / "README.md").write_text(f"| Ä | [the authors]({OTHER}) |\n")
    row = "| [A_b](../notebooks/A%20b.ipynb) | what it shows | – |\n"
    (tmp_path / "docs" / "notebooks.md").write_text(row)
    cells = [
        {"cell_type": "markdown", "source": "# Ä"},
        {"cell_type": "code", "source": ["if missing:\n", '    repository = ""  # its address\n']},
        {"cell_type": "code", "source": [f'AUTHORS = "{OTHER}"']},
    ]
    text = json.dumps({"cells": cells}, indent=1, ensure_ascii=False)
    (tmp_path / "notebooks" / "A b.ipynb").write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def call(root: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "tools/badges.py", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def contents(root: Path) -> dict[str, str]:
    files = [root / "pyproject.toml", *root.glob("*.md"), *root.glob("[dn]*/*")]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def test_the_address_of_origin_is_written_wherever_it_is_needed(project: Path) -> None:
    remote = ["git", "-C", project, "remote", "add", "origin", "git@github.com:ada/vqa.git"]
    subprocess.run(remote, check=True)
    assert call(project).returncode == 0
    assert address_set(project) == OURS
    texts = contents(project)
    assert "# Why.\n" in texts["pyproject.toml"] and OTHER in texts["README.md"]
    assert texts["notebooks.md"].endswith(f" | what it shows | {BADGE} |\n")
    first, set_up, authors = (c["source"] for c in json.loads(texts["A b.ipynb"])["cells"])
    assert first == [f"{BADGE}\n", "\n", "# Ä"] and '"# Ä"' in texts["A b.ipynb"]
    assert set_up == ["if missing:\n", f'    repository = "{OURS}"  # its address\n']
    assert authors == [f'AUTHORS = "{OTHER}"']
    assert rewritten(project, OURS) == {}


def test_another_address_takes_the_place_of_the_first(project: Path) -> None:
    before = contents(project)["notebooks.md"]
    call(project, "--address", OURS)
    assert call(project, "--address", "https://gitlab.com/ada/vqa").returncode == 0
    after = contents(project)
    assert address_set(project) == "https://gitlab.com/ada/vqa"
    assert OURS not in "".join(after.values())
    assert after["notebooks.md"] == before  # Colab opens what lies on GitHub alone


@pytest.mark.parametrize(
    "remote",
    ["https://github.com/ada/vqa", "https://github.com/ada/vqa.git/", "git@github.com:ada/vqa.git",
     "https://ada:token@GitHub.com/ada/vqa.git", "github.com:ada/vqa", "ssh://git@github.com:22/ada/vqa"],
)  # fmt: skip
def test_a_remote_is_told_as_readers_reach_it(remote: str) -> None:
    assert public(remote) == OURS
    assert public("https://git.example.org:84/a/b/c.d.git") == "https://git.example.org:84/a/b/c.d"


@pytest.mark.parametrize(
    "remote",
    ["", "/srv/vqa", "../vqa", "my.folder/ada/vqa", "file:///srv/ada/vqa", "C:\\ada\\vqa", "C:/ada/vqa",
     "http://github.com/ada/vqa", "git://github.com/ada/vqa", "https://github.com/ada",
     "https://localhost/ada/vqa", 'https://github.com/ada/vqa"; import os; "', "ext::sh -c ada/vqa"],
)  # fmt: skip
def test_what_is_no_address_of_a_host_is_refused(remote: str) -> None:
    with pytest.raises(SystemExit, match="is no https or ssh address.*--address https://HOST"):
        public(remote)


def test_a_folder_as_origin_and_none_change_nothing(project: Path) -> None:
    before, done = contents(project), call(project)
    assert done.returncode and "has no git remote `origin`" in done.stderr
    subprocess.run(["git", "-C", project, "remote", "add", "origin", str(project)], check=True)
    done = call(project)
    assert done.returncode and f"'{project}' is no https or ssh address" in done.stderr
    assert done.stderr.count("\n") == 1
    assert contents(project) == before


# The set-up cell that the notebooks have ----------------------------------------------------------


@pytest.fixture
def colab(monkeypatch):
    """Run the set-up cell of a notebook where the package is missing, and pip fails once; gives the
    list of what pip was asked."""
    notebook = json.loads((ROOT / "notebooks" / "GUSE_VGG.ipynb").read_text(encoding="utf-8"))
    [cell] = [text for c in notebook["cells"] if "find_spec" in (text := "".join(c["source"]))]
    calls = []

    def pip(command: list[str], check: bool) -> None:
        calls.append(command)
        if len(calls) == 1:
            raise subprocess.CalledProcessError(1, command)

    def run(address: str) -> list[list[str]]:
        text = badges.SET_UP.sub(rf'\1"{address}"', cell)
        exec(text.replace("start();", ""), {})  # it leaves the working folder
        return calls

    monkeypatch.setattr("importlib.util.find_spec", lambda name: calls[1:] or None)
    monkeypatch.setattr("subprocess.run", pip)
    return run


def test_the_set_up_cell_works_again_after_a_failure_and_after_a_success(colab) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        colab(OURS)
    once = [sys.executable, "-m", "pip", "install", "-q", f"git+{OURS}"]
    assert colab(OURS) == [once, once]
    assert colab(OURS) == [once, once]


def test_without_an_address_the_set_up_cell_says_what_to_do_and_fetches_nothing(colab) -> None:
    with pytest.raises(SystemExit, match="pip install` its folder.* --address URL") as said:
        colab("")
    assert "\n" not in said.value.code
    with pytest.raises(subprocess.CalledProcessError):  # the first that pip was asked
        colab(OURS)
