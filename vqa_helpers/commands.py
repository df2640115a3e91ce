"""What each command of `vqa` does: options become calls of the package.

A function takes the parsed options and returns the exit code. It imports what it needs when it runs.
"""

import json
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqa_helpers.errors import DONE, SOME_FAILED, InputError

if TYPE_CHECKING:
    from vqa_helpers.recipe import Recipe
    from vqa_helpers.runs import Run
    from vqa_helpers.training.inputs import Data

# ---------------------------------------------------------------- datasets


def list_data(options: Namespace) -> int:
    """`vqa data list`."""
    from vqa_helpers.report.datasets import dataset_list, source_list
    from vqa_helpers.report.tables import to_markdown

    datasets = dataset_list(options.root, options.sources)
    sources = source_list(options.root, options.sources)
    if options.json:
        tables = {"datasets": datasets.to_dict("records"), "sources": sources.to_dict("records")}
        print(json.dumps(tables, indent=1))
    else:
        print(to_markdown(datasets), to_markdown(sources), sep="\n")
    return DONE


def download_data(options: Namespace) -> int:
    """`vqa data download`."""
    from vqa_helpers.data.public.download import download
    from vqa_helpers.data.public.sources import read_sources

    sources = read_sources(options.sources)
    chosen = [sources[name] for name in options.names]
    code = DONE
    for source in chosen:
        try:
            print(download(source, options.root, mirror=options.mirror, offline=options.offline))
        except InputError as error:
            if len(chosen) == 1:
                raise
            print(f"vqa: {error}", file=sys.stderr)
            code = SOME_FAILED
    return code


def build_data(options: Namespace) -> int:
    """`vqa data build`."""
    from vqa_helpers.data.build import Fetching, build
    from vqa_helpers.data.folder import read_folder

    fetching = Fetching(
        root=options.root, offline=options.offline, mirror=options.mirror,
        sources=options.sources, photographs=not options.no_photographs,
    )  # fmt: skip
    out = build(
        options.name, source=options.source, rule=options.split, seed=options.seed,
        out=options.out, fetching=fetching,
    )  # fmt: skip
    dataset = read_folder(out)  # says its notes
    print(out)
    lacking = [] if options.source or options.no_photographs else dataset.missing_images()
    if not lacking:
        return DONE
    print(f"vqa: {out}: {len(lacking)} photographs are not here, the first of image {lacking[0]}; "
          "build again to fetch them", file=sys.stderr)  # fmt: skip
    return SOME_FAILED


def convert_data(options: Namespace) -> int:
    """`vqa data convert`."""
    from vqa_helpers.data.build import convert
    from vqa_helpers.data.folder import open_dataset

    dataset = open_dataset(options.folder, arranged=False, **layout_of(options))
    print(convert(dataset, options.out))
    return DONE


def layout_of(options: Namespace) -> dict[str, Any]:
    """Where the images of a dataset are and what its columns are called, if the options say."""
    columns = dict(pair.partition("=")[::2] for pair in (options.columns or "").split(",") if pair)
    known = ("image", "question", "answer", "question_id")
    if wrong := [name for name, value in columns.items() if name not in known or not value]:
        line = f"give NAME=COLUMN with the names {', '.join(known)}, such as"
        raise InputError(f"--columns {wrong[0]}: {line} image=file,question=text")
    if options.images and not options.images.is_dir():
        raise InputError(f"{options.images}: is no folder; name the photographs with --images")
    return {"images": options.images, "columns": columns}


def check_data(options: Namespace) -> int:
    """`vqa data check`."""
    from vqa_helpers.data.check import check_folder

    layout = layout_of(options)
    check = check_folder(options.folder, options.open, layout["images"], layout["columns"])
    print(json.dumps(check.to_json(), indent=1) if options.json else "\n".join(check.lines()))
    return SOME_FAILED if check.problems else DONE


# ---------------------------------------------------------------- training


