"""Processor seconds that answers take: the first of a fresh process, the next, and a thousand.

    python benchmarks/answers.py [--photographs 100] [--questions 1000] [--run RUN] [--json FILE]

Every way is a process of its own on one thread. Photographs are drawn (`features.photographs`), each
question is asked once, and the sentence vectors are kept nowhere. `lists` is
`model.answer([photo, ...], [question, ...])`, `table` the same as a DataFrame, and `predict` the
command. Of `lists` and `table` the loading is not counted, of the others it is.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas

from features import photographs
from vqa_helpers.api import SHIPPED
from vqa_helpers.files import write_json
from vqa_helpers.report.tables import to_markdown

# What each process is told: the run, the questions file, the photographs' folder, the results' file.
BEGIN = """
import json, sys, time
from pathlib import Path
import pandas as pd
import vqa_helpers as vqa

run, file, images, out = sys.argv[1:]
asked = json.loads(Path(file).read_text())["questions"]
photos = [f"{images}/{entry['image_id']:012}.jpg" for entry in asked]
questions = [entry["question"] for entry in asked]
"""
WAYS = {
    "first": "vqa.load(run).answer(photos[0], questions[0]); start = 0.0",
    "next": "model = vqa.load(run); model.answer(photos[0], questions[0]); start = time.process_time()\n"
    "model.answer(photos[-1], questions[-1])",
    "lists": "model = vqa.load(run); model.answer(photos[0], questions[0]); start = time.process_time()\n"
    "model.answer(photos, questions)",
    "table": "model = vqa.load(run); model.answer(photos[0], questions[0]); start = time.process_time()\n"
    "model.answer(pd.DataFrame({'image': photos, 'question': questions}))",
    "predict": "from vqa_helpers.cli import main; start = 0.0\n"
    "assert main(['predict', run, '--questions', file, '--images', images, '--out', out]) == 0",
}
END = "\nprint(time.process_time() - start, file=sys.stderr)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photographs", type=int, default=100)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--run", type=Path, default=SHIPPED, help="the package's own model")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "asked").mkdir()  # by themselves: the drawn files' names hold numbers too
        for path in photographs(folder, options.photographs).values():
            (folder / "asked" / path.name).symlink_to(path.resolve())
        asked = [
            {"question_id": n, "image_id": n % options.photographs, "question": f"is there a {n}?"}
            for n in range(options.questions)
        ]
        write_json(folder / "questions.json", {"questions": asked})
        given = [options.run, folder / "questions.json", folder / "asked", folder / "out.json"]
        for way, code in WAYS.items():
            command = [sys.executable, "-c", BEGIN + code + END, *map(str, given)]
            one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                command, env=one_thread, capture_output=True, text=True, check=True
            )
            seconds = float(done.stderr.split()[-1])
            count = 1 if way in ("first", "next") else options.questions
            rows.append({"way": way, "answers": count, "seconds": seconds,
                         "answers_per_s": count / seconds})  # fmt: skip
            print(rows[-1], flush=True)
    print(to_markdown(pandas.DataFrame(rows).round(3)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
