"""The repository's address, in the one place it is kept, and everything that repeats it.

`[project.urls] Repository` in `pyproject.toml` is the source. The "Open in Colab" badges in
`README.md` and on top of each notebook, and the addresses they clone from, are rewritten from it:

    python -m vqa_helpers.report.badges

Nothing here knows whether the repository exists.
"""

import json
import logging
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote, unquote

from vqa_helpers.errors import InputError
from vqa_helpers.notebook import project_root

log = logging.getLogger(__name__)

COLAB = "https://colab.research.google.com"
BRANCH = "main"
REPOSITORY = re.compile(r"https://github\.com/[\w-]+/[\w.-]+")
BADGE = re.compile(
    r"\[!\[[^\]]*\]\([^)]*colab-badge\.svg\)\]"
    rf"\({re.escape(COLAB)}/github/[^/\s)]+/[^/\s)]+/blob/[^/\s)]+/(?P<notebook>[^\s)]+)\)"
)
# Other addresses on GitHub are somebody else's: only what is cloned or installed is ours.
CLONES = re.compile(r"\bclone\b|git\+")


def badge(repository: str, notebook: str) -> str:
    """An "Open in Colab" badge, as Markdown.

    Args:
        repository: "https://github.com/OWNER/NAME".
        notebook: path in the repository, "notebooks/NAME.ipynb".
    """
    place = repository.removeprefix("https://github.com/")
    target = f"{COLAB}/github/{place}/blob/{BRANCH}/{quote(notebook)}"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({target})"


def refresh(root: Path) -> list[Path]:
    """Rewrite badges and clone addresses; return the files that changed.

    A notebook whose first cell has no badge gets one on top.

    Raises:
        InputError: no usable address in `pyproject.toml`, or a notebook that cannot be read.
    """
    changed = _changed(Path(root))
    for path, text in changed.items():
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return list(changed)


def stale(root: Path) -> list[str]:
    """The files, relative to `root`, that `refresh` would change."""
    return [path.relative_to(root).as_posix() for path in _changed(Path(root))]


def _changed(root: Path) -> dict[Path, str]:
    """New texts of the files that do not repeat the address as they should."""
    repository = _repository(root)
    texts = {}
    readme = root / "README.md"
    if readme.is_file():
        texts[readme] = _readme(readme.read_text(encoding="utf-8"), repository)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        texts[path] = _notebook(path, f"notebooks/{path.name}", repository)
    return {path: text for path, text in texts.items() if text is not None}


def _repository(root: Path) -> str:
    path = root / "pyproject.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this in the project's folder") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}") from None
    address = str(content.get("project", {}).get("urls", {}).get("Repository", ""))
    address = address.removesuffix("/").removesuffix(".git")
    if not REPOSITORY.fullmatch(address):
        raise InputError(
            f"{path}: [project.urls] Repository is {address!r}; "
            'write "https://github.com/OWNER/NAME"'
        )
    return address


def _readme(text: str, repository: str) -> str | None:
    new = BADGE.sub(lambda found: badge(repository, unquote(found["notebook"])), text)
    new = "".join(_addresses(line, repository) for line in new.splitlines(keepends=True))
    return None if new == text else new


def _notebook(path: Path, place: str, repository: str) -> str | None:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        changed = False
        for number, cell in enumerate(notebook["cells"]):
            old = "".join(cell["source"])
            new = _addresses(old, repository) if cell["cell_type"] == "code" else old
            if number == 0 and cell["cell_type"] == "markdown":
                new = _with_badge(new, badge(repository, place))
            if new != old:
                changed = True
                as_lines = isinstance(cell["source"], list)
                cell["source"] = new.splitlines(keepends=True) if as_lines else new
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a notebook of format 4; save it again in Jupyter") from None
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n" if changed else None


def _with_badge(text: str, new: str) -> str:
    if BADGE.search(text):
        return BADGE.sub(lambda _: new, text)
    return f"{new}\n\n{text}"


def _addresses(text: str, repository: str) -> str:
    """`text`, cloning or installing from `repository` where it clones or installs."""
    if not CLONES.search(text):
        return text

    def address(found: re.Match[str]) -> str:
        return repository + (".git" if found[0].endswith(".git") else "")

    return REPOSITORY.sub(address, text)


def main() -> int:
    """Refresh the project around the working folder; exit code 0, or 2 where that cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root = project_root()
    try:
        changed = refresh(root)
    except InputError as error:
        log.error("%s", error)
        return 2
    for path in changed:
        log.info("rewrote %s", path.relative_to(root))
    log.info("%d files changed", len(changed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
