"""`vqa predict` and `vqa ask`: a finished run put to use."""

import argparse
from pathlib import Path

from vqa_helpers.cli.words import DONE, SOME_FAILED, add_device, add_language, command, name_missing
from vqa_helpers.errors import InputError


def add_commands(commands, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    predict = command(
        commands, common, "predict", _predict, "answer a questions file: results JSON"
    )
    predict.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run")
    predict.add_argument("--questions", type=Path, required=True, help="official questions JSON")
    predict.add_argument("--images", type=Path, metavar="DIR", help="images anywhere below it")
    predict.add_argument("--out", type=Path, required=True, help="results JSON to write")
    predict.add_argument("--features", type=Path, metavar="DIR",
                         help="keep the features there (default: in memory only)")  # fmt: skip
    _add_run(predict)
    ask = command(commands, common, "ask", _ask, "ask a run about a photograph")
    ask.add_argument("run_folder", type=Path, metavar="RUN", help="a finished run")
    ask.add_argument("image", type=Path, help="a photograph")
    ask.add_argument("question", help="in quotes")
    _add_run(ask)


def _add_run(made: argparse.ArgumentParser) -> None:
    made.add_argument("--weights", metavar="FILE", help="if the run's weights file has moved")
    add_device(made)
    add_language(made)


def _predict(options: argparse.Namespace) -> int:
    from vqa_helpers.data.formats import read_questions, write_results
    from vqa_helpers.data.images import find_images
    from vqa_helpers.device import pick_device
    from vqa_helpers.experiment.answer import Answerer

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
    missing = name_missing(options.images, sorted(set(table["image_id"]) - images.keys()))
    return SOME_FAILED if missing or answerer.unreadable else DONE


def _ask(options: argparse.Namespace) -> int:
    from vqa_helpers.device import pick_device
    from vqa_helpers.experiment.answer import Answerer, ask

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
