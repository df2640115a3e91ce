"""What the README and the guides in docs/ promise, held against the project."""

import ast
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from tests.builders import write_dataset
from tests.calling import QUICK
from tests.report.samples import answered_rows, right_rows, write_run
from tools.badges import GITHUB, address_set
from vqa_helpers import api
from vqa_helpers.cli import _parser, main
from vqa_helpers.data.demo.dataset import make_demo
from vqa_helpers.presets import PRESETS
from vqa_helpers.training.inputs import open_data
from vqa_helpers.training.train import train_recipe

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


def commands(page: str) -> list[str]:
    """The calls of `vqa` in a page: the lines of its blocks, and those within its sentences."""
    text = "\n".join(blocks(page, "bash")).replace("\\\n", " ").replace(" && vqa ", "\nvqa ")
    lines = re.findall(r"^(?:.* -m vqa_helpers|vqa) (.+)$", text, re.M)
    sentences = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.M | re.S)
    for call in re.findall(r"`vqa\s([^`]+)`", sentences):
        named_alone = re.fullmatch(r"(data )?\w+", call)
        lines.append(f"{call} --help" if named_alone else call)
    return [line.partition(" > ")[0] for line in lines]  # without the file that takes the output


def test_the_readme_is_one_page_that_leads_to_all_others():
    assert len(README.splitlines()) <= 150
    assert [page for page in PAGES if page != "README.md" and f"(docs/{page})" not in README] == []


def test_the_puzzle_of_the_guide_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    make_demo(tmp_path / "data" / "demo", seed=0, images=20, size_px=32)
    *puzzle, last = blocks("pieces.md", "python")[0].rstrip().splitlines()
    assert last.startswith("run = train(model, data, training")
    names = run("\n".join(puzzle))
    model, data = names["model"].eval(), names["data"]
    question = model.encode(["what is on the table?", "is it red?"], data.words)
    assert model(torch.randn(2, 1280), question).shape == (2, len(data.answers))
    assert names["training"] == PRESETS["GUSE_ResNet"].small


def test_the_own_piece_of_the_guide_works():
    code = blocks("pieces.md", "python")[1]
    recipe = PRESETS["GUSE_VGG"].with_(fusion="Maximum", set={"fusion.width": "256"}, own=run(code))
    fusion = recipe.fusion.make("fusion", {"image_dim": 6, "question_dim": 5}, {})
    assert fusion(torch.ones(2, 6), torch.ones(2, 5)).shape == (2, fusion.out_dim) == (2, 256)


@pytest.mark.slow
def test_what_the_pages_ask_is_answered(place, data, monkeypatch, capsys):
    """Every line of README and docs/ask.md about asking, with a tiny model in place of the package's."""
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    opened = open_data(data, weights="random", image_size=32, offline=True, device="cpu")
    small = PRESETS["1.e"].with_(vision="test_resnet")
    trained = train_recipe(small, opened, place / "run", epochs=1).folder
    monkeypatch.setattr(api, "SHIPPED", trained)
    shutil.copytree(trained, "runs/demo/GUSE_ResNet/0")
    attention = PRESETS["Stacked_Attention"].with_(set={"vision.network": "test_resnet"})
    train_recipe(attention, opened, place / "runs/demo/Stacked_Attention/0", epochs=1)
    (place / "photos").mkdir()
    for name in ("photo.jpg", "other.jpg", "photos/7.jpg"):
        Image.new("RGB", (64, 48), (220, 30, 30)).save(name)
    question = {"question_id": 1, "image_id": 7, "question": "what is it?"}
    (place / "questions.json").write_text(json.dumps({"questions": [question]}))
    lines = [line for line in commands("README.md") if line.startswith("ask")]
    assert len(lines) == 2
    for line in lines + [line for line in commands("ask.md") if not line.endswith("--help")]:
        assert main(shlex.split(line, comments=True)) == 0, line
    assert capsys.readouterr().out.count(" %  ") == 5 * 5
    assert json.loads((place / "results.json").read_text())[0]["question_id"] == 1
    assert len(run(blocks("README.md", "python")[0])["model"].answer("photo.jpg", "why?")) == 5
    names = run("\n".join(blocks("ask.md", "python")))
    assert [len(answers) for answers in names["both"] + names["each"]] == [5, 5, 5, 5]
    assert (place / "answers.csv").read_text().startswith("image,question,answer,probability\n")
    assert (place / "card.png").stat().st_size > 1000
    portable = names["portable"].answer("photo.jpg", "what is on the table?", most=1)
    assert capsys.readouterr().out.splitlines()[-1] == portable.text


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_imports_and_names_what_there_is(page):
    tree = ast.parse("\n".join(blocks(page, "python")))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = run(ast.unparse(imports))
    for node in ast.walk(tree):
        module = names.get(getattr(getattr(node, "value", None), "id", ""))
        if isinstance(node, ast.Attribute) and isinstance(module, ModuleType):
            assert hasattr(module, node.attr), node.attr


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_understood(page):
    assert commands(page) or page == "notebooks.md"
    for command in commands(page):
        try:
            _parser().parse_args(shlex.split(command, comments=True))
        except SystemExit as end:
            assert not end.code, command