def features(options: Namespace) -> int:
    """`vqa features`."""
    from vqa_helpers.cluster import executor_of
    from vqa_helpers.features.extract import encode_of, fill_store
    from vqa_helpers.pieces.vision import StoredFeatures, StoredGrid

    far = options.executor == "ray"  # where devices are, and are chosen, by each worker
    data = data_of(options)
    dataset = data.dataset
    if not dataset.images:
        raise InputError(f"{dataset.folder}: has no images, or none whose name ends in an image id")
    kind = StoredGrid if options.grid else StoredFeatures
    vision = kind(options.encoder, data.weights, data.size_px)
    with executor_of(options) as map_units:
        work = encode_of(vision, options.device, data.features_precision(vision))
        store = fill_store(data.stores, dataset.images, work, map_units if far else None)
    missing = dataset.missing_images()
    what = "has no file, whose name must end in the id; its questions see none"
    name_some([f"{dataset.folder}: image {image_id} {what}" for image_id in missing])
    print(store.folder)
    return SOME_FAILED if missing or store.failed else DONE


def name_some(lines: Sequence[str], most: int = 20) -> None:
    """Print what was left out, a line each, to the error stream; of many the first."""
    more = [f"{len(lines) - most:,} more"] if len(lines) > most else []
    for line in [*lines[:most], *more]:
        print(f"vqa: {line}", file=sys.stderr)


def train(options: Namespace) -> int:
    """`vqa train`: every combination of the settings, with every seed."""
    from vqa_helpers.cluster import executor_of
    from vqa_helpers.recipe import read_settings
    from vqa_helpers.runs import Run

    if options.seeds < 1:
        raise InputError(f"{options.seeds} seeds: use 1 or more")
    combinations, named = read_settings(options.settings), {}
    if options.epochs and any("epochs" in settings for settings in combinations):
        raise InputError(f"--epochs {options.epochs} and --set epochs: give one of the two")
    units = product(combinations, range(options.seed, options.seed + options.seeds))
    for settings in combinations:  # a mistyped one is refused before the first is trained
        name = recipe_of(options, settings).name
        if name in named:
            keys = sorted({key for key, _ in settings.items() ^ named[name].items()} or settings)
            line = f"two of the combinations are both called {name}; give one value, or train each"
            raise InputError(f"--set {', '.join(keys)}: {line} into an --out of its own")
        named[name] = settings
    main = os.environ.get("RANK", "0") == "0"  # of processes that train together, one speaks
    if not main:
        logging.getLogger().setLevel(logging.ERROR)
    work = partial(_train_one, {**vars(options), "swept": len(combinations) > 1})
    runs = []
    with executor_of(options) as map_units:
        for _, folder in map_units(work, units):
            runs.append(Run(folder))
            if main:
                _print_run(runs[-1])
    if main and len(runs) > 1:
        from vqa_helpers.report.tables import export

        print(export(runs, "markdown"))
    return SOME_FAILED if any(run.timing["unseen_images"] for run in runs) else DONE


def _print_run(run: "Run") -> None:
    from vqa_helpers.report.tables import results_table, to_markdown

    if run.config["stand_ins"]:
        print(f"stand-ins: {', '.join(run.config['stand_ins'])}")
    print(to_markdown(results_table(run).set_index("name").T.rename_axis("score")))
    print(run.folder)


def recipe_of(options: Namespace, settings: Mapping[str, str]) -> "Recipe":
    """The preset with the pieces and settings that the command line names."""
    from vqa_helpers.pieces.choice import read_pieces
    from vqa_helpers.presets import find_preset

    if options.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is first imported
    own = read_pieces(options.pieces) if options.pieces else {}
    return find_preset(options.preset).with_(
        options.vision, options.language, options.fusion, options.classifier,
        set=settings, own=own,
    )  # fmt: skip


def data_of(options: Namespace) -> "Data":
    """The dataset of the command line, as its models see it."""
    from vqa_helpers.training.inputs import open_data

    names = ("weights", "image_size", "offline", "features", "glove", "sentence_encoder", "device",
             "precision", "split_seed")  # fmt: skip
    given = {name: value for name, value in vars(options).items() if name in names}
    return open_data(options.data, **given, **layout_of(options))


