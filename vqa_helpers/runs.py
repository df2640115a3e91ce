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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import read_sums, sha256_of, to_json, write_sums, write_text

CONFIG, ENVIRONMENT, HISTORY = "config.json", "environment.json", "history.csv"
PREDICTIONS, METRICS, DONE = "predictions.jsonl", "metrics.json", "DONE"
SPLIT, TIMING, VOCABULARY = "split.json", "timing.json", "vocabulary.json"
CARD = "README.md"  # that an exported model has, and no run
HISTORY_COLUMNS = (
    "epoch", "train_loss", "train_top1", "validation_loss", "validation_top1", "validation_vqa",
    "learning_rate",
)  # fmt: skip
REMEDY = "restore the file, or delete the run folder and train again"


class Prediction(msgspec.Struct):
    """A line of `predictions.jsonl`.

    Attributes:
        answers, probabilities: the most probable first.
        truth, blind: None where the split has no answers; `blind` is the best blind guesser's.
        vqa: the official accuracy of the first answer; None where it is not defined.
    """

    split: str
    question_id: Annotated[int, msgspec.Meta(ge=-(2**62), lt=2**62)]
    image_id: int | None
    answers: Annotated[list[str], msgspec.Meta(min_length=1)]
    probabilities: list[float]
    truth: str | None
    vqa: Annotated[float, msgspec.Meta(ge=0, le=1)] | None
    blind: str | None


PREDICTION_COLUMNS = Prediction.__struct_fields__


class _Interval(msgspec.Struct):
    value: float
    low: float
    high: float


class _Guess(msgspec.Struct):
    top1: float
    vqa: float | None


class _Kind(msgspec.Struct):
    questions: int
    top1: _Interval | float
    top5: _Interval | float
    vqa: _Interval | float | None


class _Scores(msgspec.Struct):
    """What every report shows of a split."""

    questions: int
    images: int
    top1: _Interval
    top5: _Interval
    vqa: _Interval | None
    ceiling: _Guess
    baselines: dict[str, _Guess]
    per_answer_type: dict[str, _Kind]
    per_question_type: dict[str, _Kind]
    pairs: _Interval | None = None
    vqa_of_ten: _Interval | None = None
    wups_9: _Interval | None = msgspec.field(default=None, name="wups_0.9")
    wups_0: _Interval | None = msgspec.field(default=None, name="wups_0.0")


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
    columns = dict.fromkeys([*HISTORY_COLUMNS, *(name for row in rows for name in row)])
    # Objects, lest pandas make floats of whole numbers: a cell is what Python writes of it.
    table = pd.DataFrame(rows, columns=list(columns), dtype=object)
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


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
        kept = _read_object(self.folder / CONFIG, required=("dataset", "preset", "seed"))
        return {"features_precision": "float32"} | kept  # that of runs which do not say

    @property
    def name(self) -> str:
        """The preset and what differs from it, as tables show it."""
        return self.config.get("name", self.config["preset"])

    @cached_property
    def split(self) -> dict[str, Any]:
        """How its data were split: seed, counts, notes; {} where it kept nothing readable."""
        try:
            return _read_object(self.folder / SPLIT)
        except InputError:
            return {}

    @property
    def train_questions(self) -> int | None:
        """How many questions it learnt from, as its split says; None where it kept none."""
        try:
            return int(self.split["counts"]["train"]["questions"])
        except (LookupError, TypeError, ValueError):
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
            try:
                msgspec.convert(scores, _Scores)
            except msgspec.ValidationError as error:
                raise InputError(f"{path}: {split}: {error}; {REMEDY}") from None
        return metrics

    @property
    def scored(self) -> tuple[str, dict[str, Any]]:
        """The split whose scores are the result (validation where test has no answers), and these."""
        name = "test" if self.metrics.get("test") else "validation"
        return name, self.metrics[name]

    def headline(self) -> dict[str, Any]:
        """The result in short: the scored split, its top-1 in percent, and the run's folder."""
        split, scores = self.scored
        return {"split": split, "top1": scores["top1"]["value"], "run": str(self.folder)}

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
        path, rows = self.folder / PREDICTIONS, []
        try:
            lines = _text(path).splitlines()
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        decoder = msgspec.json.Decoder(Prediction)
        for number, line in enumerate(lines, start=1):
            try:
                row = decoder.decode(line)
                if len(row.answers) != len(row.probabilities):
                    raise ValueError("as many answers as probabilities are expected")
                rows.append(msgspec.structs.astuple(row))
            except ValueError as error:
                what = f"line {number} is not a prediction ({error})"
                raise InputError(f"{path}: {what}; {REMEDY}") from error
        # Objects, lest pandas 3 make a str column of them and turn None into NaN.
        table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS), dtype=object)
        return table.astype({"question_id": "int64"})


