"""What the README and the guides in docs/ promise, held against the project."""

import json
import re
import shlex
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from tests.builders import write_dataset
from tests.report.samples import answered_rows, right_rows, write_run
from vqa_helpers.cli import _parser, main
from vqa_helpers.data.demo.dataset import make_demo
from vqa_helpers.presets import PRESETS

ROOT = Path(__file__).parents[1]
PAGES = {
    path.name: path.read_text("utf-8") for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
}
README = PAGES["README.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.M | re.S)


def run(code: str) -> dict:
    names = {"__name__": "page"}
    exec(code, names)
    return names


def test_the_puzzle_of_the_readme_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    make_demo(tmp_path / "data" / "demo", seed=0, images=20, size_px=32)
    [code] = blocks("README.md", "python")
    *puzzle, last = code.rstrip().splitlines()
    assert last.startswith("run = train(model, data, training")
    names = run("\n".join(puzzle))
    model, data = names["model"].eval(), names["data"]
    question = model.encode(["what is on the table?", "is it red?"], data.words)
    assert model(torch.randn(2, 1280), question).shape == (2, len(data.answers))
    assert names["training"] == PRESETS["GUSE_ResNet"].small


def test_the_own_piece_of_the_guide_works():
    [code] = blocks("pieces.md", "python")
    recipe = PRESETS["GUSE_VGG"].with_(fusion="Sum", set={"fusion.width": "256"}, own=run(code))
    fusion = recipe.fusion.make("fusion", {"image_dim": 6, "question_dim": 5}, {})
    assert fusion(torch.ones(2, 6), torch.ones(2, 5)).shape == (2, fusion.out_dim) == (2, 256)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_understood(page):
    text = "\n".join(blocks(page, "bash")).replace("\\\n", " ")
    commands = re.findall(r"^(?:.* -m vqa_helpers|vqa) (.+)$", text, re.M)
    assert commands or page == "pieces.md"
    for command in commands:
        typed = command.partition(" > ")[0]  # the rest is the shell's
        _parser().parse_args(shlex.split(typed, comments=True))  # exits where it does not


@pytest.mark.parametrize("page", PAGES)
def test_every_command_within_a_sentence_is_understood(page):
    """`vqa train` alone names a command; with more words it is one that can be typed."""
    for command in re.findall(r"`vqa\s([^`]+)`", PAGES[page]):
        words = shlex.split(command)
        alone = len(words) == (2 if words[0] == "data" else 1)
        with pytest.raises(SystemExit, match="^0$") if alone else nullcontext():
            _parser().parse_args(words + ["--help"] * alone)


def test_every_command_of_the_results_page_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for preset in ("GUSE_VGG", "GUSE_ResNet", "Question_Only"):
        for seed in (0, 1):
            write_run(Path("runs"), preset, seed, predictions=answered_rows(0.5))
    write_dataset(Path("mine"))
    write_run(Path("runs"), "mine", dataset="mine", predictions=right_rows(Path("mine")))
    Path("runs/mine/mine/0").rename("runs/mine/0")  # named by hand
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    Path("runs/notebooks").mkdir()
    Path("runs/notebooks/One.ipynb").write_text(json.dumps(notebook))
    commands = re.findall(r"^vqa (.+)$", "\n".join(blocks("results.md", "bash")), re.M)
    assert len(commands) == 10
    for command in commands:
        words = shlex.split(command.partition(" > ")[0], comments=True)
        assert main(words) == 0, command
        assert capsys.readouterr().out, command
    assert Path("site/One.html").is_file() and Path("mine-site/answers-1.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_local_links_and_figures_are_there(page):
    place = ROOT if page == "README.md" else ROOT / "docs"
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page])
    assert [target for target in targets if not (place / target).exists()] == []


def test_every_option_of_the_script_is_in_its_help():
    words = ["bash", "run_all.sh", "--help"]
    shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in re.findall(r"run_all\.sh[^\n`]*?(--[a-z-]+)", "\n".join(PAGES.values())):
        assert option in shown


def test_every_notebook_is_listed_with_its_badge():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in README
        assert f"/blob/main/notebooks/{path.name})" in README


def test_the_demo_table_is_that_of_the_committed_run():
    """Each score in the README stands, with its interval, in the outputs of the summary."""
    summary = json.loads((ROOT / "notebooks" / "Results_Summary.ipynb").read_text(encoding="utf-8"))
    outputs = json.dumps(summary["cells"])
    demo = README[README.index("## Results on the demo") : README.index("## The notebooks")]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+ \[[\d.]+, [\d.]+\]) \|", demo, re.M)
    assert len(rows) == 12
    assert [cell for row in rows for cell in row if cell not in outputs] == []