@pytest.mark.parametrize("page", PAGES)
def test_every_program_is_there_and_has_the_options(page):
    for path, words in re.findall(r"\bpython (\w+/\w+\.py)([^`\n#]*)", PAGES[page]):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert [word for word in re.findall(r"--[a-z-]+", words) if f'"{word}"' not in text] == []
    for notebook, words in re.findall(r"^papermill .*?(notebooks/\S+) \S+(.*)$", PAGES[page], re.M):
        text = (ROOT / notebook).read_text(encoding="utf-8")
        assert [name for name in re.findall(r"-p (\w+)", words) if f'"{name}: ' not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_code_is_fetched_from_the_address_that_is_set_alone(page):
    """What a command or a program of a page clones, installs or loads, and what a badge opens."""
    text, address = PAGES[page], address_set(ROOT)
    for line in re.findall(r"^.*(?:clone|git\+|curl|wget|urlopen|requests\.).*$", text, re.M):
        for url in re.findall(r"\w+://[^\s`'\")]+", line):
            assert url == address or re.match(r"http://(127\.0\.0\.1|localhost)[:/]", url), line
    for words in re.findall(r"\bpip install ([^`\n#]+)", text):
        assert re.fullmatch(r"-e ('?)\.(\[\w+\])?\1", words.strip()), words
    opened = re.findall(r"colab\.research\.google\.com/github/([^/]+/[^/]+)", text)
    assert set(opened) <= {address.removeprefix(GITHUB)}


@pytest.mark.slow
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


@pytest.mark.slow
def test_every_command_of_the_sweep_page_works(place, data, capsys):
    """As they stand, on a tiny dataset and shortened by the options of the last word."""
    pytest.importorskip("optuna", reason="the extra sweep is not installed")
    sweep, table = [shlex.split(line, comments=True) for line in commands("sweep.md")
                    if "--out" in line or "--runs" in line]  # fmt: skip
    sweep[sweep.index("demo")] = str(data)
    short = ["--trials", "2", "--epochs", "1", "--set", "fusion.width=8", *QUICK]
    sweep[sweep.index("fusion=Product,Concatenation,MLB")] = "fusion=Product,MLB"
    assert main([*sweep, *short]) == 0
    assert "the best: vqa train GUSE_VGG" in capsys.readouterr().out
    assert main(table) == 0
    assert capsys.readouterr().out.count("GUSE_VGG") == 2


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


def test_every_notebook_is_listed():
    notebooks = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    listed = re.findall(r"^\| \[\w+\]\(\.\./notebooks/(.+?)\) \|", PAGES["notebooks.md"], re.M)
    assert sorted(listed) == notebooks
    assert f"lists all {len(notebooks)}" in README


def test_the_demo_table_is_that_of_the_committed_run():
    """Each score in the page stands, with its interval, in the outputs of the summary."""
    summary = json.loads((ROOT / "notebooks" / "Results_Summary.ipynb").read_text(encoding="utf-8"))
    outputs = json.dumps(summary["cells"], ensure_ascii=False).replace("\u00a0", " ")
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+ \[[\d.]+, [\d.]+\]) \|", PAGES["demo.md"], re.M)
    assert len(rows) == 12
    assert [cell for row in rows for cell in row if cell not in outputs] == []
