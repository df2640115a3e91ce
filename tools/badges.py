"""Write the address of the repository where readers fetch the project from.

    python tools/badges.py                 # the address of the git remote `origin`
    python tools/badges.py --address URL   # this one

It then stands in `pyproject.toml` (`[project.urls] Repository`), in the set-up cell of every notebook,
which installs the project in Colab, and in the "Open in Colab" badges of README.md, docs/notebooks.md
and the notebooks. Until then nothing is fetched from anywhere: there are no badges, and the set-up
cell says what to do.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

COLAB = "https://colab.research.google.com"
GITHUB = "https://github.com/"  # Colab opens the notebooks of no other host by address
NO_BADGE = "–"
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)\n\n")
# A place for a badge: the last cell of a row that begins with a link to a notebook.
ROW = re.compile(r"^(\| \[\w+\]\((?:\.\./)?(notebooks/[^)]+)\) \|.*\|) [^|]+ \|$", re.MULTILINE)
SET_UP = re.compile(r'^( +repository = )"[^"]*"', re.MULTILINE)
URLS = re.compile(r"^(\[project\.urls\]\n(?:#.*\n)*)(?:Repository = .*\n)?", re.MULTILINE)
_HOST, _PATH = r"[\w-]+(?:\.[\w-]+)+", r"[\w.~-]+(?:/[\w.~-]+)+"
REMOTES = (
    rf"https://(?:[^/@]*@)?({_HOST}(?::\d+)?)/({_PATH})",
    rf"ssh://(?:[^/@]*@)?({_HOST})(?::\d+)?/({_PATH})",
    rf"(?:[^/@:]*@)?({_HOST}):/?({_PATH})",  # git's short form of ssh
)


def public(remote: str) -> str:
    """The address of a git remote that readers without a key can use, "https://HOST/OWNER/NAME".

    A user name, a password and a token in it are left out.

    Raises:
        SystemExit: a remote that is no https or ssh address of a host, such as a folder.
    """
    for form in REMOTES:
        if found := re.fullmatch(form, remote.rstrip("/").removesuffix(".git")):
            return f"https://{found[1].lower()}/{found[2]}"
    sys.exit(
        f"{remote!r} is no https or ssh address of a repository on a host; name it: "
        "python tools/badges.py --address https://HOST/OWNER/NAME"
    )


def origin(root: Path) -> str:
    """What the git remote `origin` of the project `root` is.

    Raises:
        SystemExit: there is none.
    """
    words = ["git", "-C", str(root), "remote", "get-url", "origin"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(
            f"{root}: has no git remote `origin`; name the repository's address: "
            "python tools/badges.py --address https://HOST/OWNER/NAME"
        )
    return done.stdout.strip()


def address_set(root: Path) -> str:
    """The address that the project `root` has been given; empty where it has none yet."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository", "")


def badge(address: str, notebook: str) -> str:
    """A badge as Markdown, for the path "notebooks/NAME.ipynb" in the branch main."""
    if not address.startswith(GITHUB):
        return NO_BADGE
    target = f"{COLAB}/github/{address.removeprefix(GITHUB)}/blob/main/{quote(notebook, safe='/%')}"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({target})"


def rewritten(root: Path, address: str) -> dict[Path, str]:
    """The new text of each file in the project `root` that does not repeat the address rightly."""
    texts = {}
    if address:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        texts[root / "pyproject.toml"] = URLS.sub(rf'\1Repository = "{address}"\n', text)
    for path in (root / "README.md", root / "docs" / "notebooks.md"):
        text = path.read_text(encoding="utf-8")
        texts[path] = ROW.sub(lambda row: f"{row[1]} {badge(address, row[2])} |", text)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        own = badge(address, f"notebooks/{path.name}")
        for number, cell in enumerate(notebook["cells"]):
            text = SET_UP.sub(rf'\1"{address}"', "".join(cell["source"]))
            if number == 0:
                text = BADGE.sub("", text)
                text = text if own == NO_BADGE else f"{own}\n\n{text}"
            cell["source"] = text.splitlines(keepends=True)
        texts[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return {path: text for path, text in texts.items() if path.read_text("utf-8") != text}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--address", metavar="URL", help="default: that of the git remote origin")
    place = Path(__file__).resolve().parents[1]
    chosen = public(parser.parse_args().address or origin(place))
    for path, text in rewritten(place, chosen).items():
        path.write_text(text, encoding="utf-8")
        print(f"{path}: the repository is {chosen}")
