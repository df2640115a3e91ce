"""Badges and clone addresses follow the one address in pyproject.toml."""

import json
from pathlib import Path

import pytest

from tools.badges import badge, stale

OURS = "https://github.com/ada/vqa"
OLD = "https://github.com/someone/old.name"
OTHER = "https://github.com/GT-Vision-Lab/VQA"


def project(root: Path, repository: str = OURS) -> Path:
    """A project whose README, notebook and pyproject.toml disagree about the address."""
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{repository}"\n')
    (root / "README.md").write_text(
        f"| Ä | {badge(OLD, 'notebooks/A b.ipynb')} |\n[the authors]({OTHER})\n"
        f"    git clone {OLD}\n    pip install git+{OLD}.git@main\n"
    )
    cells = [
        {"cell_type": "markdown", "source": [f"{badge(OLD, 'x.ipynb')}\n", "# Ä"]},
        {"cell_type": "code", "source": [f'run(["git", "clone", "{OLD}.git"])\n', "import os"]},
        {"cell_type": "code", "source": [f'AUTHORS = "{OTHER}"']},
    ]
    text = json.dumps({"cells": cells}, indent=1, ensure_ascii=False)
    (root / "notebooks" / "A b.ipynb").write_text(text)
    return root


def test_a_badge_opens_the_notebook_of_the_main_branch() -> None:
    assert badge(OURS, "notebooks/A b.ipynb") == (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        "(https://colab.research.google.com/github/ada/vqa/blob/main/notebooks/A%20b.ipynb)"
    )


@pytest.mark.parametrize("written", [OURS, f"{OURS}/", f"{OURS}.git"])
def test_what_repeats_the_address_is_rewritten(tmp_path: Path, written: str) -> None:
    root = project(tmp_path, written)
    readme, notebook = root / "README.md", root / "notebooks" / "A b.ipynb"
    texts = stale(root)
    assert texts[readme] == readme.read_text().replace(OLD, OURS).replace(
        "someone/old.name", "ada/vqa"
    )
    cells = json.loads(texts[notebook])["cells"]
    assert cells[0]["source"] == [f"{badge(OURS, 'notebooks/A b.ipynb')}\n", "# Ä"]
    assert cells[1]["source"] == [f'run(["git", "clone", "{OURS}.git"])\n', "import os"]
    assert OTHER in texts[notebook] and "Ä" in texts[notebook]
    for path, text in texts.items():
        path.write_text(text)
    assert stale(root) == {}


def test_a_notebook_without_a_badge_gets_one(tmp_path: Path) -> None:
    root = project(tmp_path)
    new = root / "notebooks" / "New.ipynb"
    new.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# New"}]}))
    source = json.loads(stale(root)[new])["cells"][0]["source"]
    assert "".join(source) == f"{badge(OURS, 'notebooks/New.ipynb')}\n\n# New"


@pytest.mark.parametrize("address", ["", "https://github.com/ada", "https://example.org/a/b"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(SystemExit, match="OWNER/NAME"):
        stale(project(tmp_path, address))
