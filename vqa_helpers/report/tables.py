"""Results as tables, a row an experiment, and tables as text.

Every score stands beside its interval, its ceiling and what a blind guesser gets; top-1 and VQA
accuracy never share a column; stand-ins are named. Knows run folders, no models and no figures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.compare import Difference
from vqa_helpers.evaluation.metrics import with_interval
from vqa_helpers.report.labels import labels, preset_of, settings_of, shared_settings
from vqa_helpers.report.verdicts import NOT_DEFINED, Answers, Runs, as_list, as_one, readable
from vqa_helpers.runs import Experiment, Run

ANSWER_TYPES = ("yes/no", "number", "other")
RESULT_COLUMNS = (
    "dataset", "name", "weights", "px", "epochs", "seeds", "train questions", "train top-1",
    "scored on", "questions", "top-1", "top-1 sd", "VQA accuracy", "VQA normaliser",
    "pairs both right", "ceiling", "best blind guess", "blind top-1", "gain over blind", "verdict",
    "stand-ins", "train s", "samples/s",
)  # fmt: skip
WUPS = {"WUPS 0.9": "wups_0.9", "WUPS 0.0": "wups_0.0"}  # columns where a run has them
COMPARED = (  # of these, what a printed table shows of experiments side by side
    "dataset", "model", "seeds", "scored on", "questions", "top-1", "VQA accuracy", *WUPS, "blind top-1",
    "ceiling", "gain over blind", "verdict", "stand-ins",
)  # fmt: skip
# "|" ends a cell, "<" opens a tag, "$" opens a formula.
MARKDOWN = str.maketrans({"|": "\\|", "<": "&lt;", "$": "\\$"})
LATEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
)
# What a notebook typesets as formulas leaves tables of these classes alone.
NO_FORMULAS = "tex2jax_ignore mathjax_ignore"


@dataclass(frozen=True, order=True)
class Score:
    """A percentage with its 95 % interval; reads "43.6 [42.1, 45.0]", sorts by its value.

    Attributes:
        of: how many questions, where it is not all of them.
    """

    value: float
    low: float
    high: float
    of: int | None = None

    def __str__(self) -> str:
        text = f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"
        return text if self.of is None else f"{text} of {self.of:,}"

    __repr__ = __str__


def results_table(experiments: Runs) -> pd.DataFrame:
    """A row an experiment, in percent; no experiments, no rows, the same columns.

    Scores are means over the seeds with 95 % intervals that draw images and, from two seeds on,
    seeds; "top-1 sd" is the standard deviation over the seeds in points, None for one. "train
    top-1" is of the epoch that validation chose, counted while the model learnt. "pairs both right"
    is of balanced pairs, None without any; its bounds are means over the seeds, as are those of "WUPS
    0.9" and "WUPS 0.0", which are columns where a run has them. The verdict is on the gain over the
    best blind guess, question by question. Experiments whose runs kept too
    little to be compared are left out and logged.
    """
    return _table(readable(experiments))


def _table(found: list[tuple[Experiment, Answers]]) -> pd.DataFrame:
    rows = [_result(*pair) for pair in found]
    table = pd.DataFrame(rows, columns=list(rows[0] if rows else RESULT_COLUMNS))
    silent = [name for name in WUPS if name in table and table[name].isna().all()]
    return table.drop(columns=silent).astype({"px": "Int64"})  # whole numbers, or none


def _result(experiment: Experiment, answers: Answers) -> dict[str, Any]:
    runs = experiment.runs
    config, scores = runs[0].config, runs[0].scored[1]
    images, gain, seeds = answers.images, answers.gain, 100 * answers.top1.mean(axis=1)
    baselines = scores["baselines"]
    official = _mean_score(runs, "vqa_of_ten") or NOT_DEFINED
    if answers.vqa is not None:
        official = score_of(answers.vqa, images)
    return {
        "dataset": experiment.dataset,
        "name": experiment.name,
        "weights": config.get("weights"),
        "px": config.get("image_size_px"),
        "epochs": config.get("epochs"),
        "seeds": len(runs),
        "train questions": runs[0].train_questions,
        "train top-1": round(float(np.mean([run.best_epoch["train_top1"] for run in runs])), 1),
        "scored on": answers.split,
        "questions": len(answers.asked),
        "top-1": score_of(answers.top1, images),
        "top-1 sd": round(float(seeds.std(ddof=1)), 2) if len(seeds) > 1 else None,
        "VQA accuracy": official,
        "VQA normaliser": None if official == NOT_DEFINED else scores["vqa_normaliser"],
        **{name: _mean_score(runs, key) for name, key in WUPS.items()},
        "pairs both right": _mean_score(runs, "pairs"),
        "ceiling": scores["ceiling"]["top1"],
        "best blind guess": max(baselines, key=lambda name: baselines[name]["top1"], default=None),
        "blind top-1": round(100 * float(answers.blind.mean()), 2),
        "gain over blind": gain,
        "verdict": gain.verdict,
        "stand-ins": ", ".join(config.get("stand_ins") or []) or "none",
        "train s": _mean([run.timing.get("train_s") for run in runs]),
        "samples/s": _mean([run.timing.get("samples_per_s") for run in runs]),
    }


def _mean_score(runs: Iterable[Run], name: str) -> Score | None:
    """The mean over runs of a score that not all data have."""
    found = [run.scored[1].get(name) for run in runs]
    means = [_mean([one and one[bound] for one in found]) for bound in ("value", "low", "high")]
    return None if None in means else Score(*means, found[0].get("questions"))


def score_of(values: np.ndarray, images: np.ndarray) -> Score:
    """The mean of the values, (S, N) or (N,), 0 to 1, with its interval, in percent.

    Args:
        images: (N,) the image of each question.
    """
    return Score(**with_interval(values, images))


def best_first(runs: Runs, dataset: Dataset | None = None) -> list[Experiment]:
    """Experiments, the best on validation first: test has no say.

    Args:
        dataset: only those that were trained on it, as it is now.

    Raises:
        InputError: when there is none.
    """
    found = as_list(runs)
    if dataset is not None:
        data = dataset.sha256()
        found = [one for one in found if one.dataset == dataset.name]
        found = [one for one in found if one.runs[0].config.get("data_sha256", data) == data]
    if not found:
        raise InputError("there is no finished run on these data; train one with `vqa train`")
    means = [np.mean([r.metrics["validation"]["top1"]["value"] for r in e.runs]) for e in found]
    return [found[place] for place in np.argsort(-np.array(means), kind="stable")]


def by_weight(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The datasets of (dataset, experiment) pairs, those first that no other is cut from, then by
    the number of experiments and by name.

    A cut is named after what it was cut from ("demo-D"). It can have more experiments than that,
    but what is said of all of its questions is said of the larger one.
    """
    names = pd.DataFrame(pairs, columns=["dataset", "name"]).groupby("dataset")["name"].nunique()
    is_cut = [any(name.startswith(f"{other}-") for other in names.index) for name in names.index]
    return list(names.index[np.lexsort([names.index, -names, is_cut])])


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else round(float(np.mean(values)), 1)


