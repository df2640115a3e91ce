"""`vqa sweep`: settings and pieces searched with optuna, one run per trial, judged on validation
only.

What a sweep leaves in its folder: `study.db`, optuna's own record; `runs/<trial>`; plots. A trial that
was interrupted is open in the record, and goes on after the last epoch of its run.
"""

import logging
import re
import shlex
import sqlite3
import warnings
from argparse import Namespace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from vqa_helpers.commands import data_of, recipe_of
from vqa_helpers.errors import DONE, InputError, is_out_of_memory, one_line, require_count
from vqa_helpers.files import locked
from vqa_helpers.pieces.choice import SLOTS, read_pieces
from vqa_helpers.pieces.identity import code_of
from vqa_helpers.recipe import Recipe, read_settings
from vqa_helpers.report.style import FILE_DPI
from vqa_helpers.report.tables import Score, to_markdown
from vqa_helpers.runs import Run
from vqa_helpers.training.train import train_seeds

try:
    import optuna
    from optuna.trial import TrialState
except ModuleNotFoundError:
    raise InputError("optuna is not installed; install it: pip install -e '.[sweep]'") from None

log = logging.getLogger(__name__)

SETTINGS, ASKED = "settings", "asked"  # what a trial, and the study, keep beside optuna's own
MEASURE = "validation top-1"
BEST = 5  # trials that are shown
RANGE = re.compile(r"([^=]+)=([^:]*[^:.])\.\.([^:.][^:]*?)(:log)?")
# Options that `vqa train` has not, or that are written otherwise; every other one is passed on.
OWN = ("preset", "data", "settings", "out", "trials", "ranges", "choices", "features", "run",
       "debug")  # fmt: skip


def sweep(options: Namespace) -> int:
    """`vqa sweep`."""
    options.data = str(Path(options.data))  # "./mine/" is "mine"
    space, data = read_space(options), data_of(options)
    asked = [train_command(options, {}), *options.choices, *options.ranges, data.dataset.sha256()]
    if options.pieces:
        asked.append(f"code {code_of(read_pieces(options.pieces).values())}")
    busy = f"{options.out}: another sweep is at work here; wait for it, or choose another --out"
    with locked(options.out / ".lock", refusal=busy):
        study = _open_study(options.out, asked)
        while trial := _next_trial(study, options, space):
            number, settings = trial
            log.info("trial %d: %s", number, ", ".join(f"{k}={v}" for k, v in settings.items()))
            how = {"folder": _folder(study, options, settings), "epochs": options.epochs}
            try:
                recipe = _recipe(options, settings)
                run = train_seeds(recipe, data, [options.seed], set_aside=False, **how).runs[0]
            except (InputError, MemoryError, RuntimeError) as error:
                if not isinstance(error, InputError) and not is_out_of_memory(error):
                    raise
                log.warning("trial %d cannot be trained: %s", number, one_line(error))
                study.tell(number, state=TrialState.FAIL)
            else:
                study.tell(number, run.metrics["validation"]["top1"]["value"])
        _report(study, options)
    return DONE


def read_space(options: Namespace) -> dict[str, tuple[str, dict]]:
    """What is looked for: a name, the method of an optuna trial, and its keywords; pieces first.

    Raises:
        InputError: for a malformed range, or a name or value that no combination of the pieces takes.
    """
    require_count("--trials", options.trials)
    fixed, *others = read_settings(options.settings)
    texts, logs = {}, {}  # the values to choose among, or the two ends of a range
    for word in options.choices:
        for setting in read_settings([word]):
            for name, value in setting.items():
                texts.setdefault(name, []).append(value)
    for word in options.ranges:
        if not (found := RANGE.fullmatch(word)):
            line = "use NAME=LOW..HIGH or NAME=LOW..HIGH:log, such as learning_rate=1e-4..1e-2:log"
            raise InputError(f"--range {word}: {line}")
        name, low, high, logs[found[1]] = found.groups()
        texts[name] = [low, high]
    given = len(fixed) + len(options.choices) + len(options.ranges)
    if not texts or others or len(fixed | texts) < given:
        line = "name each once: one value with --set, several with --choose, or a --range"
        raise InputError(f"{', '.join(fixed | texts) or 'nothing to look for'}: {line}")
    if options.epochs and "epochs" in texts:
        raise InputError(
            f"--epochs {options.epochs}: holds for all trials; leave it out to look for epochs"
        )
    slots = [slot for slot in SLOTS if slot in texts.keys() - logs.keys()]
    for slot in slots:
        if chosen := getattr(options, slot):
            raise InputError(
                f"--{slot} {chosen}: {slot} is looked for with --choose; leave one out"
            )
    space = {name: ("suggest_categorical", {"choices": texts[name]}) for name in slots}
    for pieces in product(*(texts[slot] for slot in slots)):
        recipe = _recipe(options, dict(zip(slots, pieces, strict=True)))
        for name in (name for name in texts if name in recipe.settable()):
            values = [recipe.with_(set={name: text}).value_of(name) for text in texts[name]]
            space[name] = ("suggest_categorical", {"choices": texts[name]})
            if name in logs:
                space[name] = _numbers(name, values, bool(logs[name]))
    for name in (name for name in texts if name not in space):
        recipe.with_(set={name: "0"})  # refuses the name, with the nearest
    return space


