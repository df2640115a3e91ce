"""Seconds until the command answers `--help`, and until the package is imported.

    python benchmarks/startup.py [--repeats 9] [--json FILE]

A process each, in turn; the median. `python -c pass` is the least a process can take. A row says
whether torch was imported on the way.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMITS_S = {"vqa --help": 0.5, "vqa train --help": 0.5, "import vqa_helpers": 0.3}
CODE = {
    "python -c pass": "pass",
    "vqa --help": "from vqa_helpers.cli import main; main(['--help'])",
    "vqa train --help": "from vqa_helpers.cli import main; main(['train', '--help'])",
    "import vqa_helpers": "import vqa_helpers",
}
ASK = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"


def run(code: str) -> float:
    """Seconds of a process that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def touches_torch(code: str) -> bool:
    """Whether `code` has imported torch by its end."""
    process = subprocess.run(
        [sys.executable, "-c", f"{ASK}\n{code}"], check=True, capture_output=True, text=True
    )
    return process.stderr.strip().endswith("True")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {what: [] for what in CODE}
    for _ in range(options.repeats):
        for what, code in CODE.items():
            seconds[what].append(run(code))
    rows = []
    for what, code in CODE.items():
        limit, median = LIMITS_S.get(what), statistics.median(seconds[what])
        torch = touches_torch(code)
        rows.append({"what": what, "seconds": median, "limit_s": limit, "torch": torch})
        beside = f"of at most {limit} s" if limit else ""
        print(f"{what:20} {median:6.3f} s {beside:16} torch {'imported' if torch else 'untouched'}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
