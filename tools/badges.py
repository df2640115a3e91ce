"""Write the repository's address wherever it is repeated: badges, and what is cloned or installed.

`[project.urls] Repository` in `pyproject.toml` is the one place where it is kept. After a change:

    python tools/badges.py

A notebook without an "Open in Colab" badge gets one on top.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

COLAB = "https://colab.research.google.com"
BADGE = re.compile(
    r"\[!\[[^\]]*\]\([^)]*colab-badge\.svg\)\]"
    rf"\({re.escape(COLAB)}/github/[^/\s)]+/[^/\s)]+/blob/[^/\s)]+/([^\s)]+)\)"
)
REPOSITORY = re.compile(r"https://github\.com/[\w-]+/[\w.-]+?(?=\.git\b|[^\w.-]|$)")
# Other addresses on GitHub are somebody else's: only what is cloned or installed is ours.
CLONE_LINE = re.compile(r"^.*(?:\bclone\b|git\+).*$", re.MULTILINE)


def badge(repository: str, notebook: str) -> str:
    """A badge as Markdown, for the path "notebooks/NAME.ipynb" in the branch main."""
    target = f"{COLAB}/github/{repository.split('/', 3)[3]}/blob/main/{quote(notebook, safe='/%')}"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({target})"


def stale(root: Path) -> dict[Path, str]:
    """The new text of each file in the project `root` that does not repeat the address rightly."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project["urls"]["Repository"].removesuffix("/").removesuffix(".git")
    if not REPOSITORY.fullmatch(repository):
        sys.exit(
            f'pyproject.toml: Repository is {repository!r}; write "https://github.com/OWNER/NAME"'
        )
    texts = {}
    for path in [root / "README.md", *sorted((root / "notebooks").glob("*.ipynb"))]:
        old = new = path.read_text(encoding="utf-8")
        own = f"notebooks/{path.name}" if path.suffix == ".ipynb" else None
        if own and not BADGE.search(new):
            notebook = json.loads(new)
            text = f"{badge(repository, own)}\n\n{''.join(notebook['cells'][0]['source'])}"
            notebook["cells"][0]["source"] = text.splitlines(keepends=True)
            new = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        new = BADGE.sub(lambda found, own=own: badge(repository, own or found[1]), new)
        new = CLONE_LINE.sub(lambda line: REPOSITORY.sub(repository, line[0]), new)
        if new != old:
            texts[path] = new
    return texts


if __name__ == "__main__":
    for path, text in stale(Path(__file__).resolve().parents[1]).items():
        path.write_text(text, encoding="utf-8")
        print(f"rewrote {path}")
