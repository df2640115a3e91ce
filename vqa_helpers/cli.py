"""The command `vqa`: words on a command line become calls of the package.

Each command imports what it needs when it runs, so that `--help` answers at once. Errors are one
line; `--debug` shows where they came from.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from vqa_helpers.errors import InputError

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 some work failed and is named, 2 wrong use."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
    )
    for noisy in ("PIL", "matplotlib", "h5py", "urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("vqa: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        return DONE
    except InputError as error:
        if options.debug:
            raise
        print(f"vqa: {error}", file=sys.stderr)
        return WRONG_USE
    except OSError as error:
        if options.debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        print(f"vqa: {where}{reason}; what was finished is kept", file=sys.stderr)
        return SOME_FAILED


# The words ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and debug lines")
    parser = argparse.ArgumentParser(
        prog="vqa",
        description="Visual Question Answering: a photograph and a question in, an answer out.",
        epilog="Begin with: vqa train Improved_VQA2015_ResNet --data demo",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_data, _features, _train, _predict, _evaluate, _ask, _batch, _report):
        add(commands, common)
    return parser


def _command(commands, common, name: str, run, help: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, parents=[common], help=help, description=help)
    command.set_defaults(run=run)
    return command


def _data(commands, common) -> None:
    data = commands.add_parser("data", help="the datasets: list, build")
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    _command(actions, common, "list", _run_data_list, "show every named dataset and its state")
    build = _command(
        actions, common, "build", _run_data_build, "draw the demo, or cut a dataset from another"
    )
    build.add_argument("name", help="demo, or A, B, C, D, E, 100k: the study's rules")
    build.add_argument("--from", dest="source", help="the dataset to cut it from")
    build.add_argument("--out", type=Path, help="the new folder (default: data/<source>-<name>)")
    build.add_argument("--seed", type=int, default=0, help="of the draw and the splits (0)")


def _add_vision(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--weights",
        default="auto",
        metavar="imagenet|random|FILE",
        help="of the vision network (default: random for the demo and offline, else imagenet)",
    )
    command.add_argument(
        "--image-size", type=int, default=0, metavar="PX",
        help="side of the square it sees (default: 64 for random weights, else 512)",
    )  # fmt: skip
    command.add_argument("--features", type=Path, default=Path("features"), metavar="DIR",
                         help="where features are kept (features)")  # fmt: skip
    command.add_argument("--device", default="auto", help="cpu, cuda, … (default: a GPU if any)")


def _add_language(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--offline", action="store_true",
        help="named stand-ins wherever a download would be needed; the demo implies it",
    )  # fmt: skip
    command.add_argument("--sentence-encoder", type=Path, metavar="DIR",
                         help="a SavedModel of the Universal Sentence Encoder")  # fmt: skip


def _features(commands, common) -> None:
    command = _command(
        commands, common, "features", _run_features, "compute image features, once per image"
    )
    command.add_argument("--data", required=True, metavar="NAME|DIR", help="the dataset")
    command.add_argument("--encoder", default="vgg16", help="vgg16, resnet18 or resnet50 (vgg16)")
    _add_vision(command)
    command.add_argument("--offline", action="store_true", help="random weights")


def _train(commands, common) -> None:
    command = _command(commands, common, "train", _run_train, "train a preset and measure it")
    command.add_argument("preset", help="an experiment, such as Improved_VQA2015_VGG")
    command.add_argument("--data", required=True, metavar="NAME|DIR", help="the dataset")
    command.add_argument(
        "--out", type=Path, metavar="RUN", help="run folder (runs/<dataset>/<preset>/<seed>)"
    )
    command.add_argument("--epochs", type=int, default=0, help="default: the schedule's own")
    command.add_argument("--seed", type=int, default=0, help="of weights, batches and splits (0)")
    command.add_argument(
        "--schedule", choices=["auto", "study", "small"], default="auto",
        help="the study's, or the small one (default: small below 20,000 train questions)",
    )  # fmt: skip
    _add_vision(command)
    _add_language(command)
    command.add_argument(
        "--word-order", choices=["asked", "sorted-set"], default="asked",
        help="sorted-set: words as the study's notebooks fed them, their order lost (asked)",
    )  # fmt: skip
    command.add_argument("--glove", type=Path, metavar="FILE", help="GloVe text file, .gz or .zip")


def _add_answering(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", metavar="FILE", help="if the run's weights file has moved")
    command.add_argument("--device", default="auto", help="cpu, cuda, … (default: a GPU if any)")
    _add_language(command)


def _predict(commands, common) -> None:
    command = _command(
        commands, common, "predict", _run_predict, "answer a questions file: results JSON"
    )
    command.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run")
    command.add_argument("--questions", type=Path, required=True, help="official questions JSON")
    command.add_argument("--images", type=Path, metavar="DIR", help="images anywhere below it")
    command.add_argument("--out", type=Path, required=True, help="results JSON to write")
    command.add_argument("--features", type=Path, metavar="DIR",
                         help="keep the features there (default: in memory only)")  # fmt: skip
    _add_answering(command)


def _evaluate(commands, common) -> None:
    command = _command(
        commands, common, "evaluate", _run_evaluate, "score a results JSON, officially"
    )
    command.add_argument("--questions", type=Path, required=True, help="official questions JSON")
    command.add_argument("--annotations", type=Path, required=True, help="their annotations JSON")
    command.add_argument("--results", type=Path, required=True, help="question_id and answer")
    command.add_argument(
        "--normaliser", choices=["2021", "2015"], default="2021",
        help="the official code since 2021-03-11, or before (2021)",
    )  # fmt: skip


def _ask(commands, common) -> None:
    command = _command(commands, common, "ask", _run_ask, "ask a run about a photograph")
    command.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run")
    command.add_argument("image", type=Path, help="a photograph")
    command.add_argument("question", help="in quotes")
    _add_answering(command)


def _batch(commands, common) -> None:
    command = _command(commands, common, "batch", _run_batch, "run notebooks unattended")
    command.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR",
                         help="where they are (notebooks)")  # fmt: skip
    command.add_argument("--out", type=Path, metavar="DIR",
                         help="executed notebooks (runs/notebooks)")  # fmt: skip
    command.add_argument("--only", metavar="GLOB", help="only these, such as 'Improved*'")
    command.add_argument("--jobs", type=int, default=1, help="how many at a time (1)")
    command.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS",
                         help="wall-clock limit of each (3600)")  # fmt: skip
    command.add_argument("--force", action="store_true", help="run finished ones again")
    command.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
                         help="a parameter of the notebooks, such as DATA=demo")  # fmt: skip


def _report(commands, common) -> None:
    command = _command(commands, common, "report", _run_report, "the results table and the site")
    command.add_argument("--runs", type=Path, default=Path("runs"), help="run folders (runs)")
    command.add_argument("--notebooks", type=Path, metavar="DIR",
                         help="executed notebooks (runs/notebooks)")  # fmt: skip
    command.add_argument("--out", type=Path, default=Path("site"), help="the site's folder (site)")
    command.add_argument("--table", action="store_true", help="print the table; build no site")
    command.add_argument("--figures", type=Path, metavar="DIR",
                         help="write the README's figures there; build no site")  # fmt: skip
    command.add_argument("--data", default="demo", help="the dataset of the figures (demo)")


# The work -------------------------------------------------------------------------------------


def _run_data_list(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import DATA
    from vqa_helpers.data.catalogue import ABOUT

    for name, about in ABOUT.items():
        print(f"{name:5} {'on this machine' if (DATA / name).is_dir() else 'not built':16} {about}")
    return DONE


def _run_data_build(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import DATA, cut, draw_demo, open_dataset, write_dataset
    from vqa_helpers.data.catalogue import DEMO

    if options.name == DEMO:
        print(draw_demo(options.out or DATA / DEMO, options.seed))
        return DONE
    if options.source is None:
        raise InputError(f"dataset {options.name} is cut from another; name it with --from")
    dataset = cut(open_dataset(options.source, options.seed), options.name, options.seed)
    out = write_dataset(dataset, options.out or DATA / dataset.name)
    print(*dataset.notes, sep="\n", file=sys.stderr)
    print(out)
    return DONE


def _run_features(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import open_dataset
    from vqa_helpers.experiment.options import Options
    from vqa_helpers.vision.extract import fill_store

    dataset = open_dataset(options.data)
    chosen = Options(
        weights=options.weights,
        image_size_px=options.image_size,
        offline=options.offline,
        device=options.device,
    ).resolved(dataset)
    if not dataset.images:
        raise InputError(f"{dataset.folder}: has no images, or none whose name ends in an image id")
    store = fill_store(
        options.features / dataset.image_source,
        dataset.images,
        encoder=options.encoder,
        weights=chosen.weights,
        size_px=chosen.image_size_px,
        device=chosen.device,
    )
    missing = _name_missing(dataset.folder, dataset.missing_images())
    print(store.folder)
    return SOME_FAILED if missing or store.failed else DONE


def _name_missing(folder: Path, image_ids: list[int]) -> list[int]:
    for image_id in image_ids:
        what = "has no file, whose name must end in the id; its questions see none"
        print(f"vqa: {folder}: image {image_id} {what}", file=sys.stderr)
    return image_ids


def _run_train(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import open_dataset
    from vqa_helpers.experiment.conduct import conduct
    from vqa_helpers.experiment.options import Options
    from vqa_helpers.experiment.prepare import prepare
    from vqa_helpers.model.presets import find_preset
    from vqa_helpers.report.tables import score_table, to_markdown
    from vqa_helpers.runs import run_folder

    preset = find_preset(options.preset)
    dataset = open_dataset(options.data, options.seed)
    chosen = Options(
        weights=options.weights,
        image_size_px=options.image_size,
        epochs=options.epochs,
        seed=options.seed,
        schedule=options.schedule,
        offline=options.offline,
        features=options.features,
        glove=options.glove,
        sentence_encoder=options.sentence_encoder,
        word_order=options.word_order.replace("-", " "),
        device=options.device,
    )
    out = options.out or run_folder(Path("runs"), dataset.name, preset.name, options.seed)
    experiment = prepare(preset, dataset, chosen)
    run = conduct(experiment, out, set_aside=False)
    if run.config["stand_ins"]:
        print(f"stand-ins: {', '.join(run.config['stand_ins'])}")
    print(to_markdown(score_table(run.metrics)))
    print(run.folder)
    return SOME_FAILED if experiment.unseen() else DONE


def _run_predict(options: argparse.Namespace) -> int:
    from vqa_helpers.data.formats import read_questions, write_results
    from vqa_helpers.data.images import find_images
    from vqa_helpers.experiment.answer import Answerer
    from vqa_helpers.experiment.options import pick_device

    table = read_questions(options.questions)
    answerer = Answerer.load(options.run_folder, pick_device(options.device), options.weights)
    images = {}
    if answerer.pieces["images"] is not None:
        if options.images is None or not options.images.is_dir():
            raise InputError(f"{options.images}: is no folder; name the photographs with --images")
        images = find_images(options.images, table["image_id"])
    answers = answerer.answer(
        table,
        images,
        stores=options.features,
        sentence_encoder=options.sentence_encoder,
        offline=options.offline,
    )
    write_results(options.out, table["question_id"], [row[0].text for row in answers])
    print(options.out)
    if answerer.pieces["images"] is None:
        return DONE
    missing = _name_missing(options.images, sorted(set(table["image_id"]) - images.keys()))
    return SOME_FAILED if missing or answerer.unreadable else DONE


def _run_evaluate(options: argparse.Namespace) -> int:
    from vqa_helpers.evaluation.results import evaluate_results

    report = evaluate_results(
        options.questions, options.annotations, options.results, options.normaliser
    )
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return DONE


def _run_ask(options: argparse.Namespace) -> int:
    from vqa_helpers.experiment.answer import Answerer, ask
    from vqa_helpers.experiment.options import pick_device

    answerer = Answerer.load(options.run_folder, pick_device(options.device), options.weights)
    answers = ask(
        answerer,
        options.image,
        options.question,
        sentence_encoder=options.sentence_encoder,
        offline=options.offline,
    )
    for answer in answers:
        print(f"{100 * answer.probability:5.1f} %  {answer.text}")
    return DONE


def _run_batch(options: argparse.Namespace) -> int:
    from vqa_helpers.batch.parameters import read_parameters
    from vqa_helpers.batch.runner import run_batch, select

    notebooks = select(options.notebooks, options.only)
    outcomes = run_batch(
        notebooks,
        read_parameters(options.parameter, notebooks),
        out=options.out or Path("runs") / "notebooks",
        jobs=options.jobs,
        timeout_s=options.timeout,
        force=options.force,
    )
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed:
        print(f"vqa: {outcome.notebook}: {outcome.reason}", file=sys.stderr)
    return SOME_FAILED if failed else DONE


def _run_report(options: argparse.Namespace) -> int:
    from vqa_helpers.report.tables import results_table, to_markdown

    if not options.runs.is_dir():
        raise InputError(f"{options.runs}: is no folder of runs; train a preset first")
    if options.table:
        print(to_markdown(results_table(options.runs)))
    if options.figures:
        from vqa_helpers.data.build import open_dataset
        from vqa_helpers.report.gallery import write_gallery

        for path in write_gallery(open_dataset(options.data), options.runs, options.figures):
            print(path)
    if options.table or options.figures:
        return DONE
    from vqa_helpers.batch.runner import select
    from vqa_helpers.report.site import build_site

    notebooks = options.notebooks or options.runs / "notebooks"
    print(build_site(select(notebooks), options.runs, options.out))
    return DONE
