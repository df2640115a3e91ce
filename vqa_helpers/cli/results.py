"""`vqa evaluate`, `vqa compare`, `vqa batch` and `vqa report`: scores, tables, notebooks, site."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from vqa_helpers.cli.words import DONE, SOME_FAILED, add_executor, command
from vqa_helpers.cluster import executor_of
from vqa_helpers.errors import InputError


def add_commands(commands, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    _add_evaluate(commands, common)
    _add_compare(commands, common)
    _add_batch(commands, common)
    _add_report(commands, common)


def _add_evaluate(commands, common: argparse.ArgumentParser) -> None:
    evaluate = command(
        commands, common, "evaluate", _evaluate, "score a results JSON, officially",
        epilog="Without --annotations the results are only checked: whether the evaluation server "
        "would accept them as answers to these questions.",
    )  # fmt: skip
    evaluate.add_argument("--questions", type=Path, required=True, help="official questions JSON")
    evaluate.add_argument("--annotations", type=Path, help="their annotations JSON")
    evaluate.add_argument("--results", type=Path, required=True, help="question_id and answer")
    evaluate.add_argument(
        "--normaliser", choices=["2021", "2015"], default="2021",
        help="the official code since 2021-03-11, or before (2021)",
    )  # fmt: skip


def _add_compare(commands, common: argparse.ArgumentParser) -> None:
    compare = command(
        commands, common, "compare", _compare, "tell two runs apart, question by question",
        epilog="A folder with several seeds of one preset counts as one model: "
        "vqa compare runs/demo/GUSE_VGG runs/demo/GUSE_ResNet",
    )  # fmt: skip
    compare.add_argument("first", type=Path, metavar="RUN", help="a run, or a folder of its seeds")
    compare.add_argument("second", type=Path, metavar="OTHER", help="what it is compared with")
    compare.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_batch(commands, common: argparse.ArgumentParser) -> None:
    batch = command(commands, common, "batch", _batch, "run notebooks unattended")
    batch.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR",
                       help="where they are (notebooks)")  # fmt: skip
    batch.add_argument("--out", type=Path, metavar="DIR",
                       help="executed notebooks (runs/notebooks)")  # fmt: skip
    batch.add_argument("--only", metavar="GLOB", help="only these, such as 'Improved*'")
    batch.add_argument("--jobs", type=int, default=1, help="how many at a time (1)")
    batch.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS",
                       help="wall-clock limit of each (3600)")  # fmt: skip
    batch.add_argument("--force", action="store_true", help="run finished ones again")
    batch.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
                       help="a parameter of the notebooks, such as DATA=demo")  # fmt: skip
    add_executor(batch)


def _add_report(commands, common: argparse.ArgumentParser) -> None:
    report = command(commands, common, "report", _report, "the results table and the site")
    report.add_argument("--runs", type=Path, default=Path("runs"), help="run folders (runs)")
    report.add_argument("--notebooks", type=Path, metavar="DIR",
                        help="executed notebooks (runs/notebooks)")  # fmt: skip
    report.add_argument("--out", type=Path, default=Path("site"), help="the site's folder (site)")
    report.add_argument("--table", action="store_true", help="print the tables; build no site")
    report.add_argument("--figures", type=Path, metavar="DIR",
                        help="write the README's figures there; build no site")  # fmt: skip
    report.add_argument("--data", default="demo", help="the dataset of the figures (demo)")


def _evaluate(options: argparse.Namespace) -> int:
    from vqa_helpers.evaluation.results import evaluate_results, validate_results

    if options.annotations is None:
        answers = validate_results(options.results, options.questions)
        print(json.dumps({"accepted": True, "answers": answers}))
        return DONE
    report = evaluate_results(
        options.questions, options.annotations, options.results, options.normaliser
    )
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return DONE


def _compare(options: argparse.Namespace) -> int:
    from vqa_helpers.report.compare import compare_runs, comparison_table
    from vqa_helpers.report.tables import to_markdown
    from vqa_helpers.runs import runs_at

    comparison = compare_runs(runs_at(options.first), runs_at(options.second))
    if options.json:
        print(json.dumps({**asdict(comparison), "verdict": comparison.verdict}, indent=1))
    else:
        print(to_markdown(comparison_table(comparison)))
    return DONE


def _batch(options: argparse.Namespace) -> int:
    from vqa_helpers.batch import run_batch, select

    with executor_of(options, options.jobs) as map_units:
        outcomes = run_batch(
            select(options.notebooks, options.only),
            options.parameter,
            out=options.out or Path("runs") / "notebooks",
            jobs=options.jobs,
            map_units=map_units,
            timeout_s=options.timeout,
            force=options.force,
        )
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print(f"vqa: {outcome.notebook}: {outcome.reason}", file=sys.stderr)
    return SOME_FAILED if failed else DONE


def _report(options: argparse.Namespace) -> int:
    from vqa_helpers.report.seeds import seed_table
    from vqa_helpers.report.tables import results_table, to_markdown

    if not options.runs.is_dir():
        raise InputError(f"{options.runs}: is no folder of runs; train a preset first")
    if options.table:
        print(to_markdown(results_table(options.runs)))
        print(to_markdown(seed_table(options.runs)))
    if options.figures:
        from vqa_helpers.data.build import open_dataset
        from vqa_helpers.report.gallery import write_gallery

        for path in write_gallery(open_dataset(options.data), options.runs, options.figures):
            print(path)
    if options.table or options.figures:
        return DONE
    return _site(options)


def _site(options: argparse.Namespace) -> int:
    from vqa_helpers.batch import select
    from vqa_helpers.report.examples import examples_of
    from vqa_helpers.report.site.build import build_site

    notebooks = options.notebooks or options.runs / "notebooks"
    failed = sorted((notebooks / "failed").glob("*.ipynb"))
    good = [] if failed and not any(notebooks.glob("*.ipynb")) else select(notebooks)
    examples = examples_of(options.runs)
    print(build_site(good, options.runs, options.out, failed=failed, examples=examples))
    for path in failed:
        print(f"vqa: {path}: failed when it was last run; the site says so", file=sys.stderr)
    return SOME_FAILED if failed else DONE
