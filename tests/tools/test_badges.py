"""Badges, and what is cloned or installed, follow the one address in pyproject.toml."""

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
        {"cell_type": "code", "source": [f'project = "git+{OLD}.git"\n', "import os"]},
        {"cell_type": "code", "source": [f'AUTHORS = "{OTHER}"']},
    ]
    new = [{"cell_type": "markdown", "source": "# New"}]
    for name, made in (("A b", cells), ("New", new)):
        text = json.dumps({"cells": made}, indent=1, ensure_ascii=False)
        (root / "notebooks" / f"{name}.ipynb").write_text(text)
    return root


@pytest.mark.parametrize("written", [OURS, f"{OURS}/", f"{OURS}.git"])
def test_what_repeats_the_address_is_rewritten(tmp_path: Path, written: str) -> None:
    root = project(tmp_path, written)
    names = ("README.md", "notebooks/A b.ipynb", "notebooks/New.ipynb")
    readme, notebook, new = (root / name for name in names)
    texts = stale(root)
    assert texts[readme] == readme.read_text().replace(OLD[19:], OURS[19:])
    cells = json.loads(texts[notebook])["cells"]
    assert cells[0]["source"] == [f"{badge(OURS, 'notebooks/A b.ipynb')}\n", "# Ä"]
    assert cells[1]["source"] == [f'project = "git+{OURS}.git"\n', "import os"]
    assert OTHER in texts[notebook] and "Ä" in texts[notebook]
    assert "".join(json.loads(texts[new])["cells"][0]["source"]) == (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://"
        "colab.research.google.com/github/ada/vqa/blob/main/notebooks/New.ipynb)\n\n# New"
    )
    for path, text in texts.items():
        path.write_text(text)
    assert stale(root) == {}


@pytest.mark.parametrize("address", ["", "https://github.com/ada", "https://example.org/a/b"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(SystemExit, match="OWNER/NAME"):
        stale(project(tmp_path, address))