def _numbers(name: str, ends: list, log: bool) -> tuple[str, dict]:
    (low, high), types = ends, {*map(type, ends)}
    if not (types <= {int, float} and low < high < float("inf") and (low > 0 or not log)):
        line = "use a lower and a higher number, above 0 for log; other values go to --choose"
        raise InputError(f"--range {name}={low}..{high}: {line}")
    kind = "suggest_int" if types == {int} else "suggest_float"
    return kind, {"low": low, "high": high, "log": log}


def _recipe(options: Namespace, settings: dict[str, str]) -> Recipe:
    """The recipe with the settings of a trial, pieces among them."""
    pieces = {slot: settings[slot] for slot in SLOTS if slot in settings}
    others = {name: value for name, value in settings.items() if name not in pieces}
    chosen = Namespace(**vars(options) | pieces)
    return recipe_of(chosen, read_settings(options.settings)[0] | others)


def _open_study(folder: Path, asked: list[str]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Opened by its path: in an address a "?" or "%" of a folder's name would mean something.
    opened = {"creator": partial(sqlite3.connect, folder / "study.db")}
    how = {"study_name": "sweep", "direction": "maximize", "load_if_exists": True}
    try:
        storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=opened)
        study = optuna.create_study(storage=storage, **how)
    except Exception as error:  # of optuna, SQLAlchemy or SQLite, each with classes of its own
        line = f"study.db cannot be opened ({one_line(error, 160)}); choose another --out"
        raise InputError(f"{folder}: {line}") from None
    if (kept := study.user_attrs.get(ASKED, asked)) != asked:
        line = f"holds a sweep of something else ({', '.join(kept)}); choose another --out"
        raise InputError(f"{folder}: {line}")
    study.set_user_attr(ASKED, asked)
    return study


def _next_trial(
    study: optuna.Study, options: Namespace, space: dict
) -> tuple[int, dict[str, str]] | None:
    """The number and the settings of a trial that was interrupted, or else of a new one; None where
    all are done."""
    begun = [trial for trial in study.trials if SETTINGS in trial.user_attrs]
    for trial in begun:
        if trial.state == TrialState.RUNNING:
            return trial.number, trial.user_attrs[SETTINGS]
    if len(begun) >= options.trials:
        return None
    # A seed a trial: a sweep that was interrupted draws what a whole one draws.
    study.sampler = optuna.samplers.TPESampler(seed=hash((options.seed, len(begun))) % 2**32)
    trial, settings = study.ask(), {}
    for name, (kind, between) in space.items():
        if name in SLOTS or name in _recipe(options, settings).settable():
            value = getattr(trial, kind)(name, **between)
            # Four digits do as well, and can be read and typed again.
            settings[name] = f"{value:.4g}" if isinstance(value, float) else str(value)
    trial.set_user_attr(SETTINGS, settings)
    return trial.number, settings


def _folder(study: optuna.Study, options: Namespace, settings: dict[str, str]) -> Path:
    """Of the first trial with these settings: what is drawn twice is trained once."""
    same = [trial.number for trial in study.trials if trial.user_attrs.get(SETTINGS) == settings]
    return options.out / "runs" / str(min(same))


def _report(study: optuna.Study, options: Namespace) -> None:
    """Print the best trials, draw optuna's plots, and name the command that trains the best one."""
    ended, rows = study.get_trials(states=[TrialState.COMPLETE]), []
    if not ended:
        line = "no trial could be trained; change what is looked for, and choose another --out"
        raise InputError(f"{options.out}: {line}")
    ended.sort(key=lambda trial: -trial.value)
    for settings, number in ((t.user_attrs[SETTINGS], t.number) for t in ended[:BEST]):
        run = Run(_folder(study, options, settings))
        score = {MEASURE: Score(**run.metrics["validation"]["top1"])}
        rows.append({"trial": number, **score, **settings, "run": run.folder})
    print(to_markdown(pd.DataFrame(rows, dtype=object)))
    drawn = optuna.visualization.matplotlib
    plots = {"history": drawn.plot_optimization_history, "slice": drawn.plot_slice}
    searched = {name for trial in ended for name in trial.params}
    if len(searched) > 1 and len({trial.value for trial in ended}) > 1:  # else nothing to weigh
        plots["importances"] = drawn.plot_param_importances
    with plt.rc_context(), warnings.catch_warnings(action="ignore"):  # they are "experimental"
        for name, plot in plots.items():
            axes = np.ravel(plot(study, target_name=f"{MEASURE}, %"))
            figure = axes[0].figure
            for drawn_on in axes if name == "slice" else ():  # names of classes are long
                drawn_on.tick_params(axis="x", which="both", rotation=45)
                figure.set_figwidth(2 + 3 * len(axes))
            figure.savefig(options.out / f"{name}.png", dpi=FILE_DPI, bbox_inches="tight")
            plt.close(figure)
            print(options.out / f"{name}.png")
    print(f"the best: {train_command(options, ended[0].user_attrs[SETTINGS])}")


def train_command(options: Namespace, settings: dict[str, str]) -> str:
    """The `vqa train` that trains what a trial with these settings trained."""
    pieces = {name: value for name, value in settings.items() if name in SLOTS}
    words = ["vqa", "train", options.preset, "--data", options.data]
    for name, value in (vars(options) | pieces).items():
        if name not in OWN and value not in (None, False, 0, "auto"):
            words += [f"--{name.replace('_', '-')}"] + [str(value)] * (value is not True)
    others = [f"{name}={value}" for name, value in settings.items() if name not in pieces]
    return shlex.join([*words, *(w for s in (*options.settings, *others) for w in ("--set", s))])
