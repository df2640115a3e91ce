"""Kill -9 of real processes at random points: what is left in the end is what a whole run leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "kills"), [(["extraction"], 3), (["training", "download", "batch"], 2)]
)
def test_nothing_is_lost_or_doubled(tmp_path, names, kills):
    table = tmp_path / "rows.json"
    words = [*names, "--kills", str(kills), "--images", "80", "--json", table]
    done = subprocess.run(
        [sys.executable, "benchmarks/kills.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TFHUB_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(table.read_text())
    assert [row["what"] for row in rows] == names
    for row in rows:
        assert row["samples"] >= 40
        assert row["kills"] == row["resumed"] == row["same_sha256"] == kills, done.stderr
        assert row["lost"] == row["doubled"] == 0