def find_runs(root: Path, dataset: str | None = None) -> list[Run]:
    """The finished runs at `root` or up to three folders below it, by dataset, preset and seed;
    exported models, which have no results, are none.

    Args:
        root: a run, or a folder above runs; one that does not exist holds no runs.
        dataset: only the runs below a folder of this name, as `run_folder` places them.
    """
    folders = [folder for folder in _run_folders(root, DONE) if not _exported(folder)]
    if dataset is not None:
        folders = [folder for folder in folders if folder.parent.parent.name == dataset]
    return [Run(folder) for folder in folders]


def unfinished_runs(root: Path) -> list[Path]:
    """The folders of runs that were begun and did not come to their end, sought as `find_runs`."""
    return [folder for folder in _run_folders(root, CONFIG) if not is_done(folder)]


def runs_at(folder: Path) -> list[Run]:
    """As `find_runs`, but never none.

    Raises:
        InputError: when there is none; says what was begun, or exported.
    """
    found, begun = find_runs(folder), unfinished_runs(folder)
    if not found:
        remedy = f"{begun[0]} was begun: train it again to go on" if begun else "train one first"
        if exported := [each for each in _run_folders(folder, DONE) if _exported(each)]:
            remedy = f"{exported[0]} was exported, without results: name the run that it comes from"
        raise InputError(f"{folder}: is no finished run, and holds none; {remedy}")
    return found


def _run_folders(root: Path, name: str) -> list[Path]:
    """The folders at `root` or up to three levels below it that hold a file `name`."""
    found = {path.parent for depth in range(4) for path in Path(root).glob("*/" * depth + name)}
    return sorted((folder for folder in found if not _set_aside(folder)), key=_order)


def _exported(folder: Path) -> bool:
    return CARD in read_sums(folder / DONE)


def _set_aside(folder: Path) -> bool:
    """Whether a run had to make place for one with other settings: `0.1` beside `0`."""
    return folder.suffix[1:].isdecimal() and folder.with_suffix("").exists()


@dataclass(frozen=True)
class Experiment:
    """Runs that agree in everything but the seed."""

    name: str  # the preset and what differs from it, e.g. "GUSE_VGG+fusion.width=512"
    dataset: str
    runs: tuple[Run, ...]  # by seed

    def __str__(self) -> str:
        return f"{self.name} on {self.dataset}"


def find_experiments(root: Path, dataset: str | None = None) -> list[Experiment]:
    """The finished runs below `root`, grouped, in the order of `find_runs`."""
    return group_runs(find_runs(root, dataset))


def group_runs(runs: Iterable[Run]) -> list[Experiment]:
    """Finished runs as experiments, in the order in which the first run of each is given.

    Of several runs with one seed, such as a copy, the first counts.
    """
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        fixed = {name: value for name, value in run.config.items() if name != "seed"}
        group = groups.setdefault(json.dumps(fixed, sort_keys=True), {})
        group.setdefault(run.config["seed"], run)
    found = [tuple(same[seed] for seed in sorted(same)) for same in groups.values()]
    return [Experiment(same[0].name, same[0].config["dataset"], same) for same in found]


def _order(folder: Path) -> tuple[str, str, int, str]:
    """Sort key of a run folder: seed 10 comes after seed 9."""
    seed = int(folder.name) if folder.name.isdecimal() else -1
    return folder.parent.parent.name, folder.parent.name, seed, folder.name


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
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(obj, dict):
        raise InputError(f"{path}: holds a {type(obj).__name__}, not an object; {REMEDY}")
    for name in required:
        if name not in obj:
            raise InputError(f"{path}: field {name!r} is missing; {REMEDY}")
    return obj


def _damaged(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; {REMEDY}")
    return InputError(f"{path}: cannot be read ({one_line(error)}); {REMEDY}")
