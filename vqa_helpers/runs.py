"""A run folder, `<root>/<dataset>/<preset>/<seed>/`: how its files are written and read back.

Every file is written beside its place and renamed over it, so a kill leaves the old file or the
new one, never half of one; `DONE` comes last and is the only sign of a finished run. Knows
nothing of models, images, texts or plots: what it moves are mappings, rows and numbers.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vqa_helpers.errors import InputError
from vqa_helpers.files import read_sums, sha256_of, to_json, write_sums, write_text

CONFIG, ENVIRONMENT, HISTORY = "config.json", "environment.json", "history.csv"
PREDICTIONS, METRICS, DONE = "predictions.jsonl", "metrics.json", "DONE"
SPLIT, TIMING, VOCABULARY = "split.json", "timing.json", "vocabulary.json"
HISTORY_COLUMNS = (
    "epoch", "train_loss", "train_top1", "validation_loss", "validation_top1", "validation_vqa",
    "learning_rate",
)  # fmt: skip
PREDICTION_COLUMNS = (
    "split", "question_id", "image_id", "answers", "probabilities", "truth", "vqa", "blind",
)  # fmt: skip
LATER_COLUMNS = frozenset({"image_id", "vqa", "blind"})  # runs of old versions lack them
INTERVALS = ("top1", "top5", "vqa")
REMEDY = "restore the file, or delete the run folder and train again"


# Writing


def run_folder(root: Path, dataset: str, preset: str, seed: int) -> Path:
    """Where the run of `preset` on `dataset` with `seed` lives; creates nothing."""
    for field, name in (("dataset", dataset), ("preset", preset)):
        if name in ("", ".", "..") or set(name) & set('/\\:*?"<>|\0'):
            raise InputError(f"{field} {name!r} cannot name a folder; use letters, digits, . _ -")
    return Path(root) / dataset / preset / str(int(seed))


def write_predictions(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write predictions, one JSON object a line.

    Args:
        rows: mappings with the keys of `PREDICTION_COLUMNS`: `vqa` is the official accuracy of
            the first answer, 0 to 1, and `blind` what the best blind guesser says. `truth` and
            `blind` are None where the split has no answers, `vqa` where it is not defined.
    """
    lines = [to_json(path, {name: row[name] for name in PREDICTION_COLUMNS}) for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))


