"""What the README promises, held against the project."""

import json
import re
import subprocess
from pathlib import Path

import torch

from vqa_helpers.cli import _parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def test_the_own_piece_of_the_readme_answers() -> None:
    (code,) = blocks("python")
    names: dict = {}
    exec(code, names)
    logits = names["model"](
        torch.randn(2, 2048), torch.tensor([[5, 7, 0], [9, 2, 4]]), torch.tensor([2, 3])
    )
    assert logits.shape == (2, 1000)


def test_every_command_of_the_readme_is_understood() -> None:
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    commands = re.findall(r"^vqa (.+?)(?:\s+#.*)?$", text, re.M)
    assert len(commands) > 5
    for command in commands:
        words = [a or b for a, b in re.findall(r"['\"]([^'\"]*)['\"]|(\S+)", command)]
        _parser().parse_args(words)  # exits with 2 where it does not understand


def test_every_option_of_the_script_is_in_its_help() -> None:
    shown = subprocess.run(
        ["bash", "run_all.sh", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for option in re.findall(r"run_all\.sh[^\n`]*?(--[a-z-]+)", README):
        assert option in shown


def test_local_links_and_figures_are_there() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_notebook_is_listed_with_its_badge() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in README
        assert f"/blob/main/notebooks/{path.name})" in README


def test_the_demo_table_is_that_of_the_committed_run() -> None:
    """Each score in the README stands, with its interval, in the outputs of the summary."""
    summary = json.loads((ROOT / "notebooks" / "Results_Summary.ipynb").read_text(encoding="utf-8"))
    outputs = json.dumps(summary["cells"])
    demo = README[README.index("## Results") : README.index("## On real photographs")]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+ \[[\d.]+, [\d.]+\]) \|", demo, re.M)
    assert len(rows) == 12
    for preset, score in rows:
        assert preset in outputs
        assert score in outputs