def _train_one(chosen: dict[str, Any], unit: tuple[dict[str, str], int]) -> Path:
    """Train one run, here or on a worker; returns its folder."""
    from vqa_helpers.recipe import folder_name
    from vqa_helpers.training.train import train_recipe

    options, (settings, seed) = Namespace(**chosen), unit
    recipe, data = recipe_of(options, settings), data_of(options)
    folder = options.out
    if folder and options.swept:
        folder = folder / folder_name(recipe.name)
    if folder and (options.swept or options.seeds > 1):
        folder = folder / str(seed)
    run = train_recipe(recipe, data, folder, seed=seed, epochs=options.epochs, set_aside=False,
                       zero_shot=options.zero_shot)  # fmt: skip
    from vqa_helpers.report.show import pin_samples

    pin_samples(run, data.dataset)
    return run.folder


# ---------------------------------------------------------------- results


def evaluate(options: Namespace) -> int:
    """`vqa evaluate`."""
    from vqa_helpers.evaluation.results import evaluate_results, validate_results

    if options.annotations is None:
        answers = validate_results(options.results, options.questions)
        print(json.dumps({"accepted": True, "answers": answers}))
        return DONE
    report = evaluate_results(
        options.questions, options.annotations, options.results, options.normaliser
    )
    print(json.dumps(report, indent=1))
    return DONE


def compare(options: Namespace) -> int:
    """`vqa compare`."""
    from vqa_helpers.report.tables import export, to_markdown
    from vqa_helpers.report.verdicts import compare, pair_table
    from vqa_helpers.runs import group_runs, runs_at

    models = [model for folder in options.runs for model in group_runs(runs_at(folder))]
    if len(models) < 2:
        raise InputError(f"{options.runs[0]}: is one model; name another to compare it with")
    pairs = list(combinations(models, 2))
    if options.json:
        for pair in pairs:
            print(json.dumps(compare(*pair), default=asdict))
    else:
        verdicts = to_markdown(pair_table(pairs))  # first: it refuses what cannot be compared
        print(export(models, "markdown"), verdicts, sep="\n", end="")
    return DONE


def batch(options: Namespace) -> int:
    """`vqa batch`."""
    from vqa_helpers.batch import run_batch, select
    from vqa_helpers.cluster import executor_of

    with executor_of(options, options.jobs) as map_units:
        outcomes = run_batch(
            select(options.notebooks, options.only), options.parameter,
            out=options.out or Path("runs") / "notebooks", jobs=options.jobs,
            map_units=map_units, timeout_s=options.timeout, force=options.force,
        )  # fmt: skip
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print(f"vqa: {outcome.notebook}: {outcome.reason}", file=sys.stderr)
    return SOME_FAILED if failed else DONE


def report(options: Namespace) -> int:
    """`vqa report`: the table, the guides' figures, or the site."""
    from vqa_helpers.report.tables import export
    from vqa_helpers.runs import find_runs, group_runs, runs_at, unfinished_runs

    if options.figures:
        from vqa_helpers.data.folder import open_dataset
        from vqa_helpers.report.show import write_gallery

        dataset = open_dataset((options.data or ["demo"])[0])
        for path in write_gallery(dataset, options.runs[0], options.figures):
            print(path)
        return DONE
    notebooks = options.notebooks or options.runs[0] / "notebooks"
    executed = sorted(path for path in notebooks.glob("*.ipynb") if path.name[0] != ".")
    failed = sorted((notebooks / "failed").glob("*.ipynb"))
    if options.notebooks and not executed + failed:
        raise InputError(f"{notebooks}: no notebooks here; name the folder that holds them")
    only_notebooks = not options.table and executed + failed
    found = find_runs if only_notebooks else runs_at
    experiments = group_runs([run for folder in options.runs for run in found(folder)])
    for folder in options.runs:
        if begun := unfinished_runs(folder):
            print(f"vqa: {folder}: unfinished runs are left out, {len(begun)} in all; train them "
                  f"again to go on, the first is {begun[0]}", file=sys.stderr)  # fmt: skip
    if options.table:
        print(export(experiments, options.format), end="")
        return DONE
    from vqa_helpers.report.site import write_site

    print(write_site(experiments, options.out, executed, failed, options.data))
    for path in failed:
        print(f"vqa: {path}: failed when it was last run; the site says so", file=sys.stderr)
    return SOME_FAILED if failed else DONE
