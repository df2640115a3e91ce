"""The whole way, for real: a dataset folder, every notebook by papermill, the site."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import write_dataset
from tests.notebooks.kernels import warm_kernels
from vqa_helpers.presets import PRESETS
from vqa_helpers.runs import find_runs

ROOT = Path(__file__).parents[2]
SERIES = {  # what the preliminary tests train
    "1.b", "1.c", "1.e", "1.e+vision.size_px=64", "1.f", "1.fB", "1.fC",
    "Model100+vision=StoredFeatures",
    "Model100+loss=weighted-cross-entropy+vision=StoredFeatures",
}  # fmt: skip


def vqa(*words: str | Path, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "vqa_helpers", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, env=os.environ | variables
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_notebook_runs_on_a_folder_and_the_site_shows_them(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "mine", images=16)
    out, runs, site = tmp_path / "executed", tmp_path / "runs", tmp_path / "site"
    words = ["batch", "--out", out, "--jobs", "2", "-p", f"DATA={data}", "-p", f"RUNS={runs}"]
    words += ["-p", "EPOCHS=1", "-p", "OFFLINE=True", "-p", "IMAGE_SIZE=32"]

    sources = {path.stem: path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb")}
    names = set(sources)
    several = {name for name in names if "SEEDS: int" in sources[name]}
    assert several and "Results_Summary" not in several  # which looks at what the others left
    only = [["--only", ",".join(several), "-p", "SEEDS=1"], ["--only", ",".join(names - several)]]

    with warm_kernels(tmp_path / "jupyter") as variables:
        for chosen in only:
            batch = vqa(*words, *chosen, **variables)
            assert batch.returncode == 0, batch.stderr
    assert {path.stem for path in out.glob("*.ipynb")} == names
    trained = {run.name for run in find_runs(runs)}
    assert trained == (names & PRESETS.keys()) | SERIES
    for run in find_runs(runs):
        replaced = run.name not in ("Bag_Of_Words", "Question_Only")
        assert bool(run.config["stand_ins"]) == replaced
        assert 0 <= run.metrics["test"]["top1"]["value"] <= 100
    summary = json.loads((out / "records" / "Results_Summary.json").read_text())
    assert summary["results"]["runs"] == len(names & PRESETS.keys())
    assert summary["results"]["cells"] == summary["results"]["of"], "every cell of the study's"

    again = vqa(*words, *only[-1])
    assert again.returncode == 0
    assert "0 done" in again.stderr, "finished notebooks are skipped"

    report = vqa("report", "--notebooks", out, "--runs", runs, "--out", site)
    assert report.returncode == 0, report.stderr
    index = (site / "index.html").read_text(encoding="utf-8")
    assert all(f"{name}.html" in index for name in names)
    assert "Improved_VQA2015_VGG" in index