def write_history(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one CSV row an epoch; a value that is absent, None or NaN stays empty.

    Args:
        rows: mappings with the keys of `HISTORY_COLUMNS`; further keys become further columns.
    """
    rows = list(rows)
    further = {name: None for row in rows for name in row if name not in HISTORY_COLUMNS}
    columns = [*HISTORY_COLUMNS, *further]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in columns])
    write_text(path, text.getvalue())


def mark_done(folder: Path, leave_out: str = "") -> None:
    """Declare the run finished. Call it last: everything else must be on disk already.

    `DONE` lists the sums of the files that the same settings always give, so that damage is
    noticed and two runs are told to be equal; dates and times are not among them.

    Args:
        leave_out: the name of a file that will go.
    """
    varying = {ENVIRONMENT, TIMING, DONE, leave_out}
    files = sorted(path for path in Path(folder).glob("[!.]*") if path.is_file())
    write_sums(Path(folder) / DONE, [path for path in files if path.name not in varying])


def is_done(folder: Path) -> bool:
    return (Path(folder) / DONE).is_file()


def _csv_cell(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)


# Reading


@dataclass
class Run:
    """A run folder read on demand: each file once, at the first use of its property.

    Every property raises `InputError` naming the file when it is missing or damaged.
    """

    folder: Path

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)

    @property
    def finished(self) -> bool:
        return is_done(self.folder)

    def verify(self) -> None:
        """Refuse a finished run of which a file is not as it was.

        Raises:
            InputError: naming the file.
        """
        for name, known in read_sums(self.folder / DONE).items():
            path = self.folder / name
            if not path.is_file() or sha256_of(path) != known:
                raise InputError(f"{path}: does not match its checksum in {DONE}; {REMEDY}")

    @cached_property
    def config(self) -> dict[str, Any]:
        return _read_object(self.folder / CONFIG, required=("dataset", "preset", "seed"))

    @property
    def name(self) -> str:
        """The preset and what differs from it, as tables show it."""
        return self.config.get("name", self.config["preset"])

    @cached_property
    def train_questions(self) -> int | None:
        """How many questions it learnt from, as its split says; None where it kept none."""
        try:
            return int(_read_object(self.folder / SPLIT)["counts"]["train"]["questions"])
        except (InputError, LookupError, TypeError, ValueError):
            return None

    @cached_property
    def environment(self) -> dict[str, Any]:
        return _read_object(self.folder / ENVIRONMENT)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch, the columns of `HISTORY_COLUMNS` and any further ones, all numbers."""
        path = self.folder / HISTORY
        try:
            head, *rows = csv.reader(io.StringIO(_text(path), newline=""))
            # Python's float reads back every bit; how to ask pandas for it differs by version.
            cells = [[float(cell) if cell else math.nan for cell in row] for row in rows]
            if any(len(row) != len(head) for row in rows):
                raise ValueError(f"not every line has {len(head)} cells")
            table = pd.DataFrame(cells, columns=head, dtype=float).astype({"epoch": "int64"})
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise _damaged(path, error) from error
        for name in HISTORY_COLUMNS:
            if name not in table:
                raise InputError(f"{path}: column {name!r} is missing; {REMEDY}")
        return table

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Split to its scores, in percent; each has at least what every report shows."""
        path = self.folder / METRICS
        metrics = _read_object(path, required=("validation",))
        for split, scores in metrics.items():
            _check_scores(path, split, scores)
        return metrics

    @property
    def scored(self) -> tuple[str, dict[str, Any]]:
        """The split whose scores are the result (validation where test has no answers), and these."""
        name = "test" if self.metrics.get("test") else "validation"
        return name, self.metrics[name]

    @property
    def best_epoch(self) -> pd.Series:
        """The epoch whose weights were kept: the first with the highest validation top-1."""
        return self.history.loc[self.history["validation_top1"].idxmax()]

    @cached_property
    def timing(self) -> dict[str, Any]:
        return _read_object(self.folder / TIMING)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row a question, the columns of `PREDICTION_COLUMNS`.

        `answers` and `probabilities` hold lists, most probable first; what is not known is None.
        """
        path = self.folder / PREDICTIONS
        rows = []
        try:
            text = _text(path)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        for number, line in enumerate(io.StringIO(text), start=1):
            rows.append(_prediction(path, number, line))
        # Objects, lest pandas 3 make a str column of them and turn None into NaN.
        return pd.DataFrame(
            {
                name: pd.Series(
                    [row[name] for row in rows],
                    dtype="int64" if name == "question_id" else object,
                )
                for name in PREDICTION_COLUMNS
            }
        )


def find_runs(root: Path, dataset: str | None = None) -> list[Run]:
    """The finished runs below `root`, sorted by dataset, preset and seed.

    Args:
        root: the folder given to `run_folder`; one that does not exist holds no runs.
        dataset: only the runs on this dataset.
    """
    folders = [done.parent for done in Path(root).glob("*/*/*/DONE") if done.is_file()]
    # `0.1` is a run that was set aside for one with other settings.
    folders = [folder for folder in folders if folder.name.isdecimal()]
    if dataset is not None:
        folders = [folder for folder in folders if folder.parent.parent.name == dataset]
    return [Run(folder) for folder in sorted(folders, key=_order)]


@dataclass(frozen=True)
class Experiment:
    """Runs that agree in everything but the seed."""

    name: str  # the preset and what differs from it, e.g. "GUSE_VGG fusion.width=512"
    dataset: str
    runs: tuple[Run, ...]  # by seed

    def __str__(self) -> str:
        return f"{self.name} on {self.dataset}"


def find_experiments(root: Path, dataset: str | None = None) -> list[Experiment]:
    """The finished runs below `root`, grouped, in the order of `find_runs`."""
    return group_runs(find_runs(root, dataset))


def group_runs(runs: Iterable[Run]) -> list[Experiment]:
    """Finished runs as experiments, in the order in which the first run of each is given."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        fixed = {name: value for name, value in run.config.items() if name != "seed"}
        groups.setdefault(json.dumps(fixed, sort_keys=True), []).append(run)
    for same in groups.values():
        same.sort(key=lambda run: run.config["seed"])
    return [Experiment(s[0].name, s[0].config["dataset"], tuple(s)) for s in groups.values()]


def runs_at(folder: Path) -> list[Run]:
    """The finished run that `folder` is, or those of several seeds that it holds.

    Raises:
        InputError: when it is neither.
    """
    if is_done(folder):
        return [Run(folder)]
    seeds = [done.parent for done in Path(folder).glob("*/DONE") if done.parent.name.isdecimal()]
    if not seeds:
        raise InputError(
            f"{folder}: is no finished run, and holds none of several seeds; train one first"
        )
    return [Run(seed) for seed in sorted(seeds, key=lambda path: int(path.name))]


def _order(folder: Path) -> tuple[str, str, int]:
    """Sort key of a run folder: seed 10 comes after seed 9."""
    return folder.parent.parent.name, folder.parent.name, int(folder.name)


def _text(path: Path) -> str:
    """The text of a file, which must be as it was when its run was finished."""
    content = path.read_bytes()
    known = read_sums(path.parent / DONE).get(path.name)
    if known not in (None, hashlib.sha256(content).hexdigest()):
        raise ValueError(f"it does not match its checksum in {DONE}")
    return content.decode("utf-8")


def _read_object(path: Path, required: Iterable[str] = ()) -> dict[str, Any]:
    try:
        obj = json.loads(_text(path))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(obj, dict):
        raise InputError(f"{path}: holds a {type(obj).__name__}, not an object; {REMEDY}")
    for name in required:
        if name not in obj:
            raise InputError(f"{path}: field {name!r} is missing; {REMEDY}")
    return obj


def _check_scores(path: Path, split: str, scores: Any) -> None:
    """Refuse scores of a split without what every report shows."""

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    def is_score(value: Any) -> bool:
        names = ("value", "low", "high")
        return isinstance(value, dict) and all(is_number(value.get(name)) for name in names)

    def is_kind(value: Any) -> bool:
        return isinstance(value, dict) and is_number(value.get("questions")) and all(
            name in value
            and (value[name] is None and name == "vqa" or is_number(value[name])
                 or is_score(value[name]))
            for name in INTERVALS
        )  # fmt: skip

    def has_top1(value: Any) -> bool:
        return isinstance(value, dict) and is_number(value.get("top1")) and "vqa" in value

    def each(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
        return lambda value: isinstance(value, dict) and all(map(check, value.values()))

    checks = {
        "questions": is_number, "images": is_number, "top1": is_score, "top5": is_score,
        "vqa": lambda value: value is None or is_score(value),
        "ceiling": has_top1, "baselines": each(has_top1),
        "per_answer_type": each(is_kind), "per_question_type": each(is_kind),
    }  # fmt: skip
    for name, check in checks.items():
        if not isinstance(scores, dict) or name not in scores or not check(scores[name]):
            raise InputError(f"{path}: {split}.{name} is missing or malformed; {REMEDY}")


def _prediction(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        complete = {
            name: row.get(name) if name in LATER_COLUMNS else row[name]
            for name in PREDICTION_COLUMNS
        }
        if len(row["answers"]) != len(row["probabilities"]) or not _is_sound(complete):
            raise ValueError("a field is malformed")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: line {number} is not a prediction; {REMEDY}") from error
    return complete


def _is_sound(row: Mapping[str, Any]) -> bool:
    """Whether the fields of a prediction that are counted with are what they should be."""
    ids = [row["question_id"], 0 if row["image_id"] is None else row["image_id"]]
    return (
        all(type(one) is int and abs(one) < 2**63 for one in ids)
        and len(row["answers"]) and all(isinstance(answer, str) for answer in row["answers"])
        and 0 <= (0 if row["vqa"] is None else row["vqa"]) <= 1
    )  # fmt: skip


def _damaged(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; {REMEDY}")
    reason = " ".join(str(error).split())
    return InputError(f"{path}: cannot be read ({reason}); {REMEDY}")
