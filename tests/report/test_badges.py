"""Badges and clone addresses follow the one address in pyproject.toml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.report.badges import badge, refresh, stale

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = "https://github.com/ada/vqa"
OLD = "https://github.com/someone/old.name"
OTHER = "https://github.com/GT-Vision-Lab/VQA"
CLONE = f'subprocess.run(["git", "clone", "{OLD}.git"], check=True)\nimport os'


def project(root: Path, repository: str = OURS) -> Path:
    """A project whose README, notebook and pyproject.toml disagree about the address."""
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").write_text(
        f'[project]\nname = "vqa-helpers"\n[project.urls]\nRepository = "{repository}"\n'
    )
    (root / "README.md").write_text(
        f"# VQA\n\n| Ä | {badge(OLD, 'notebooks/A b.ipynb')} |\n"
        f"The metric of [the authors]({OTHER}).\n\n    git clone {OLD}\n"
        f"    pip install git+{OLD}.git@main\n"
    )
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"{badge(OLD, 'x.ipynb')}\n", "# Ä"]},
        {"cell_type": "code", "metadata": {}, "source": CLONE.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {}, "source": f'AUTHORS = "{OTHER}"'},
    ]
    (root / "notebooks" / "A b.ipynb").write_text(json.dumps({"cells": cells}))
    return root


def test_a_badge_opens_the_notebook_of_the_main_branch() -> None:
    assert badge(OURS, "notebooks/A b.ipynb") == (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        "(https://colab.research.google.com/github/ada/vqa/blob/main/notebooks/A%20b.ipynb)"
    )


@pytest.mark.parametrize("written", [OURS, f"{OURS}/", f"{OURS}.git"])
def test_refresh_rewrites_what_repeats_the_address(tmp_path: Path, written: str) -> None:
    root = project(tmp_path, written)
    notebook = root / "notebooks" / "A b.ipynb"
    assert stale(root) == ["README.md", "notebooks/A b.ipynb"]
    assert refresh(root) == [root / "README.md", notebook]
    assert (root / "README.md").read_text() == (
        f"# VQA\n\n| Ä | {badge(OURS, 'notebooks/A b.ipynb')} |\n"
        f"The metric of [the authors]({OTHER}).\n\n    git clone {OURS}\n"
        f"    pip install git+{OURS}.git@main\n"
    )
    cells = json.loads(notebook.read_text())["cells"]
    assert cells[0]["source"] == [f"{badge(OURS, 'notebooks/A b.ipynb')}\n", "# Ä"]
    assert "".join(cells[1]["source"]) == CLONE.replace(OLD, OURS)
    assert cells[2]["source"] == f'AUTHORS = "{OTHER}"'
    assert "Ä" in notebook.read_text(), "letters stay letters"
    assert stale(root) == []
    assert refresh(root) == []


def test_a_notebook_without_a_badge_gets_one(tmp_path: Path) -> None:
    root = project(tmp_path)
    new = root / "notebooks" / "New.ipynb"
    new.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# New"}]}))
    assert new in refresh(root)
    assert json.loads(new.read_text())["cells"][0]["source"] == (
        f"{badge(OURS, 'notebooks/New.ipynb')}\n\n# New"
    )


@pytest.mark.parametrize("address", ["", "https://github.com/ada", "https://example.org/a/b"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    root = project(tmp_path, address)
    with pytest.raises(InputError, match="OWNER/NAME"):
        refresh(root)


def test_a_broken_notebook_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    root = project(tmp_path)
    before = (root / "README.md").read_text()
    (root / "notebooks" / "Z.ipynb").write_text("{")
    with pytest.raises(InputError, match="Z.ipynb"):
        refresh(root)
    assert (root / "README.md").read_text() == before


def test_the_module_refreshes_the_project_it_is_run_in(tmp_path: Path) -> None:
    root = project(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "vqa_helpers.report.badges"],
        cwd=root / "notebooks",
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 files changed" in done.stderr
    assert stale(root) == []


def test_this_project_repeats_its_address_rightly() -> None:
    if not (REPOSITORY / "pyproject.toml").exists():
        pytest.skip("not in the project's own folder")
    assert stale(REPOSITORY) == [], "run: python -m vqa_helpers.report.badges"