def type_table(runs: Runs, kind: str = "answer") -> pd.DataFrame:
    """Scores of an experiment per answer type (or "question" type), percent, means over the seeds.

    Returns:
        A row a type, the usual answer types first: questions, top-1, top-5, VQA accuracy (None
        where it is not defined).
    """
    parts = [run.scored[1][f"per_{kind}_type"] for run in as_one(runs).runs]
    rows = {name: {"questions": parts[0][name]["questions"]} for name in usual_first(parts[0])}
    for name, row in rows.items():
        for shown, key in (("top-1", "top1"), ("top-5", "top5"), ("VQA accuracy", "vqa")):
            scores = [part[name][key] for part in parts]
            row[shown] = _mean([s["value"] if isinstance(s, Mapping) else s for s in scores])
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(f"{kind} type")


def usual_first(types: Iterable[str]) -> list[str]:
    """Answer types, or question types, in order: the usual answer types before all others."""
    types = set(types)
    usual = [name for name in ANSWER_TYPES if name in types]
    return usual + sorted(types - set(usual))


# Text


def export(experiments: Runs, form: str) -> str:
    """The results of experiments as one text.

    Args:
        form: "markdown" or "latex" (which needs booktabs), a row an experiment, called by what
            differs among those on its dataset, and notes below; or "csv", every column of
            `results_table` with each bound and each setting in a column of its own.
    """
    found = readable(experiments)
    table, every = _table(found), [one for one, _ in found]
    if form == "csv":
        return _to_csv(table, every)
    notes, table["model"] = [], None
    for name, rows in table.groupby("dataset", sort=False).groups.items():
        same = [every[place] for place in rows]
        table.loc[rows, "model"] = labels(same)
        if shared := shared_settings(same):
            alike = ", ".join(f"{key}={value}" for key, value in shared.items())
            notes.append(f"All on {name} have {alike}.")
    known = [text for text in table["stand-ins"].unique() if text != "none"]
    numbers = {text: f"({number})" for number, text in enumerate(known, start=1)}
    notes += [f"{number} {text}" for text, number in numbers.items()]
    table["stand-ins"] = table["stand-ins"].map(numbers)
    table = table[[name for name in COMPARED if name in table]]
    table = _without_silent(table)
    if form == "markdown":
        return "\n".join([to_markdown(table), *(f"{note}\n" for note in notes)])
    below = [rf"\par\footnotesize {note.translate(LATEX)}" for note in notes]
    lines = [r"% in the preamble: \usepackage{booktabs}", _to_latex(table).rstrip(), *below, ""]
    return "\n".join(lines)


