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
    ("name", "kills"), [("extraction", 3), ("training", 2), ("download", 2), ("batch", 2)]
)
def test_nothing_is_lost_or_doubled(tmp_path, name, kills):
    table = tmp_path / "rows.json"
    command = [sys.executable, "benchmarks/kills.py", name, "--kills", str(kills), "--json", table]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TFHUB_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [row] = json.loads(table.read_text())
    assert row["samples"] >= 40
    assert row["kills"] == row["resumed"] == row["same_sha256"] == kills, done.stderr
    assert row["lost"] == row["doubled"] == 0