def _to_csv(table: pd.DataFrame, experiments: list[Experiment]) -> str:
    """Numbers as they were computed; empty is what is not defined, and a preset's own setting."""
    settings = [settings_of(one) for one in experiments]
    columns: dict[str, list] = {"preset": [preset_of(one) for one in experiments]}
    columns |= {key: [one.get(key) for one in settings] for key in sorted(set().union(*settings))}
    for name, values in table.items():
        columns[name] = values
        if any(isinstance(value, Score | Difference) for value in values):
            for part in ("value", "low", "high"):
                bound = [getattr(value, part, None) for value in values]
                columns[f"{name} {part}".removesuffix(" value")] = bound
    frame = pd.DataFrame(columns, dtype=object).replace(NOT_DEFINED, None)
    return frame.convert_dtypes().to_csv(index=False, lineterminator="\n")


def _to_latex(table: pd.DataFrame) -> str:
    """A tabular of booktabs, every text escaped."""
    text = table.map(lambda value: cell(value).translate(LATEX))
    # After the end of a row a bracket would be read as its distance from the next.
    text.iloc[:, 0] = text.iloc[:, 0].str.replace(r"^\[", "{[}", regex=True)
    text.columns = [name.translate(LATEX) for name in table]
    sides = "".join("r" if _is_numeric(values) else "l" for _, values in table.items())
    return text.style.hide(axis="index").to_latex(hrules=True, column_format=sides)


def _is_numeric(values: pd.Series) -> bool:
    """Whether all that is known in a column are numbers."""
    known = _known(values)
    return bool(known) and all(isinstance(value, Real | Score) for value in known)


def _known(values: pd.Series) -> list[Any]:
    return [value for value in values if cell(value) not in ("–", NOT_DEFINED)]


def _without_silent(table: pd.DataFrame) -> pd.DataFrame:
    """A table without the columns that say nothing; one without rows is left as it is."""
    return table[[name for name in table if table.empty or _known(table[name])]]


def to_markdown(table: pd.DataFrame) -> str:
    """A table in GitHub's Markdown, aligned for a terminal: floats to one decimal, numbers to the
    right; the index is shown where it has a name."""
    if table.index.name is not None:
        table = table.reset_index()
    columns = []
    for name, values in table.items():
        cells = [text.translate(MARKDOWN) for text in (str(name), *map(cell, values))]
        right, width = _is_numeric(values), max(3, *map(len, cells))
        cells.insert(1, "-" * (width - right) + ":" * right)
        columns.append([text.rjust(width) if right else text.ljust(width) for text in cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in zip(*columns, strict=True))


def shown(table: pd.DataFrame, fold: bool = False) -> "pd.io.formats.style.Styler":
    """A table for a notebook, every text escaped; columns x, "x low" and "x high" become one.

    Args:
        fold: for experiments side by side: what every row says that has it is said once, above, and
            columns that say nothing are left out; a single experiment is turned on its side.
    """
    table, caption, fold = table.copy(), "", fold and not table.empty
    for name in [name for name in table if f"{name} low" in table]:
        parts = zip(table[name], table.pop(f"{name} low"), table.pop(f"{name} high"), strict=True)
        table[name] = pd.Series([Score(*row) for row in parts], index=table.index, dtype=object)
    if fold:
        table = _without_silent(table)
    if fold and len(table) > 1:
        texts = {name: [text for text in table[name].map(cell) if text != "–"] for name in table}
        alike = [name for name, said in texts.items() if len(said) > 1 and len(set(said)) == 1]
        caption = "; ".join(f"{name}: {texts[name][0]}" for name in alike)
        table = table.drop(columns=alike)
    elif fold and "name" in table:
        table = table.set_index("name").T.rename_axis(index="result", columns=None)
    if table.index.name is not None:
        table = table.reset_index()
    styler = table.style.hide(axis="index").format(_unbroken, escape="html")
    worded = [name for name in table if any(isinstance(value, str) for value in table[name])]
    left = [{"selector": "", "props": "text-align: left"}]
    styler.set_table_styles(dict.fromkeys(worded, left))
    if caption:
        styler.set_caption(f"In every row that has it: {escape(caption)}.")
    styler.set_table_attributes(f'class="{NO_FORMULAS}"')
    # Named by what it holds: a notebook that is executed again differs only where its results do.
    return styler.set_uuid(f"{crc32(styler.set_uuid('').to_html().encode()):08x}")


def _unbroken(value: Any) -> str:
    """A cell whose score stays on one line with its interval."""
    text = cell(value)
    return text.replace(" ", "\u00a0") if isinstance(value, Score | Difference) else text


def cell(value: Any) -> str:
    """A value as text on one line: "–" for none, floats to one decimal or, below that, one digit."""
    if value is None or value is pd.NA or value != value:  # NaN differs from itself
        return "–"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        return f"{value:,.1f}" if value == 0 or abs(value) >= 0.05 else f"{value:.1g}"
    return " ".join(str(value).split())
